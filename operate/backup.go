package operate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/roles/pgbackrest"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
)

const (
	// listDeadline bounds one look into the repository, which may be far away.
	listDeadline = time.Minute
	// silence is how long the machine that copies may be silent, or show no backup where there should be one.
	silence = 30 * time.Second
	// backupPause is about how long to wait before looking again.
	backupPause = time.Second
)

// Backups returns what the repository holds, oldest first, from the first database node that can tell.
func (c Client) Backups(ctx context.Context) ([]pgbackrest.Backup, error) {
	nodes := c.Cluster.NodesOf(cluster.RolePostgres)
	if err := c.keepsBackups(nodes); err != nil {
		return nil, err
	}
	var problems []error
	for _, node := range nodes {
		state, err := c.backupState(ctx, node, "")
		if err == nil {
			return state.Backups, nil
		}
		problems = append(problems, err)
	}
	return nil, errors.Join(problems...)
}

// Backup has the primary make a backup and waits for its end, for as long as the context allows.
func (c Client) Backup(ctx context.Context, of pgbackrest.Type) (pgbackrest.Backup, error) {
	var none pgbackrest.Backup
	if err := c.keepsBackups(c.Cluster.NodesOf(cluster.RolePostgres)); err != nil {
		return none, err
	}
	name, err := c.Primary(ctx)
	if err != nil {
		return none, err
	}
	node, err := c.node(name)
	if err != nil {
		return none, err
	}
	before, err := c.backupState(ctx, node, "")
	if err != nil {
		return none, err
	}
	order := struct {
		Type pgbackrest.Type `json:"type"`
	}{of}
	if err := c.callWithin(ctx, orderDeadline, node, http.MethodPost, "/v1/backup", order, new(struct{})); err != nil {
		return none, err
	}
	return c.awaitBackup(ctx, node, of, before.Backups)
}

// awaitBackup waits for a backup that was not there before.
func (c Client) awaitBackup(ctx context.Context, node cluster.Node, of pgbackrest.Type, before []pgbackrest.Backup) (pgbackrest.Backup, error) {
	told := time.Now() // when the machine last said something that we can wait on
	lost := fmt.Errorf("%s makes no backup: is it primary still?", node.Name)
	for {
		state, err := c.backupState(ctx, node, of)
		if err == nil {
			if i := slices.IndexFunc(state.Backups, func(b pgbackrest.Backup) bool { return !has(before, b.Label) }); i >= 0 && !state.Running {
				return state.Backups[i], damaged(state.Backups[i])
			}
			if state.Failed != "" {
				return pgbackrest.Backup{}, fmt.Errorf("the backup on %s failed:\n%s", node.Name, state.Failed)
			}
			if state.Running {
				told = time.Now()
			}
			err = lost
		}
		if time.Since(told) > silence {
			return pgbackrest.Backup{}, err
		}
		if err := role.Pause(ctx, backupPause); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return pgbackrest.Backup{}, exit.Errorf(exit.TimedOut, "the backup on %s goes on without us: cincbake backup list shows it when it is there", node.Name)
			}
			return pgbackrest.Backup{}, err
		}
	}
}

func has(backups []pgbackrest.Backup, label string) bool {
	return slices.ContainsFunc(backups, func(b pgbackrest.Backup) bool { return b.Label == label })
}

// damaged : the copy is there, and what was copied was broken already.
func damaged(b pgbackrest.Backup) error {
	if b.Damaged {
		return fmt.Errorf("backup %s holds pages whose checksums are wrong: the primary's disk is damaged. Make the other machine primary (cincbake switchover), replace this one, and back up again", b.Label)
	}
	return nil
}

func (c Client) backupState(ctx context.Context, node cluster.Node, of pgbackrest.Type) (pgbackrest.State, error) {
	path := "/v1/backup"
	if of != "" {
		path += "?" + url.Values{"type": {string(of)}}.Encode()
	}
	var state pgbackrest.State
	return state, c.callWithin(ctx, listDeadline, node, http.MethodGet, path, nil, &state)
}

func (c Client) callWithin(ctx context.Context, within time.Duration, node cluster.Node, method, path string, order, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return c.call(ctx, node, method, path, order, answer)
}

func (c Client) keepsBackups(databases []cluster.Node) error {
	if c.Cluster.Backup == nil || len(databases) == 0 {
		return exit.Errorf(exit.Invalid, "cluster %s keeps no backups: add backup to the spec, and replace the database machines", c.Cluster.Name)
	}
	return nil
}

// Belongs tells whether the cluster runs with what lasts of this bundle, so that a backup of now can be restored with it.
// Certificates do not matter for that. A machine that does not answer is none the wiser, but for the databases': without
// their word nothing is known.
func (c Client) Belongs(ctx context.Context, bundle *secrets.Bundle) error {
	var others []string
	for _, node := range c.machines(ctx) {
		scoped, err := bundle.Scope(node)
		if err != nil {
			return err
		}
		want, err := scoped.LastingDigest()
		if err != nil {
			return err
		}
		var held struct{ Digest, Lasting string }
		err = c.callWithin(ctx, askDeadline, node, http.MethodGet, "/v1/secrets", nil, &held)
		switch {
		case err != nil && node.Role == cluster.RolePostgres:
			return err
		case err == nil && held.Lasting != want:
			others = append(others, node.Name)
		}
	}
	if len(others) > 0 {
		return exit.Errorf(exit.Unsafe, "%s run with other secrets than this bundle's, so what is backed up now could not be used with it: find the bundle that they were rendered with, or replace them with seeds of this one",
			strings.Join(others, ", "))
	}
	return nil
}

// Size is a number of bytes as people say it.
func Size(bytes int64) string { return size(bytes) }
