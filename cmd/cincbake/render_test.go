package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// example is a resolved example and a bundle for it in which every secret has a value.
type example struct {
	name    string
	cluster *cluster.Resolved
	bundle  *secrets.Bundle
}

func examples(tb testing.TB) []example {
	tb.Helper()
	paths, err := filepath.Glob("../../examples/*/cluster.yaml")
	if err != nil || len(paths) < 7 {
		tb.Fatalf("examples %v: %v", paths, err)
	}
	var found []example
	for _, path := range paths {
		spec, err := cluster.Load(path)
		if err != nil {
			tb.Fatal(err)
		}
		r, err := spec.Resolve()
		if err != nil {
			tb.Fatal(err)
		}
		bundle, err := secrets.Generate(r, time.Now())
		if err != nil {
			tb.Fatal(err)
		}
		number := 0
		eachSecret(reflect.ValueOf(bundle).Elem(), func(s *secrets.Secret) {
			if number++; s.IsZero() { // what only the operator has
				*s = secrets.New(fmt.Sprintf("PLANTED-%d", number))
			}
		})
		found = append(found, example{filepath.Base(filepath.Dir(path)), r, bundle})
	}
	return found
}

// eachSecret finds every secret below v.
func eachSecret(v reflect.Value, found func(*secrets.Secret)) {
	switch {
	case v.Type() == reflect.TypeFor[secrets.Secret]():
		if v.CanAddr() {
			found(v.Addr().Interface().(*secrets.Secret))
			return
		}
		s := v.Interface().(secrets.Secret)
		found(&s)
	case v.Kind() == reflect.Pointer && !v.IsNil():
		eachSecret(v.Elem(), found)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			eachSecret(v.Field(i), found)
		}
	case v.Kind() == reflect.Map:
		for _, key := range v.MapKeys() {
			eachSecret(v.MapIndex(key), found)
		}
	}
}

// valuesOf returns the secrets below v, as they can be looked for in a text: of a key, its second line.
func valuesOf(v any) []string {
	var values []string
	eachSecret(reflect.ValueOf(v), func(s *secrets.Secret) {
		value := s.Reveal()
		if lines := strings.Split(value, "\n"); len(lines) > 2 {
			value = lines[1]
		}
		if value != "" {
			values = append(values, value)
		}
	})
	return values
}

// What is rendered of every example: right by cloud-init's schema, the same twice, and with no secret but the machine's
// own.
func TestRenderEveryExample(t *testing.T) {
	for _, e := range examples(t) {
		t.Run(e.name, func(t *testing.T) {
			planted := valuesOf(*e.bundle)
			if len(planted) < 5 {
				t.Fatalf("%d secrets are planted", len(planted))
			}
			render := seedFiles
			if e.cluster.Platform == cluster.AWS {
				render = userDataFiles
			}
			first, second := render(t, e), render(t, e)
			if !cmp.Equal(first, second) {
				t.Error("rendered twice, two results")
			}
			for _, node := range e.cluster.Nodes {
				own := []string{}
				if e.cluster.Platform == cluster.OnPrem {
					scoped, err := e.bundle.Scope(node)
					if err != nil {
						t.Fatal(err)
					}
					own = valuesOf(scoped)
				}
				for _, value := range planted {
					if bytes.Contains(first[node.Name], []byte(value)) && !slices.Contains(own, value) {
						t.Errorf("%s holds a secret that is not its own", node.Name)
					}
				}
				for _, value := range own {
					if !bytes.Contains(first[node.Name], []byte(value)) {
						t.Errorf("%s lacks a secret of its own", node.Name)
					}
				}
			}
		})
	}
}

// seedFiles is all that is rendered for each machine, after each other.
func seedFiles(t *testing.T, e example) map[string][]byte {
	t.Helper()
	seeds, err := seedsOf(e.cluster, e.cluster.Nodes, e.bundle)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for name, seed := range seeds {
		found[name] = slices.Concat(seed.MetaData, seed.UserData, seed.NetworkConfig)
	}
	return found
}

// userDataFiles has, besides the user data, what render prints about it.
func userDataFiles(t *testing.T, e example) map[string][]byte {
	t.Helper()
	all, err := userDataOf(e.cluster, e.cluster.Nodes)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, u := range all {
		budget, err := json.Marshal(u.Budget())
		if err != nil {
			t.Fatal(err)
		}
		found[u.Node] = slices.Concat(u.Text, u.Data, budget)
	}
	return found
}

// User data of every role in every example: 6 KB at most, 4 KB in the median.
func TestUserDataOfExamplesIsSmall(t *testing.T) {
	var sizes []int
	for _, e := range examples(t) {
		if e.cluster.Platform != cluster.AWS {
			continue
		}
		all, err := userDataOf(e.cluster, e.cluster.Nodes)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range all {
			if len(u.Data) > 6<<10 {
				t.Errorf("%s of %s: %d bytes", u.Node, e.name, len(u.Data))
			}
			sizes = append(sizes, len(u.Data))
		}
	}
	slices.Sort(sizes)
	if len(sizes) < 5 || sizes[len(sizes)/2] > 4<<10 {
		t.Errorf("sizes %v", sizes)
	}
}

// A machine's document leaves out what does not concern it. Its role must make the same of that as of the whole cluster.
func TestDocumentsHoldAllThatRolesUse(t *testing.T) {
	for _, e := range examples(t) {
		for _, node := range e.cluster.Nodes {
			document, err := cloudinit.NewDocument(e.cluster, node)
			if err != nil {
				t.Fatal(err)
			}
			scoped, err := e.bundle.Scope(node)
			if err != nil {
				t.Fatal(err)
			}
			told, whole := made(t, &document.Cluster, node, scoped), made(t, e.cluster, node, scoped)
			if diff := cmp.Diff(whole, told); diff != "" {
				t.Errorf("%s, %s (-of the whole cluster +of the document):\n%s", e.name, node.Name, diff)
			}
			if got, want := document.Cluster.Recipe(node.Role).Digest(), e.cluster.Recipe(node.Role).Digest(); got != want {
				t.Errorf("%s, %s: the document's recipe is %s, the cluster's %s", e.name, node.Name, got, want)
			}
		}
	}
}

// otherAPI is a line of /etc/hosts that names an API node: how many are launched is not told, and nothing asks for them by name.
var otherAPI = regexp.MustCompile(`^[0-9.]+ api-[0-9]+$`)

// made is what a role makes of a cluster, before peers are known: each step of its plan and each of its probes as text.
func made(t *testing.T, r *cluster.Resolved, self cluster.Node, scoped secrets.Scoped) []string {
	t.Helper()
	kind, err := roles.Of(self.Role)
	if err != nil {
		t.Fatal(err)
	}
	in := role.Inputs{
		Cluster: r, Self: self, Secrets: scoped, Peers: cluster.Peers{},
		Facts: cluster.Facts{Hostname: self.Name, MemoryBytes: 8 << 30, CPUs: 4},
	}
	plan, err := kind.Boot(in)
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for _, s := range plan {
		lines = append(lines, s.Title+": "+s.Reason)
		if file, ok := s.Action.(step.File); ok {
			lines = append(lines, strings.Split(string(file.Content), "\n")...)
			file.Content = nil
			s.Action = file
		}
		lines = append(lines, fmt.Sprintf("%+v", s.Action))
	}
	for _, p := range kind.Ready(in) {
		lines = append(lines, p.Title)
	}
	return slices.DeleteFunc(lines, otherAPI.MatchString)
}
