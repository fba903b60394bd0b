package explain_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/explain"
)

// base is the spec that the changes below start from.
const base = `apiVersion: cincbake/v1
kind: Cluster
name: prod
platform: onprem
network: {prefix: 10.20.0.0/24}
postgres:
  nodes: [10.20.0.31, 10.20.0.32, 10.20.0.33]
  disk: /dev/vdb
access: {ssh: []}
`

func between(t *testing.T, after string) *explain.Difference {
	t.Helper()
	d, err := explain.Between(parse(t, base), parse(t, after), explain.Assume{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBetween(t *testing.T) {
	for _, test := range []struct {
		name     string
		old, new string // replaced in base
		changes  []string
		machines []string
	}{
		{"nothing", "kind: Cluster", "kind:   Cluster", nil, nil},
		{"written otherwise", "[10.20.0.31, ", "[{address: 10.20.0.31}, ", nil, nil},
		{"a DNS server", "/24}", "/24, dns: [10.20.0.2]}", []string{"network.dns[0]:  → 10.20.0.2"}, []string{"postgres-1", "postgres-2", "postgres-3"}},
		{"an address", "10.20.0.33", "10.20.0.34", []string{"postgres.nodes[2].address: 10.20.0.33 → 10.20.0.34"}, []string{"postgres-1", "postgres-2", "postgres-3"}},
		{"a mirror", "network:", "image: {mirror: 'http://mirror.example.com/debian'}\nnetwork:", []string{"image.mirror:  → http://mirror.example.com/debian"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := between(t, strings.Replace(base, test.old, test.new, 1))
			var changes, machines []string
			for _, c := range d.Changes {
				changes = append(changes, c.Path+": "+c.Before+" → "+c.After)
				if c.Effect == "" || c.Reason == "" {
					t.Errorf("%s has no effect or no reason: %+v", c.Path, c)
				}
			}
			for _, m := range d.Machines {
				machines = append(machines, m.Node)
			}
			if !slices.Equal(changes, test.changes) {
				t.Errorf("changes %q, want %q", changes, test.changes)
			}
			if !slices.Equal(machines, test.machines) {
				t.Errorf("machines %q, want %q", machines, test.machines)
			}
		})
	}
}

// A change that would lose data is refused, with the way around.
func TestNeverIsRefused(t *testing.T) {
	d := between(t, strings.Replace(base, "name: prod", "name: other", 1))
	if !d.Refused() || d.Changes[0].Effect != cluster.Never || d.Changes[0].Way == "" {
		t.Errorf("another name: %+v", d.Changes)
	}
	if between(t, base).Refused() {
		t.Error("no change was refused")
	}
}

// A machine more, a machine less, and which lines the others get.
func TestMachinesComeAndGo(t *testing.T) {
	five := strings.Replace(base, "10.20.0.33]", "10.20.0.33, 10.20.0.34, 10.20.0.35]", 1)
	d := between(t, five)
	added := map[string]bool{}
	for _, m := range d.Machines {
		added[m.Node] = m.Added
	}
	if !added["postgres-4"] || !added["postgres-5"] || added["postgres-1"] {
		t.Errorf("added: %v", added)
	}
	var b strings.Builder
	if err := d.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"postgres.nodes[3]: (not written) → {address: 10.20.0.34", "postgres-4 is new", "+10.20.0.34 postgres-4"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text has no %q:\n%s", want, b.String())
		}
	}
	back, err := explain.Between(parse(t, five), parse(t, base), explain.Assume{}, "postgres-4")
	if err != nil {
		t.Fatal(err)
	}
	if len(back.Machines) != 1 || !back.Machines[0].Removed {
		t.Errorf("machines: %+v", back.Machines)
	}
	if _, err := explain.Between(parse(t, base), parse(t, base), explain.Assume{}, "bogus"); err == nil {
		t.Error("a machine that neither side has must be refused")
	}
}
