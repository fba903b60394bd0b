package cinc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// keyName is the bundle's key among pivotal's.
const keyName = "cincbake"

// publicKeyFile holds the public half of the bundle's key.
const publicKeyFile = "/etc/cincbake/superuser.pub"

// attemptFile names the attempt to bootstrap that this machine is at. It is gone after a power-off, as the attempt is.
const attemptFile = "/run/cincbake/bootstrap-attempt"

// forgetAttempt returns the steps that take away what an earlier attempt to bootstrap left, here and in the databases.
func forgetAttempt(in role.Inputs) step.Plan {
	start := in.Joined.API
	plan := step.Plan{{
		Title:  "Forget an earlier attempt",
		Reason: "Cinc Server would take this machine for one that is configured, or that joins",
		Action: forget{attempt: start.Attempt},
	}}
	if start.Clear {
		plan = append(plan, step.Step{
			Title:  "Drop the half-made databases",
			Reason: "they hold no organization, and Cinc Server fills a database only when it makes it itself",
			Action: clearDatabases{DatabaseOf(in), start.Attempt},
		})
	}
	return append(plan, step.Step{
		Title:  "Begin the attempt",
		Reason: "what is done from here on is not done twice",
		Action: step.File{Path: attemptFile, Mode: 0o600, Content: []byte(start.Attempt)},
	})
}

// at tells whether the machine is at that attempt.
func at(files step.Files, attempt string) (bool, error) {
	entry, err := files.Read(attemptFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && string(entry.Content) == attempt, err
}

// forget takes the traces of an earlier attempt off this machine.
type forget struct{ attempt string }

var _ step.Action = forget{}

func (f forget) Check(_ context.Context, run *step.Run) (bool, error) { return at(run, f.attempt) }

func (forget) Apply(_ context.Context, run *step.Run) error {
	for _, path := range traces() {
		if err := run.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// traces are what a reconfigure leaves by which the next one knows that it is not the first.
func traces() []string {
	return []string{runningFile, SentinelFile, LevelFile, stampFile, ConfigDir + "/pivotal.pem"}
}

func (forget) String() string { return "remove " + strings.Join(traces(), ", ") }

// clearDatabases drops what a bootstrap left half-made.
type clearDatabases struct {
	database Database
	attempt  string
}

var _ step.Action = clearDatabases{}

func (c clearDatabases) Check(_ context.Context, run *step.Run) (bool, error) {
	return at(run, c.attempt)
}

func (c clearDatabases) Apply(ctx context.Context, _ *step.Run) error { return c.database.clear(ctx) }

func (clearDatabases) String() string { return "drop databases " + strings.Join(databaseNames(), ", ") }

// handOver returns the steps that end a bootstrap: the superuser's key is the bundle's alone, this machine holds every
// secret as the others do, and it is written down that the databases are made.
func handOver(in role.Inputs) (step.Plan, error) {
	var plan step.Plan
	start, database, public := in.Joined.API, DatabaseOf(in), in.Secrets.Cinc.Superuser.Public
	if start.Finish {
		plan = append(plan,
			step.Step{
				Title:  "Write the public half of the superuser's key",
				Reason: "Cinc Server reads it from a file",
				Action: step.File{Path: publicKeyFile, Mode: 0o644, Content: []byte(public)},
			},
			step.Step{
				Title:  "Give the superuser the bundle's key",
				Reason: "with an external database Cinc Server makes one by itself, and takes no other before",
				Action: addKey{loopback(in), database, public},
			},
			step.Step{
				Title:  "Take the superuser's other keys away",
				Reason: "who holds the bundle holds the only one",
				Action: deleteKeys{database, public},
			})
	}
	if start.Bootstrap {
		in.Joined.API = role.APIStart{}
		full, err := render(in)
		if err != nil {
			return nil, err
		}
		digest := full.digest()
		plan = append(plan,
			step.Step{
				Title:  "Write Cinc Server's secrets, whole",
				Reason: secretsReason(in, false),
				Action: step.File{Path: SecretsFile, Mode: 0o600, Content: full.store},
			},
			step.Step{
				Title:  "Fill Cinc Server's secrets store with them",
				Reason: "every API node holds the same values, this one too",
				Action: fill{store: full.store, digest: digest},
			},
			step.Step{
				Title:  "Write down what is configured",
				Reason: "the next boot finds nothing new",
				Action: stamp{digest},
			})
	}
	if start.Finish || start.Upgrade {
		plan = append(plan, step.Step{
			Title:  "Write down that the databases are made",
			Reason: "from here on no machine makes them again, whatever it finds",
			Action: finish{database, in.Cluster.Cinc.Version},
		})
	}
	return plan, nil
}

// statusDeadline bounds the wait for a Cinc Server that was just configured, and statusPause is between two questions.
const (
	statusDeadline = 10 * time.Minute
	statusPause    = time.Second
)

// addKey gives pivotal the bundle's key. Cinc Server does so over its own API, which answers a while after a reconfigure.
type addKey struct {
	front    front
	database Database
	public   string
}

var _ step.Action = addKey{}

func (a addKey) Check(ctx context.Context, _ *step.Run) (bool, error) {
	contents, err := a.database.Look(ctx, a.public)
	return contents.OurKey, err
}

func (a addKey) Apply(ctx context.Context, run *step.Run) error {
	waiting, cancel := context.WithTimeout(ctx, statusDeadline)
	defer cancel()
	for {
		err := a.front.status(waiting)
		if err == nil {
			break
		}
		if role.Pause(waiting, statusPause) != nil {
			return fmt.Errorf("the Cinc Server that was just configured does not answer: %w", errors.Join(context.Cause(ctx), err))
		}
	}
	_, err := run.Run(ctx, step.Command{Argv: []string{Ctl, "add-user-key", "pivotal", "--public-key-path", publicKeyFile, "--key-name", keyName}})
	return err
}

func (addKey) String() string { return "run " + Ctl + " add-user-key pivotal" }

// deleteKeys takes every other key of pivotal's away.
type deleteKeys struct {
	database Database
	public   string
}

var _ step.Action = deleteKeys{}

func (d deleteKeys) Check(ctx context.Context, _ *step.Run) (bool, error) {
	contents, err := d.database.Look(ctx, d.public)
	return contents.OurKey && len(contents.OtherKeys) == 0, err
}

func (d deleteKeys) Apply(ctx context.Context, run *step.Run) error {
	contents, err := d.database.Look(ctx, d.public)
	if err != nil {
		return err
	}
	if !contents.OurKey {
		return errors.New("pivotal does not have the bundle's key, and keeps the one that it has")
	}
	for _, name := range contents.OtherKeys {
		if _, err := run.Run(ctx, step.Command{Argv: []string{Ctl, "delete-user-key", "pivotal", name}}); err != nil {
			return err
		}
	}
	return nil
}

func (deleteKeys) String() string {
	return "run " + Ctl + " delete-user-key pivotal for every other key"
}

// finish writes into the ledger that the databases are made.
type finish struct {
	database Database
	version  string
}

var _ step.Action = finish{}

func (f finish) Check(ctx context.Context, _ *step.Run) (bool, error) {
	ledger, err := f.database.readLedger(ctx)
	return ledger.Made && ledger.Version == f.version, err
}

func (f finish) Apply(ctx context.Context, _ *step.Run) error {
	return f.database.finish(ctx, f.version)
}

func (finish) String() string { return "write the ledger in database " + ledgerDatabase }
