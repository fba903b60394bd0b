package pgbackrest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Backup is one backup in the repository.
type Backup struct {
	Label   string    `json:"label"` // pgBackRest's name for it, like 20261126-020000F
	Type    Type      `json:"type"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Bytes   int64     `json:"bytes"`   // of the databases
	Stored  int64     `json:"stored"`  // what it added to the repository
	Damaged bool      `json:"damaged"` // pages failed their checksums
}

// Seconds is how long it took.
func (b Backup) Seconds() float64 { return b.Ended.Sub(b.Began).Seconds() }

// Type is what a backup copies.
type Type string

// The types of backups, as pgBackRest calls them.
const (
	Full         Type = "full" // everything
	Differential Type = "diff" // what changed since the last full one
	Incremental  Type = "incr" // what changed since the last one of any type
)

// Types lists them.
func Types() []Type { return []Type{Full, Differential, Incremental} }

// State is what the repository holds, and how the backup of a type that was ordered on this machine stands.
type State struct {
	Running bool     `json:"running"` // a backup is being made on this machine, of whatever type
	Failed  string   `json:"failed,omitempty"`
	Backups []Backup `json:"backups"` // oldest first
}

func unitOf(t Type) string { return strings.Replace(unit, "@", "@"+string(t), 1) }

// Order begins a backup on this machine, which must be the primary, and does not wait for its end.
func Order(ctx context.Context, host step.Runner, t Type) error {
	if !slices.Contains(Types(), t) {
		return &role.Refusal{Reason: fmt.Sprintf("there is no backup of type %q", t), Hint: "full, diff or incr"}
	}
	running, err := running(ctx, host)
	if err != nil {
		return err
	}
	if running {
		return &role.Refusal{Reason: "a backup is being made already", Hint: "wait for its end: cincbake backup list"}
	}
	// What an earlier one failed of would pass for the failure of this one. A unit that never ran is not there to be reset.
	if _, err := host.Run(ctx, step.Command{Argv: []string{"systemctl", "reset-failed", unitOf(t)}}); err != nil && ctx.Err() != nil {
		return err
	}
	_, err = host.Run(ctx, step.Command{Argv: []string{"systemctl", "start", "--no-block", unitOf(t)}})
	return err
}

// StateOf returns how things stand. The type is that of the backup whose failure is asked for; empty: nobody's.
func StateOf(ctx context.Context, host step.Runner, c *cluster.Resolved, t Type) (State, error) {
	var state State
	var err error
	// In this order: a backup that ends in between is in the list, and not one that vanished.
	if state.Running, err = running(ctx, host); err != nil {
		return state, err
	}
	if t != "" && !state.Running {
		if state.Failed, err = failure(ctx, host, unitOf(t)); err != nil {
			return state, err
		}
	}
	state.Backups, err = list(ctx, host, c)
	return state, err
}

func running(ctx context.Context, host step.Runner) (bool, error) {
	out, err := host.Run(ctx, step.Command{Argv: []string{
		"systemctl", "list-units", "--plain", "--no-legend", "--state=activating", strings.Replace(unit, "@", "@*", 1),
	}})
	return len(strings.TrimSpace(string(out.Stdout))) > 0, err
}

// failure returns the last lines of a unit that failed; empty: it did not.
func failure(ctx context.Context, host step.Runner, name string) (string, error) {
	out, err := host.Run(ctx, step.Command{Argv: []string{"systemctl", "show", "--value", "--property=ActiveState", name}})
	if err != nil || strings.TrimSpace(string(out.Stdout)) != "failed" {
		return "", err
	}
	const told = "journalctl -u " + unit + " says why"
	out, err = host.Run(ctx, step.Command{Argv: []string{"journalctl", "--no-pager", "--lines=6", "--output=cat", "--unit=" + name}})
	if text := strings.TrimSpace(string(out.Stdout)); err == nil && text != "" {
		return text, nil
	}
	return told, nil //nolint:nilerr // that it failed is the answer, with its words or without
}

// list asks the repository. It is not read from files: only pgBackRest can decrypt it.
func list(ctx context.Context, host step.Runner, c *cluster.Resolved) ([]Backup, error) {
	out, err := host.Run(ctx, step.Command{
		Argv: []string{program, "--stanza=" + c.Name, "--output=json", "--log-level-console=off", "info"}, As: role.UserPostgres,
	})
	if err != nil {
		return nil, err
	}
	return decodeInfo(out.Stdout, c.Name)
}

// missing are pgBackRest's codes for a repository without this cluster: it had no backup yet.
var missing = []int{1, 2, 3} // no path, no backups, no data

// decodeInfo reads what pgbackrest info prints.
func decodeInfo(text []byte, stanza string) ([]Backup, error) {
	var stanzas []struct {
		Name   string
		Status struct {
			Code    int
			Message string
		}
		Backup []struct {
			Label     string
			Type      Type
			Error     bool
			Timestamp struct{ Start, Stop int64 }
			Info      struct {
				Size       int64
				Repository struct{ Delta int64 }
			}
		}
	}
	if err := json.Unmarshal(text, &stanzas); err != nil {
		return nil, fmt.Errorf("pgbackrest info: %w", err)
	}
	backups := []Backup{}
	for _, s := range stanzas {
		if s.Name != stanza {
			continue
		}
		if s.Status.Code != 0 && !slices.Contains(missing, s.Status.Code) {
			return nil, errors.New("the repository: " + s.Status.Message)
		}
		for _, b := range s.Backup {
			backups = append(backups, Backup{
				Label: b.Label, Type: b.Type, Damaged: b.Error,
				Began: time.Unix(b.Timestamp.Start, 0).UTC(), Ended: time.Unix(b.Timestamp.Stop, 0).UTC(),
				Bytes: b.Info.Size, Stored: b.Info.Repository.Delta,
			})
		}
	}
	return backups, nil
}
