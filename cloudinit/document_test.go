package cloudinit_test

import (
	"slices"
	"testing"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
)

func newDocument(tb testing.TB, r *cluster.Resolved, node cluster.Node) cloudinit.Document {
	tb.Helper()
	document, err := cloudinit.NewDocument(r, node)
	if err != nil {
		tb.Fatal(err)
	}
	return document
}

// Which machines a change of the cluster makes other machines of: those that it concerns, and no database for one more
// API node.
func TestDocumentsFollowWhatConcernsThem(t *testing.T) {
	all := []cluster.Role{cluster.RoleLB, cluster.RoleAPI, cluster.RolePostgres, cluster.RoleHeartbeat, cluster.RoleOpenSearch}
	for _, test := range []struct {
		name    string
		cluster func() *cluster.Resolved
		change  func(*cluster.Resolved)
		want    []cluster.Role
	}{
		{"one more API node of the pool", selfHosted, func(r *cluster.Resolved) {
			third, err := r.PoolNode(3)
			if err != nil {
				t.Fatal(err)
			}
			r.API.Min, r.Nodes = 3, slices.Insert(r.Nodes, 4, third)
		}, nil},
		{"more API nodes on AWS", aws, func(r *cluster.Resolved) { r.API.Min = 3 }, nil},
		{"a larger maximum on AWS", aws, func(r *cluster.Resolved) { r.API.Max, r.Postgres.MaxConnections = 10, 1210 }, []cluster.Role{cluster.RolePostgres}},
		{"larger API nodes on AWS", aws, func(r *cluster.Resolved) {
			r.API.InstanceType = "m6i.2xlarge"
			r.Nodes[0].Placement = &cluster.Placement{InstanceType: "m6i.2xlarge"}
		}, []cluster.Role{cluster.RoleAPI}},
		{"one more subnet", aws, func(r *cluster.Resolved) { r.Network.Subnets = append(r.Network.Subnets, "subnet-0d") }, nil},
		{"a larger pool", selfHosted, func(r *cluster.Resolved) { r.API.Pool = pool("10.20.0.20", 11) }, all},
		{"a setting of Cinc Server", selfHosted, func(r *cluster.Resolved) { r.Cinc.Settings[""]["x"] = 1 }, []cluster.Role{cluster.RoleAPI}},
		{"more backups", selfHosted, func(r *cluster.Resolved) { r.Backup.Full = 9 }, []cluster.Role{cluster.RolePostgres}},
		{"another way in", selfHosted, func(r *cluster.Resolved) { r.Access.SSH = nil }, all},
		{"a database elsewhere", selfHosted, func(r *cluster.Resolved) { r.Nodes[4].Address = address("10.20.0.35") }, all},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, after := test.cluster(), test.cluster()
			test.change(after)
			var changed []cluster.Role
			for _, node := range oneOfEach(before) {
				now, err := after.Node(node.Name)
				if err != nil {
					t.Fatal(err)
				}
				if newDocument(t, before, node).InstanceID() != newDocument(t, after, now).InstanceID() {
					changed = append(changed, node.Role)
				}
			}
			want := slices.DeleteFunc(slices.Clone(test.want), func(role cluster.Role) bool { return len(before.NodesOf(role)) == 0 })
			if !slices.Equal(changed, want) {
				t.Errorf("changes %v, want %v", changed, want)
			}
		})
	}
}

func aws() *cluster.Resolved { return onAWS(selfHosted()) }

// A slot of the pool has the same document before and after the spec launches it.
func TestDocumentOfSlotThatIsNotLaunched(t *testing.T) {
	r := selfHosted()
	node, err := r.PoolNode(4)
	if err != nil {
		t.Fatal(err)
	}
	early := newDocument(t, r, node)
	if _, err := early.Cluster.Node("api-4"); err != nil {
		t.Error(err)
	}
	if others := early.Cluster.NodesOf(cluster.RoleAPI); len(others) != 1 {
		t.Errorf("the document names API nodes %v", others)
	}
	for slot := 3; slot <= 4; slot++ {
		n, err := r.PoolNode(slot)
		if err != nil {
			t.Fatal(err)
		}
		r.Nodes = slices.Insert(r.Nodes, 1+slot, n)
	}
	if late := newDocument(t, r, node); late.InstanceID() != early.InstanceID() {
		t.Error("launching the slot changes its document")
	}
}

// Making a document leaves the cluster that it is made of alone.
func TestNewDocumentKeepsTheCluster(t *testing.T) {
	r := aws()
	for _, node := range r.Nodes {
		newDocument(t, r, node)
	}
	if r.Postgres.MaxConnections == 0 || r.API.Max == 0 || r.Cinc == nil || r.Nodes[1].Placement == nil || len(r.Network.Subnets) == 0 {
		t.Errorf("the cluster has lost something: %+v", r)
	}
}
