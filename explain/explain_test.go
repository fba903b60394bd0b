package explain_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/explain"
	"github.com/cincbake/cincbake/internal/golden"
)

// examples are every topology on every platform.
func examples(t *testing.T) map[string]explain.Side {
	t.Helper()
	found := map[string]explain.Side{}
	for _, topology := range []cluster.Topology{cluster.Standalone, cluster.Managed, cluster.SelfHosted} {
		for _, platform := range []cluster.Platform{cluster.OnPrem, cluster.AWS} {
			text, err := cluster.Example(topology, platform)
			if err != nil {
				t.Fatal(err)
			}
			found[string(topology)+"-"+string(platform)] = parse(t, text)
		}
	}
	return found
}

func parse(t *testing.T, text string) explain.Side {
	t.Helper()
	spec, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	return explain.Side{Spec: spec, Cluster: r}
}

func of(t *testing.T, r *cluster.Resolved, n cluster.Node, a explain.Assume) *explain.Machine {
	t.Helper()
	m, err := explain.Of(r, n, a)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func text(t *testing.T, m *explain.Machine) string {
	t.Helper()
	var b strings.Builder
	if err := m.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The first machine of every role in every example, with those lines of its files that explain has something to say about:
// the files as a whole are golden in package roles.
func TestTextGolden(t *testing.T) {
	seen := map[cluster.Role]bool{}
	for name, side := range examples(t) {
		for _, n := range side.Cluster.Nodes {
			seen[n.Role] = true
			if n.Slot <= 1 {
				golden.Compare(t, "testdata/"+name+"/"+n.Name+".txt", said(text(t, of(t, side.Cluster, n, explain.Assume{}))))
			}
		}
	}
	for _, role := range cluster.Roles() {
		if !seen[role] {
			t.Errorf("no example has a machine of role %s", role)
		}
	}
}

// said leaves out what a file holds by itself.
func said(text string) string {
	head, files, _ := strings.Cut(text, "\nFILES\n")
	var b strings.Builder
	b.WriteString(head + "\nFILES\n")
	for line := range strings.Lines(files) {
		if strings.HasPrefix(line, "  == ") || strings.Contains(line, "[redacted: ") || strings.Contains(line, " certificate]") || strings.Contains(line, "   ← ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

var (
	anyToken = regexp.MustCompile(`redacted[0-9a-f]{24}`)
	anyMD5   = regexp.MustCompile(`md5[0-9a-f]{32}`)
)

// A placeholder is shown by its name and never as it is, and so is what a program would make of it; and the names are there.
func TestSecretsAreNamed(t *testing.T) {
	for name, side := range examples(t) {
		for _, n := range side.Cluster.Nodes {
			m := of(t, side.Cluster, n, explain.Assume{})
			said, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if found := anyToken.Find(said); found != nil {
				t.Errorf("%s %s: shows the placeholder %s", name, n.Name, found)
			}
			if found := anyMD5.Find(said); found != nil {
				t.Errorf("%s %s: shows %s, which is made from a placeholder", name, n.Name, found)
			}
			for _, secret := range m.Secrets {
				if !strings.Contains(string(said), "[redacted: "+secret+"]") {
					t.Errorf("%s %s: holds %q, and no file shows it", name, n.Name, secret)
				}
			}
			if !slices.Contains(m.Secrets, "machine key") {
				t.Errorf("%s %s: holds %v, without its own key", name, n.Name, m.Secrets)
			}
		}
	}
}

// Machines of one slot differ only in lines that follow from a fact: each of the two says so of every line that the other
// does not have.
func TestFactsExplainEveryDifference(t *testing.T) {
	addresses := func(s string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
	for name, side := range examples(t) {
		for _, n := range side.Cluster.Nodes {
			small := cluster.Facts{Hostname: "ip-10-30-1-7", Addresses: addresses("10.30.1.7"), MemoryBytes: 2 << 30, CPUs: 2, BootID: "one"}
			large := cluster.Facts{Hostname: "ip-10-30-9-8", Addresses: addresses("10.30.9.8"), MemoryBytes: 33 << 30, CPUs: 16, BootID: "two"}
			a, b := of(t, side.Cluster, n, explain.Assume{Facts: &small}), of(t, side.Cluster, n, explain.Assume{Facts: &large})
			if diff := cmp.Diff(unmarked(a), unmarked(b)); diff != "" {
				t.Errorf("%s %s: lines that no fact explains differ:\n%s", name, n.Name, diff)
			}
		}
	}
}

// unmarked are a machine's files without the lines that follow from facts.
func unmarked(m *explain.Machine) map[string]string {
	left := map[string]string{}
	for _, f := range m.Files {
		lines := strings.Split(f.Content, "\n")
		for _, mark := range f.Marks {
			lines[mark.Line-1] = ""
		}
		left[f.Path] = strings.Join(slices.DeleteFunc(lines, func(l string) bool { return l == "" }), "\n")
	}
	return left
}

// Memory decides the database's buffers, and says so.
func TestMemoryIsMarked(t *testing.T) {
	side := examples(t)["self-hosted-onprem"]
	n, err := explain.Find(side.Cluster, "postgres-1")
	if err != nil {
		t.Fatal(err)
	}
	file, err := of(t, side.Cluster, n, explain.Assume{}).File("/etc/patroni/config.yml")
	if err != nil {
		t.Fatal(err)
	}
	if want := "    shared_buffers: 2048MB   ← memory"; !slices.Contains(file.Marked(), want) {
		t.Errorf("the file has no line %q:\n%s", want, strings.Join(file.Marked(), "\n"))
	}
}

// A machine that joins is told of the members that are there already.
func TestJoin(t *testing.T) {
	side := examples(t)["self-hosted-onprem"]
	for _, test := range []struct {
		join bool
		want string
	}{{false, "ETCD_INITIAL_CLUSTER_STATE=new\n"}, {true, "ETCD_INITIAL_CLUSTER_STATE=existing\n"}} {
		n, err := explain.Find(side.Cluster, "postgres-2")
		if err != nil {
			t.Fatal(err)
		}
		file, err := of(t, side.Cluster, n, explain.Assume{Join: test.join}).File("/etc/default/etcd")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(file.Content, test.want) {
			t.Errorf("join %v: no %q in\n%s", test.join, test.want, file.Content)
		}
	}
}

// A slot of the pool that is not launched is explained like any other.
func TestPoolNode(t *testing.T) {
	side := examples(t)["self-hosted-onprem"]
	last := fmt.Sprintf("api-%d", len(side.Cluster.API.Pool))
	n, err := explain.Find(side.Cluster, last)
	if err != nil {
		t.Fatal(err)
	}
	if m := of(t, side.Cluster, n, explain.Assume{}); len(m.Files) == 0 || m.Node.Name != last {
		t.Errorf("%s has %d files", m.Node.Name, len(m.Files))
	}
	if _, err := explain.Find(side.Cluster, "api-999"); err == nil || !strings.Contains(err.Error(), "postgres-1") {
		t.Errorf("an unknown machine: %v", err)
	}
}
