package explain

import (
	"fmt"
	"slices"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/opensearch"
	"github.com/cincbake/cincbake/roles/role"
)

// joined asks the roles' own decision tables how the machine would join.
func (w world) joined(in role.Inputs) role.Decision {
	if w.self.Role == cluster.RoleOpenSearch {
		return w.searchJoined(in)
	}
	if !slices.ContainsFunc(w.cluster.Voters(), func(n cluster.Node) bool { return n.Name == w.self.Name }) {
		decision := role.Decision{Verdict: role.Proceed, API: role.APIStart{Bootstrap: w.bootstraps(), Finish: w.bootstraps()}}
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

// searchJoined is how a search node joins. Only its partners' answers count.
func (w world) searchJoined(in role.Inputs) role.Decision {
	view := opensearch.View{Self: w.self, Nodes: w.cluster.NodesOf(cluster.RoleOpenSearch), Own: in.Own, Peers: cluster.Peers{}}
	for _, n := range w.cluster.Partners(w.self) {
		view.Peers[n.Name] = in.Peers[n.Name]
	}
	if w.join {
		view.Live = "known-at-boot"
	}
	return opensearch.Decide(w.cluster.Name, view)
}

// bootstraps tells whether the machine makes Cinc Server's databases. Which API node does is decided by a lock at boot; here
// it is the first one.
func (w world) bootstraps() bool {
	servers := w.cluster.NodesOf(cluster.RoleAPI, cluster.RoleStandalone)
	return !w.join && len(servers) > 0 && servers[0].Name == w.self.Name
}
