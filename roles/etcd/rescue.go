package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// rescueFile holds an operator's order to make this machine's data the whole cluster: the token of that cluster.
const rescueFile = Dir + "/rescue-ordered"

// OrderRescue orders the next join to make this machine's data the whole cluster.
func OrderRescue(files step.Files, clusterName string) error {
	token := clusterName + "-rescue-" + rand.Text()
	return files.Put(rescueFile, step.Entry{Kind: step.KindFile, Mode: 0o600, Owner: "root", Group: "root", Content: []byte(token)})
}

func rescueOrdered(files step.Files) (token string, err error) {
	entry, err := files.Read(rescueFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(entry.Content)), err
}

// rescue makes a new cluster of one member out of the data. The database is restored as from a snapshot, and not kept
// in place by --force-new-cluster: that drops a last entry from the log whose effect stays in the database, and members
// that join later, replaying the log, differ from this one for ever.
type rescue struct{ in role.Inputs }

var _ step.Action = rescue{}

const restoredDir = Dir + "/restored"

// revisionBump is far more than a lost majority can have been ahead: no client may see a revision twice (etcd's own
// advice for restores).
const revisionBump = "1000000000"

// Check tells whether there is no order left.
func (r rescue) Check(_ context.Context, run *step.Run) (bool, error) {
	token, err := rescueOrdered(run)
	return token == "", err
}

// Apply can be cut off at any point and run again: the data changes its place in one step, and the order goes last. What the
// data was before is kept aside, unless the cut fell between the exchange and the record: then the restored data, which holds
// the same, is restored once more.
func (r rescue) Apply(ctx context.Context, run *step.Run) error {
	record, err := Home.Read(run)
	if err != nil {
		return err
	}
	token, err := rescueOrdered(run)
	if err != nil {
		return err
	}
	if record.Token != token { // not exchanged yet
		if err := r.restore(ctx, run, token); err != nil {
			return err
		}
		record.Formation, record.Token, record.ClusterID, record.MemberID = cluster.FormationForming, token, "", ""
		if err := Home.Write(run, record); err != nil {
			return err
		}
	}
	if err := keepOld(ctx, run); err != nil {
		return err
	}
	return run.Remove(rescueFile)
}

// keepOld sets the data aside that the exchange left in restoredDir, unless an earlier attempt already did.
func keepOld(ctx context.Context, run *step.Run) error {
	if _, err := run.List(restoredDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	aside := fmt.Sprintf("%s.before-rescue-%s", Dir, time.Now().UTC().Format("20060102T150405Z"))
	_, err := run.Run(ctx, step.Command{Argv: []string{"mv", "--no-target-directory", restoredDir, aside}})
	return err
}

func (r rescue) restore(ctx context.Context, run *step.Run, token string) error {
	if err := run.Remove(restoredDir); err != nil {
		return err
	}
	self := r.in.Self
	for _, argv := range [][]string{
		{"systemctl", "stop", Unit},
		{
			"etcdutl", "snapshot", "restore", StoreDir + "/member/snap/db", "--skip-hash-check", "--data-dir", restoredDir,
			"--name", self.Name, "--initial-cluster", self.Name + "=" + PeerURL(self), "--initial-cluster-token", token,
			"--initial-advertise-peer-urls", PeerURL(self), "--bump-revision", revisionBump, "--mark-compacted",
		},
		{"chown", "--recursive", role.UserEtcd + ":" + role.UserEtcd, restoredDir},
		{"mv", "--exchange", "--no-target-directory", restoredDir, StoreDir},
	} {
		if _, err := run.Run(ctx, step.Command{Argv: argv}); err != nil {
			return err
		}
	}
	return nil
}

func (r rescue) String() string { return "restore " + StoreDir + " as a cluster of one member" }
