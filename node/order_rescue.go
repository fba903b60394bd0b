package node

import (
	"fmt"
	"net/http"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// rescue orders this machine's etcd data to become the whole cluster. It is safe only when nobody else can still hold the
// quorum, so every other voter must have answered that it is empty.
func (e *endpoint) rescue(r *http.Request) (any, error) {
	own, err := e.machine.Observe(e.host)
	if err != nil {
		return nil, err
	}
	if own.Formation != cluster.FormationFormed {
		return nil, &role.Refusal{Reason: "this machine holds no data of a formed cluster", Hint: "rescue from the machine that kept its disk"}
	}
	peers, err := askPeers(r.Context(), e.in)
	if err != nil {
		return nil, err
	}
	for name, peer := range peers {
		if !peer.Answered() {
			return nil, &role.Refusal{
				Reason: name + " does not answer; it may still hold the quorum with another machine",
				Hint:   "start it, or replace it by an empty machine of its name, and ask again",
			}
		}
		if peer.Observation.Formation != cluster.FormationEmpty {
			return nil, &role.Refusal{Reason: fmt.Sprintf("%s is not empty but %s", name, peer.Observation.Formation), Hint: "start every machine that kept its disk; the quorum then returns by itself"}
		}
	}
	if err := etcd.OrderRescue(e.host, e.machine.Document.Cluster.Name); err != nil {
		return nil, err
	}
	if _, err := e.host.Run(r.Context(), step.Command{Argv: []string{"systemctl", "restart", "--no-block", role.UnitBoot}}); err != nil {
		return nil, err
	}
	return map[string]string{"node": e.machine.Self.Name, "ordered": "etcd's data on this machine becomes the cluster; the others join it by themselves"}, nil
}
