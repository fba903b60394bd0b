package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// sameSystem refuses a database that does not belong to the cluster, which it must ask the quorum about. Patroni would
// refuse some of these too, but only after it had started.
type sameSystem struct {
	in     role.Inputs
	binDir string
}

var _ step.Action = sameSystem{}

func (s sameSystem) Check(context.Context, *step.Run) (bool, error) { return false, nil }

func (s sameSystem) Apply(ctx context.Context, run *step.Run) error {
	client, err := etcd.Local(s.in)
	if err != nil {
		return err
	}
	key := "/service/" + s.in.Cluster.Name + "/initialize"
	initialised, begun, err := client.Get(ctx, key)
	if err != nil {
		return etcd.NoQuorum(s.in, err)
	}
	if agreed, err := client.Agreed(ctx); err != nil || !agreed {
		return &role.NotYet{Reason: "etcd's members have not agreed on a version yet", Hint: "they do within seconds of the first election"}
	}
	disk, err := s.systemID(ctx, run)
	if err != nil || disk == "" || disk == initialised {
		return err
	}
	if begun && initialised == "" {
		return nil // Patroni was initialising the cluster; it knows how to go on
	}
	if !begun {
		initialised = "not initialised yet"
	}
	return &role.Refusal{
		Reason: fmt.Sprintf("the data disk holds database system %s, but this cluster's is %s", disk, initialised),
		Hint:   "attach this machine's own disk, or an empty one: an empty one is filled from the primary",
	}
}

func (s sameSystem) String() string { return "compare the disk's database with the cluster's" }

// systemID reads the system identifier of the database on the disk; empty when there is none yet.
func (s sameSystem) systemID(ctx context.Context, run *step.Run) (string, error) {
	dir := dataDir(s.in.Cluster.Postgres.Version)
	if _, err := run.Read(dir + "/global/pg_control"); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	out, err := run.Run(ctx, step.Command{Argv: []string{s.binDir + "/pg_controldata", "--pgdata", dir}, As: role.UserPostgres})
	if err != nil {
		return "", err
	}
	for row := range strings.Lines(string(out.Stdout)) {
		if value, ok := strings.CutPrefix(row, "Database system identifier:"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", errors.New("pg_controldata names no system identifier")
}
