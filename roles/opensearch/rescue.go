package opensearch

import (
	"context"
	"errors"
	"io/fs"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// rescueFile is an operator's order to make this machine's data the whole cluster.
const rescueFile = Dir + "/rescue-ordered"

// OrderRescue orders the next join to make this machine's data the whole cluster. A node that is in a cluster needs none.
func OrderRescue(ctx context.Context, files step.Files, in role.Inputs) error {
	own, err := base.Address(in)
	if err != nil {
		return err
	}
	c, err := newClient(in, in.Self.Name, own)
	if err != nil {
		return err
	}
	if _, err := c.membership(ctx, liveTimeout); err == nil {
		return &role.Refusal{Reason: "this machine is in a search cluster that has a manager", Hint: "empty machines join it by themselves; see cincbake status"}
	}
	return files.Put(rescueFile, step.Entry{Kind: step.KindFile, Mode: 0o600, Owner: "root", Group: "root", Content: []byte("ordered\n")})
}

func rescueOrdered(files step.Files) (bool, error) {
	_, err := files.Read(rescueFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// rescue makes a new cluster of one node out of the data: every vote is this node's, and the cluster gets another
// cluster_uuid, so that no disk of the old one can come back into it.
type rescue struct{}

var _ step.Action = rescue{}

// Check tells whether there is no order left.
func (rescue) Check(_ context.Context, run *step.Run) (bool, error) {
	ordered, err := rescueOrdered(run)
	return !ordered, err
}

// Apply can be cut off at any point and run again: nothing starts OpenSearch before the order is gone, and that goes last.
func (rescue) Apply(ctx context.Context, run *step.Run) error {
	for _, command := range []step.Command{
		{Argv: []string{"systemctl", "stop", Unit}},
		{
			Argv: []string{"/usr/share/opensearch/bin/opensearch-node", "unsafe-bootstrap"}, As: role.UserOpenSearch,
			Env: []string{"OPENSEARCH_PATH_CONF=" + configDir}, Stdin: []byte("y\n"),
		},
	} {
		if _, err := run.Run(ctx, command); err != nil {
			return err
		}
	}
	record, err := Home.Read(run)
	if err != nil {
		return err
	}
	record.Formation, record.Token, record.ClusterID = cluster.FormationFormed, "", ""
	if err := Home.Write(run, record); err != nil {
		return err
	}
	return run.Remove(rescueFile)
}

func (rescue) String() string { return "make " + StoreDir + " a cluster of one node" }
