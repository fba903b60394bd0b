package step

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Exec runs a program when it has to.
type Exec struct {
	Command Command
	// Creates is a path that exists once the program has run. Without it, and without After, the program always runs.
	Creates string
	// After are paths: the program runs only when one of them changed, and it has not run since.
	After []string
}

var (
	_ Action = Exec{}
	_ Action = Packages{}
	_ Action = Unit{}
	_ Action = User{}
)

// Check tells whether there is nothing to run.
func (e Exec) Check(_ context.Context, run *Run) (bool, error) {
	switch {
	case len(e.After) > 0 && !run.unread(e, e.After):
		return true, nil
	case e.Creates != "":
		return exists(run, e.Creates)
	}
	return false, nil
}

// Apply runs the program.
func (e Exec) Apply(ctx context.Context, run *Run) error {
	if _, err := run.Run(ctx, e.Command); err != nil {
		return err
	}
	return run.told(e, e.After)
}

func (e Exec) String() string { return "run " + strings.Join(e.Command.Argv, " ") }

// Packages are Debian packages that must be installed.
type Packages struct {
	Names []string
}

// Check asks dpkg for all of them at once.
func (p Packages) Check(ctx context.Context, run *Run) (bool, error) {
	argv := append([]string{"dpkg-query", "--show", "--showformat=${db:Status-Abbrev}\n"}, p.Names...)
	out, err := run.Run(ctx, Command{Argv: argv})
	if ExitStatus(err) == 1 { // a package that dpkg has never heard of
		return false, nil
	}
	if err != nil {
		return false, err
	}
	rows := strings.Fields(string(out.Stdout))
	for _, row := range rows {
		if row != "ii" {
			return false, nil
		}
	}
	return len(rows) == len(p.Names), nil
}

// Apply installs them in one transaction, without recommendations and without questions.
func (p Packages) Apply(ctx context.Context, run *Run) error {
	argv := []string{
		"apt-get", "install", "--yes", "--no-install-recommends",
		// A base image's own first-boot jobs may hold the lock for a while; mirrors drop connections.
		"-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=5",
		// Nothing is lost when a bake dies half way: it starts again from the base.
		"-o", "DPkg::Options::=--force-unsafe-io", "-o", "DPkg::Options::=--force-confold",
	}
	_, err := run.Run(ctx, Command{
		Argv: append(argv, p.Names...),
		Env:  []string{"DEBIAN_FRONTEND=noninteractive", "SOURCE_DATE_EPOCH=1700000000"},
	})
	return err
}

func (p Packages) String() string { return "install " + strings.Join(p.Names, " ") }

// UnitState is how a unit must be.
type UnitState string

// The states of units.
const (
	Started  UnitState = "started"  // running now; restarted, or reloaded, when a file of Watch changed since it was told
	Enabled  UnitState = "enabled"  // starts at every boot
	Disabled UnitState = "disabled" // does not start by itself
	Masked   UnitState = "masked"   // can't be started
)

// Unit is a systemd unit in a state.
type Unit struct {
	Name  string
	State UnitState
	Watch []string // files that the running unit has read
	// NoWait starts without waiting until the unit is up: a first etcd member is up only once a second one is there. The process
	// that ran before is gone all the same: whoever asks the program next must not hear from that one that all is well.
	NoWait bool
	// Reload lets a running unit read a changed file again, without a restart: its connections stay.
	Reload bool
}

// Check asks systemd.
func (u Unit) Check(ctx context.Context, run *Run) (bool, error) {
	if u.State == Started {
		if run.unread(u, u.Watch) {
			return false, nil
		}
		state, err := output(ctx, run, "systemctl", "show", "--value", "--property=ActiveState", u.Name)
		return state == "active" || u.NoWait && state == "activating", err
	}
	state, err := output(ctx, run, "systemctl", "is-enabled", u.Name)
	if u.State == Disabled && (state == "static" || state == "masked" || state == "not-found") {
		return true, err
	}
	return state == string(u.State), err
}

// Apply tells systemd.
func (u Unit) Apply(ctx context.Context, run *Run) error {
	argv := map[UnitState][]string{
		Started:  {"systemctl", "restart", u.Name}, // starts what is not running
		Enabled:  {"systemctl", "enable", u.Name},
		Disabled: {"systemctl", "disable", u.Name},
		Masked:   {"systemctl", "mask", u.Name},
	}[u.State]
	if u.Reload {
		argv[1] = "reload-or-restart" // also starts what is not running
	}
	if u.NoWait {
		argv = slices.Insert(argv, 2, "--no-block")
	}
	before, err := u.process(ctx, run)
	if err != nil {
		return err
	}
	if _, err := run.Run(ctx, Command{Argv: argv}); err != nil {
		if u.State == Started {
			return fmt.Errorf("%w%s", err, journal(ctx, run, u.Name))
		}
		return err
	}
	if err := u.awaitEnd(ctx, run, before); err != nil {
		return err
	}
	return run.told(u, u.Watch)
}

// endPause is how long to wait at least before looking again whether a process is gone.
const endPause = 50 * time.Millisecond

// awaitEnd waits until a process of the unit is gone. Where systemd waits itself, there is none to wait for.
func (u Unit) awaitEnd(ctx context.Context, run *Run, process string) error {
	for process != "" {
		switch now, err := u.process(ctx, run); {
		case err != nil:
			return err
		case now != process:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %s of %s was told to end, and goes on: %w", process, u.Name, context.Cause(ctx))
		case <-time.After(endPause + rand.N(endPause)): //nolint:gosec // jitter, not a secret
		}
	}
	return nil
}

// process is what a unit that nobody waits for runs now; empty: nothing.
func (u Unit) process(ctx context.Context, run *Run) (string, error) {
	if !u.NoWait {
		return "", nil
	}
	pid, err := output(ctx, run, "systemctl", "show", "--value", "--property=MainPID", u.Name)
	return strings.TrimPrefix(pid, "0"), err // 0 is none
}

func (u Unit) String() string { return fmt.Sprintf("unit %s %s", u.Name, u.State) }

// User is a system user with a fixed number, so that a data disk's files keep their owner in every image.
type User struct {
	Name  string
	UID   int // of its group too
	Home  string
	Shell string
}

// Check asks the user database.
func (u User) Check(ctx context.Context, run *Run) (bool, error) {
	return succeeds(ctx, run, Command{Argv: []string{"id", u.Name}})
}

// Apply makes the user and the group of its name.
func (u User) Apply(ctx context.Context, run *Run) error {
	id := fmt.Sprint(u.UID)
	// SOURCE_DATE_EPOCH: useradd writes the day into /etc/shadow otherwise, and two bakes would differ.
	env := []string{"SOURCE_DATE_EPOCH=1700000000"}
	if _, err := run.Run(ctx, Command{Argv: []string{"groupadd", "--system", "--gid", id, u.Name}, Env: env}); err != nil {
		return err
	}
	_, err := run.Run(ctx, Command{Env: env, Argv: []string{
		"useradd", "--system", "--uid", id, "--gid", id, "--home-dir", u.Home, "--no-create-home", "--shell", u.Shell, u.Name,
	}})
	return err
}

func (u User) String() string { return fmt.Sprintf("make user %s (%d)", u.Name, u.UID) }

func exists(run *Run, path string) (bool, error) {
	_, err := run.Read(path)
	if err == nil {
		return true, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return false, err
}

// succeeds runs a program whose status is the answer.
func succeeds(ctx context.Context, run *Run, command Command) (bool, error) {
	_, err := run.Run(ctx, command)
	if ExitStatus(err) > 0 {
		return false, nil
	}
	return err == nil, err
}

// output runs a program whose output is the answer, whatever its status: systemctl is-enabled answers "disabled" with 1.
func output(ctx context.Context, run *Run, argv ...string) (string, error) {
	out, err := run.Run(ctx, Command{Argv: argv})
	if ExitStatus(err) > 0 {
		err = nil
	}
	return string(bytes.TrimSpace(out.Stdout)), err
}

// journal returns a failed unit's last lines, as an error's tail.
func journal(ctx context.Context, run *Run, unit string) string {
	out, err := run.Run(ctx, Command{Argv: []string{"journalctl", "--no-pager", "--lines=8", "--output=cat", "--unit=" + unit}})
	if err != nil {
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(string(out.Stdout)) {
		b.WriteString("\n    | " + strings.TrimRight(line, "\n"))
	}
	return b.String()
}
