package lab

import (
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab/machine"
)

const digestC = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

// Nodes move to a newer image one by one; when all have, it is their role's.
func TestSetImage(t *testing.T) {
	r := record{Cluster: *testCluster(), Images: map[cluster.Role]string{cluster.RolePostgres: digestA, cluster.RoleHeartbeat: digestB}}
	one := r.Cluster.Nodes[0]
	two := cluster.Node{Name: "postgres-2", Role: cluster.RolePostgres, Slot: 2}
	r.Cluster.Nodes = append(r.Cluster.Nodes, two)
	for _, step := range []struct {
		node      cluster.Node
		digest    string
		one, two  string
		role      string
		overrides map[string]string
	}{
		{one, digestC, digestC, digestA, digestA, map[string]string{"postgres-1": digestC}},
		{one, digestA, digestA, digestA, digestA, map[string]string{}},
		{one, digestC, digestC, digestA, digestA, map[string]string{"postgres-1": digestC}},
		{two, digestC, digestC, digestC, digestC, map[string]string{}},
	} {
		r.setImage(step.node, step.digest)
		got := []string{r.image(one), r.image(two), r.Images[cluster.RolePostgres], r.Images[cluster.RoleHeartbeat]}
		if diff := cmp.Diff([]string{step.one, step.two, step.role, digestB}, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(step.overrides, r.NodeImages); diff != "" {
			t.Error(diff)
		}
	}
}

// What befell a lab since it was made does not make it another one.
func TestSettleAcceptsAGrownLab(t *testing.T) {
	l := testLab(t, "demo")
	config := testConfig()
	config.Cluster.Nodes = append(config.Cluster.Nodes, cluster.Node{Name: "postgres-2", Role: cluster.RolePostgres, Slot: 2, Address: netip.MustParseAddr("10.20.0.32")})
	r, err := l.settle(config)
	if err != nil {
		t.Fatal(err)
	}
	r.setImage(r.Cluster.Nodes[0], digestC)
	r.Added = []cluster.Node{{Name: "heartbeat-2", Role: cluster.RoleHeartbeat, Slot: 2}}
	if err := l.save(r); err != nil {
		t.Fatal(err)
	}
	for digest, fine := range map[string]bool{digestA: true, digestC: true, digestB: false} {
		entry := config.Images[cluster.RolePostgres]
		entry.Record.ContentDigest = digest
		config.Images[cluster.RolePostgres] = entry
		kept, err := l.settle(config)
		if (err == nil) != fine {
			t.Errorf("with %s: %v", digest, err)
		}
		if fine {
			if diff := cmp.Diff(r, kept, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
		}
	}
	m, err := l.machineOf("postgres-1")
	if err != nil || m.Tree != l.treeDir(digestC) {
		t.Errorf("postgres-1 boots %s: %v", m.Tree, err)
	}
	if m, err := l.machineOf("heartbeat-2"); err != nil || m.Port != "node4" {
		t.Errorf("heartbeat-2 is at %q: %v", m.Port, err)
	}
	nodes, err := l.Nodes()
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	if diff := cmp.Diff([]string{"postgres-1", "heartbeat-1", "postgres-2", "heartbeat-2"}, names); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	used, err := UsedImages(l.folders)
	if err != nil || used[digestA] == "" || used[digestB] == "" || used[digestC] == "" {
		t.Errorf("used are %v: %v", used, err)
	}
}

func TestReplaceFromAndAddRefuse(t *testing.T) {
	if _, err := machine.ThisHost(); err != nil {
		t.Skip(err)
	}
	l := testLab(t, "demo")
	config := testConfig()
	config.Cluster.API = &cluster.API{Pool: []netip.Addr{netip.MustParseAddr("10.20.0.21"), netip.MustParseAddr("10.20.0.22")}}
	if _, err := l.settle(config); err != nil {
		t.Fatal(err)
	}
	image := config.Images[cluster.RolePostgres]
	image.Record.Role = cluster.RolePostgres
	other, stale, major := image, image, image
	other.Record.Role = cluster.RoleHeartbeat
	stale.Record.Verified = false
	major.Record.Recipe.PostgresVersion++
	major.Record.RecipeDigest = major.Record.Recipe.Digest()
	api := cluster.Node{Name: "api-2", Role: cluster.RoleAPI, Slot: 2, Address: netip.MustParseAddr("10.20.0.22")}
	moved := *config.Cluster
	moved.Domain = "elsewhere.example.com"
	replaceIn := func(c *cluster.Resolved, node string, image images.Entry) error {
		return l.ReplaceFrom(t.Context(), c, node, image, func(Event) {})
	}
	replace := func(node string, image images.Entry) error { return replaceIn(config.Cluster, node, image) }
	add := func(c *cluster.Resolved, n cluster.Node) error { return l.Add(t.Context(), c, n, cloudinit.Seed{}) }
	wrong := api
	wrong.Address = netip.MustParseAddr("10.20.0.99")
	for name, row := range map[string]struct {
		err  error
		code exit.Code
	}{
		"an image of another role":    {replace("postgres-1", other), exit.Invalid},
		"an image nobody verified":    {replace("postgres-1", stale), exit.Missing},
		"an image of another recipe":  {replace("postgres-1", major), exit.Missing}, // up would refuse the lab from then on
		"an image for another lab":    {replaceIn(&moved, "postgres-1", image), exit.Unsafe},
		"a node that is not there":    {replace("postgres-9", image), exit.Invalid},
		"a node that is there":        {add(config.Cluster, config.Cluster.Nodes[0]), exit.Invalid},
		"a node of another cluster":   {add(&moved, api), exit.Unsafe},
		"an address outside the pool": {add(config.Cluster, wrong), exit.Invalid},
		"a role without an image":     {add(config.Cluster, api), exit.Missing},
	} {
		if row.err == nil || exit.CodeOf(row.err) != row.code {
			t.Errorf("%s: %v", name, row.err)
		}
	}
	if r, err := l.load(); err != nil || len(r.Added) > 0 || len(r.NodeImages) > 0 {
		t.Errorf("what was refused is written down: %+v, %v", r, err)
	}
}

// Which package an API node's recipe names, the lab's record does not say; the cluster file that it was made from does.
func TestReplaceFromHeedsThePackage(t *testing.T) {
	if _, err := machine.ThisHost(); err != nil {
		t.Skip(err)
	}
	l := testLab(t, "demo")
	config := testConfig()
	config.Cluster.Cinc = &cluster.Cinc{Version: "15.10.91", Package: cluster.Package{Digest: digestC}}
	config.Cluster.Nodes = append(config.Cluster.Nodes, cluster.Node{Name: "api-1", Role: cluster.RoleAPI, Slot: 1})
	image := func(of string) images.Entry {
		recipe := config.Cluster.Recipe(cluster.RoleAPI)
		recipe.Package.Digest = of
		return images.Entry{ID: "api/1", Record: images.Record{
			Role: cluster.RoleAPI, Recipe: recipe, RecipeDigest: recipe.Digest(), ContentDigest: digestB, DocumentFormat: cloudinit.DocumentFormat, Verified: true,
		}}
	}
	config.Images[cluster.RoleAPI] = image(digestC)
	if _, err := l.settle(config); err != nil {
		t.Fatal(err)
	}
	for of, want := range map[string]string{
		digestC: "is not there as rootfs", // the right one, of which this test has no file
		digestA: "baked from another recipe",
	} {
		err := l.ReplaceFrom(t.Context(), config.Cluster, "api-1", image(of), func(Event) {})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("package %s: %v", of, err)
		}
	}
}

// A node that is added boots its role's image, so that one is kept when every node there is has been replaced from others.
func TestUsedImagesKeepsTheRoles(t *testing.T) {
	l := testLab(t, "demo")
	config := testConfig()
	config.Cluster.Nodes = append(config.Cluster.Nodes, cluster.Node{Name: "postgres-2", Role: cluster.RolePostgres, Slot: 2})
	r, err := l.settle(config)
	if err != nil {
		t.Fatal(err)
	}
	const digestD = "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
	r.setImage(r.Cluster.Nodes[0], digestC)
	r.setImage(r.Cluster.Nodes[2], digestD)
	if err := l.save(r); err != nil {
		t.Fatal(err)
	}
	used, err := UsedImages(l.folders)
	want := map[string]string{digestA: "the lab demo", digestB: "the lab demo", digestC: "the lab demo", digestD: "the lab demo"}
	if diff := cmp.Diff(want, used); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// What befalls a lab is a part of its record only then: before, it reads as older releases wrote it.
func TestARecordBeforeAnythingBefell(t *testing.T) {
	l := testLab(t, "demo")
	r, err := l.settle(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	keys := func() (names []string) {
		t.Helper()
		text, err := os.ReadFile(l.recordFile())
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		return slices.Sorted(maps.Keys(fields))
	}
	old := []string{"cluster", "created", "diskBytes", "format", "images"}
	if diff := cmp.Diff(old, keys()); diff != "" {
		t.Error(diff)
	}
	r.setImage(r.Cluster.Nodes[0], digestC) // the only one of its role
	if err := l.save(r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(old, keys()); diff != "" {
		t.Error(diff)
	}
}
