package cinc

import (
	"context"
	"strings"

	"github.com/cincbake/cincbake/step"
)

// reindexUnit fills the search index anew. It is a unit of its own: it may take hours, and outlives whoever ordered it.
const reindexUnit = "cincbake-reindex.service"

// reindexScript makes the index where it is missing, which only a reconfigure does, and fills it.
const reindexScript = Ctl + " reconfigure && exec " + Ctl + " reindex -a"

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
		"--setenv=CHEF_LICENSE=accept-no-persist", "--setenv=HOME=/root", "--setenv=LC_ALL=C.UTF-8", "sh", "-c", reindexScript,
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
