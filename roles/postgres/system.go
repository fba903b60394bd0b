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
	if begun && initialised.Value == "" {
		return s.dropUnfinished(ctx, run, client, key, initialised.Created)
	}
	disk, err := s.systemID(ctx, run)
	if err != nil || disk == "" || disk == initialised.Value {
		return err
	}
	if !begun {
		initialised.Value = "not initialised yet"
	}
	return &role.Refusal{
		Reason: fmt.Sprintf("the data disk holds database system %s, but this cluster's is %s", disk, initialised.Value),
		Hint:   "attach this machine's own disk, or an empty one: an empty one is filled from the primary",
	}
}

// deleter is what dropUnfinished needs of etcd.
type deleter interface {
	Delete(ctx context.Context, name, created string) error
}

// dropUnfinished throws away a database whose making was cut off on this machine, by a power failure say. Patroni marks a
// cluster as begun before it makes the database, and names the system only when all is done and clients may come: until
// then nothing in there can have been acknowledged. Patroni itself would start what it finds, or wait for a primary for ever.
// Only the machine that was making it has data, so no other one's attempt is ever taken away.
func (s sameSystem) dropUnfinished(ctx context.Context, run *step.Run, keys deleter, key, created string) error {
	dir, aside := dataDir(s.in.Cluster.Postgres.Version), Dir+"/unfinished-"+created
	if _, err := run.Run(ctx, step.Command{Argv: []string{"systemctl", "is-active", "--quiet", Unit}}); err == nil {
		return nil // it is being made right now
	}
	names, err := run.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(names) > 0 {
		if _, err := run.Run(ctx, step.Command{Argv: []string{"mv", "--no-target-directory", dir, aside}}); err != nil {
			return err
		}
	} else if _, err := run.List(aside); errors.Is(err, fs.ErrNotExist) {
		return nil // another machine makes it
	}
	// The name of the folder tells which attempt it was, also after this was cut off in its turn.
	if err := keys.Delete(ctx, key, created); err != nil {
		return err
	}
	return run.Remove(aside)
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
