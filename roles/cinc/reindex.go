package cinc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// reindexUnit fills the search index anew. It is a unit of its own: it may take hours, and outlives whoever ordered it.
const reindexUnit = "cincbake-reindex.service"

// Reindexing is how a reindex stands.
type Reindexing struct {
	Running bool `json:"running"`
	// Result is systemd's word for how the last one ended: success, exit-code …; empty: there was none since the boot.
	Result string `json:"result,omitempty"`
	// Said are the last lines of a failed one.
	Said string `json:"said,omitempty"`
}

// OrderReindex begins a reindex, unless one runs.
func OrderReindex(ctx context.Context, runner step.Runner) error {
	state, err := ReindexState(ctx, runner)
	if err != nil || state.Running {
		return err
	}
	// What the last one left would keep a new one from beginning; there need not be any.
	_, _ = runner.Run(ctx, step.Command{Argv: []string{"systemctl", "stop", reindexUnit}})
	_, _ = runner.Run(ctx, step.Command{Argv: []string{"systemctl", "reset-failed", reindexUnit}})
	_, err = runner.Run(ctx, step.Command{Argv: []string{
		"systemd-run", "--quiet", "--no-block", "--unit=" + reindexUnit, "--property=RemainAfterExit=yes",
		role.AgentPath, "reindex",
	}})
	return err
}

// ReindexState tells how the last reindex stands.
func ReindexState(ctx context.Context, runner step.Runner) (Reindexing, error) {
	out, err := runner.Run(ctx, step.Command{Argv: []string{"systemctl", "show", "--property=LoadState,ActiveState,SubState,Result", reindexUnit}})
	if err != nil {
		return Reindexing{}, err
	}
	said := map[string]string{}
	for row := range strings.Lines(string(out.Stdout)) {
		name, value, _ := strings.Cut(strings.TrimSpace(row), "=")
		said[name] = value
	}
	if said["LoadState"] != "loaded" {
		return Reindexing{}, nil
	}
	state := Reindexing{
		Running: said["ActiveState"] == "activating" || said["ActiveState"] == "active" && said["SubState"] == "running",
		Result:  said["Result"],
	}
	if !state.Running && state.Result != "success" {
		out, err := runner.Run(ctx, step.Command{Argv: []string{"journalctl", "--unit", reindexUnit, "--lines=12", "--output=cat", "--boot"}})
		if err != nil {
			return state, err
		}
		state.Said = strings.TrimSpace(string(out.Stdout))
	}
	return state, nil
}

// indexPath is Cinc Server's index; its name is fixed.
const indexPath = "/chef"

// Reindex makes the index where it is missing, which only a reconfigure does, and fills it from the database. An index of
// which parts are lost for good takes no writes: it is made anew.
func Reindex(ctx context.Context, host step.Host, in role.Inputs) error {
	lock, err := awaitLock(ctx, DatabaseOf(in), in.Self.Name)
	if err != nil {
		return err
	}
	err = lock.Write(ctx, WorkJoin)
	if err == nil {
		lock.Keep()
		guarded, release := lock.Guard(ctx)
		if err = dropLostIndex(guarded, in); err == nil {
			_, err = runApart(guarded, step.NewRun(host), "reconfigure")
		}
		release()
	}
	lock.Release(context.WithoutCancel(ctx), true)
	if err != nil {
		return err
	}
	_, err = host.Run(ctx, step.Command{Argv: []string{Ctl, "reindex", "-a"}})
	return err
}

// awaitLock takes the lock as soon as nobody else has it.
func awaitLock(ctx context.Context, database Database, node string) (*Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, reconfigureDeadline)
	defer cancel()
	for {
		lock, err := database.Lock(ctx, node)
		var busy *Busy
		if !errors.As(err, &busy) {
			return lock, err
		}
		if role.Pause(ctx, time.Second) != nil {
			return nil, fmt.Errorf("%w: %w", busy, ctx.Err())
		}
	}
}

// dropLostIndex deletes an index of which no copy of some part is left.
func dropLostIndex(ctx context.Context, in role.Inputs) error {
	s := searchAnswers{in, searchURL()}
	var health struct {
		Status string `json:"status"`
	}
	err := s.get(ctx, "/_cluster/health"+indexPath+"?timeout=1s", &health)
	if err != nil || health.Status != "red" {
		return nil //nolint:nilerr // without an index there is no health of it; a reconfigure says what else is wrong
	}
	return s.ask(ctx, http.MethodDelete, indexPath, nil)
}
