package explain

import (
	"fmt"
	"slices"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/role"
)

// joined asks the roles' own decision tables how the machine would join.
func (w world) joined(in role.Inputs) role.Decision {
	if !slices.ContainsFunc(w.cluster.Voters(), func(n cluster.Node) bool { return n.Name == w.self.Name }) {
		decision := role.Decision{Verdict: role.Proceed, API: role.APIStart{Bootstrap: w.bootstraps(), Finish: w.bootstraps()}}
		if !w.join {
			for _, n := range w.cluster.NodesOf(cluster.RoleOpenSearch) {
				decision.OpenSearch.InitialManagers = append(decision.OpenSearch.InitialManagers, n.Name)
			}
		}
		return decision
	}
	view := etcd.View{Self: w.self, Nodes: w.cluster.Voters(), Own: in.Own, Peers: in.Peers}
	if w.join {
		view.Quorum = &etcd.Quorum{ClusterID: "known-at-boot"}
		for i, n := range view.Nodes {
			if n.Name != w.self.Name {
				view.Quorum.Members = append(view.Quorum.Members, etcd.Member{
					ID: fmt.Sprint(i), Name: n.Name, PeerURLs: []string{etcd.PeerURL(n)}, ClientURLs: []string{etcd.ClientURL(n)},
				})
			}
		}
	}
	decision, _ := etcd.Decide(w.cluster.Name, view)
	return decision
}

// bootstraps tells whether the machine makes Cinc Server's databases. Which API node does is decided by a lock at boot; here
// it is the first one.
func (w world) bootstraps() bool {
	servers := w.cluster.NodesOf(cluster.RoleAPI, cluster.RoleStandalone)
	return !w.join && len(servers) > 0 && servers[0].Name == w.self.Name
}
