package postgres

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// sharedParameters brings the parameters in etcd to what this machine's document says. Patroni reads them from its own
// configuration only once, when a cluster is made; a larger API tier may need more connections later. It goes through
// another member, before this one's database starts: so a machine that replaces another starts with the new values, and
// when the last one is replaced they hold everywhere, without a restart.
type sharedParameters struct{ in role.Inputs }

var _ step.Action = sharedParameters{}

// askWithin bounds the question to one member: one that does not answer must not keep this machine down.
const askWithin = 5 * time.Second

// Check asks another member. When none answers, this machine is the first, or the others have the same document.
func (s sharedParameters) Check(ctx context.Context, _ *step.Run) (bool, error) {
	for _, api := range s.members() {
		if same, err := api.hasParameters(ctx, shared(s.in.Cluster)); err == nil {
			return same, nil
		}
	}
	return true, nil
}

// Apply tells the first member that takes it.
func (s sharedParameters) Apply(ctx context.Context, _ *step.Run) error {
	var err error
	for _, api := range s.members() {
		if err = api.setParameters(ctx, shared(s.in.Cluster)); err == nil {
			return nil
		}
	}
	return err
}

func (s sharedParameters) String() string { return "tell a running member what changed" }

// members are the other database nodes whose agents answered.
func (s sharedParameters) members() []API {
	var apis []API
	for _, n := range s.in.Located(cluster.RolePostgres) {
		if peer, ok := s.in.Peers[n.Name]; ok && peer.Answered() {
			apis = append(apis, APIOf(s.in, n))
		}
	}
	return apis
}

// hasParameters tells whether the cluster's parameters are those wanted. Others than these may be set besides.
func (a API) hasParameters(ctx context.Context, wanted map[string]string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var config struct {
		PostgreSQL struct{ Parameters map[string]any }
	}
	if err := a.call(ctx, http.MethodGet, "/config", nil, &config); err != nil {
		return false, err
	}
	for name, value := range wanted {
		if has, ok := config.PostgreSQL.Parameters[name]; !ok || fmt.Sprint(has) != value {
			return false, nil
		}
	}
	return true, nil
}

// setParameters changes these of the cluster's parameters.
func (a API) setParameters(ctx context.Context, wanted map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	change := map[string]any{"postgresql": map[string]any{"parameters": wanted}}
	return a.call(ctx, http.MethodPatch, "/config", change, nil)
}
