package lab

import (
	"net/netip"
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
	other, stale := image, image
	other.Record.Role = cluster.RoleHeartbeat
	stale.Record.Verified = false
	api := cluster.Node{Name: "api-2", Role: cluster.RoleAPI, Slot: 2, Address: netip.MustParseAddr("10.20.0.22")}
	moved := *config.Cluster
	moved.Domain = "elsewhere.example.com"
	replace := func(node string, image images.Entry) error {
		return l.ReplaceFrom(t.Context(), node, image, func(Event) {})
	}
	add := func(c *cluster.Resolved, n cluster.Node) error { return l.Add(t.Context(), c, n, cloudinit.Seed{}) }
	wrong := api
	wrong.Address = netip.MustParseAddr("10.20.0.99")
	for name, row := range map[string]struct {
		err  error
		code exit.Code
	}{
		"an image of another role":    {replace("postgres-1", other), exit.Invalid},
		"an image nobody verified":    {replace("postgres-1", stale), exit.Missing},
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
