package cinc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// reconfigureDeadline bounds one reconfigure. It is below the agent's own deadline for a plan, so that what Cinc Server
// printed is in the error.
const reconfigureDeadline = 13 * time.Minute

// inputs is everything that a reconfigure reads and that may differ between two boots.
type inputs struct {
	configuration []byte
	store         []byte
	password      []byte // of the search user
}

// digest identifies the inputs.
func (i inputs) digest() string {
	sum := sha256.New()
	for _, part := range [][]byte{i.configuration, i.store, i.password} {
		fmt.Fprintf(sum, "%d\n%s", len(part), part) //nolint:errcheck // a hash takes everything
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// configured tells whether the last reconfigure succeeded and read the same.
func configured(files step.Files, digest string) (bool, error) {
	for path, matches := range map[string]func([]byte) bool{
		runningFile: func([]byte) bool { return true },
		stampFile:   func(content []byte) bool { return string(content) == digest+"\n" },
	} {
		entry, err := files.Read(path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil || !matches(entry.Content) {
			return false, err
		}
	}
	return true, nil
}

// fill puts the secrets into Cinc Server's store, before each reconfigure: one that failed has left a superuser's key of its
// own in there, and the next would take this machine for one that joins.
type fill struct {
	store  []byte
	digest string
}

var _ step.Action = fill{}

func (f fill) Check(_ context.Context, run *step.Run) (bool, error) {
	return configured(run, f.digest)
}

func (f fill) Apply(ctx context.Context, run *step.Run) error {
	return step.File{Path: StoreFile, Mode: 0o600, Content: f.store}.Apply(ctx, run)
}

func (fill) String() string { return "copy " + SecretsFile + " to " + StoreFile + " (0600)" }

// reconfigure lets Cinc Server configure itself when it never has, or when something that it reads is new.
type reconfigure struct {
	digest string
	// final tells that a failure must not be followed by another try: what it left behind is looked at first.
	final bool
}

var _ step.Action = reconfigure{}

func (r reconfigure) Check(_ context.Context, run *step.Run) (bool, error) {
	return configured(run, r.digest)
}

func (r reconfigure) Apply(ctx context.Context, run *step.Run) error {
	out, err := runApart(ctx, run, "reconfigure")
	if err != nil {
		err = explain(string(out.Stdout)+string(out.Stderr), err)
		var notYet *role.NotYet
		if r.final && errors.As(err, &notYet) {
			err = fmt.Errorf("%s: what it left in the databases is looked at, and it begins anew", notYet.Reason)
		}
		return err
	}
	return stamp{r.digest}.Apply(ctx, run)
}

func (reconfigure) String() string { return "run " + strings.Join(apart("reconfigure").Argv, " ") }

// stamp writes down what was configured last.
type stamp struct{ digest string }

var _ step.Action = stamp{}

func (s stamp) Check(_ context.Context, run *step.Run) (bool, error) {
	return configured(run, s.digest)
}

func (s stamp) Apply(ctx context.Context, run *step.Run) error {
	return step.File{Path: stampFile, Mode: 0o600, Content: []byte(s.digest + "\n")}.Apply(ctx, run)
}

func (stamp) String() string { return "write " + stampFile }

// startDeadline bounds the start of Cinc Server's services after an upgrade.
const startDeadline = 2 * time.Minute

// upgrade lets a newer Cinc Server bring its data up to its own layout. That leaves the services down, also when it fails or is
// killed because the lock was lost. Their supervisor runs all the while, so nothing else would start them again.
type upgrade struct{}

var _ step.Action = upgrade{}

func (upgrade) Check(context.Context, *step.Run) (bool, error) { return false, nil }

func (upgrade) Apply(ctx context.Context, run *step.Run) error {
	failed := control(ctx, run, "upgrade")
	starting, cancel := context.WithTimeout(context.WithoutCancel(ctx), startDeadline)
	defer cancel()
	return errors.Join(failed, control(starting, run, "start"))
}

// control runs the control program apart, and says what a failure means.
func control(ctx context.Context, run *step.Run, verb string) error {
	out, err := runApart(ctx, run, verb)
	if err != nil {
		return explain(string(out.Stdout)+string(out.Stderr), err)
	}
	return nil
}

func (upgrade) String() string { return "run " + Ctl + " upgrade and start" }

// failure is what a reconfigure may print when it fails, and what to make of it. Its exit status says nothing.
type failure struct {
	pattern string
	passes  bool   // by itself: try again; otherwise a human must act
	reason  string // in our words
	hint    string
}

// failures is the table; the first row that matches counts. Warnings, such as OPENSEARCH009, are not in it.
func failures() []failure {
	const database = "cinc-server.rb says which host, port and login; journalctl -u cincbake-boot has all that was printed"
	return []failure{
		{"CSPG01[012]|CSPG999|PG::ConnectionBad", true, "the database does not let Cinc Server in", database},
		{"tuple concurrently updated", true, "another API node was changing the same rights in the database", "it is tried again by itself"},
		{"CSPG013", false, "the databases' owner may not make databases and roles", "give it CREATEROLE and CREATEDB"},
		{"CSPG014", false, "this Cinc Server does not accept the database's version", "cincbake compat lists what goes together"},
		{"CSPG015", false, "the database server has no database template1", "make it: Cinc Server's first login goes there"},
		{"CSPG01[67]", false, "the database server holds Cinc Server's databases or roles already, made with other secrets", "use the secrets that they were made with, or an empty database server"},
		{"CSPG00\\d", false, "Cinc Server refuses how its database is configured", database},
		{"BOOT010", false, "the database has a superuser, and this machine is about to make another", "the cluster was bootstrapped before: use the secrets that it was made with"},
		{"BOOT011", false, "the database has no superuser, and this machine holds the secrets of one", "the cluster was not bootstrapped, or its database was lost: restore it from a backup"},
		{"OPENSEARCH002|INDEX003", false, "the machine has too little memory for Cinc Server's own search", "give it at least 3 GiB that the system can use, better 8"},
		{"Unsupported (Opensearch|Elasticsearch) version", false, "this Cinc Server does not accept the search's version", "cincbake compat lists what goes together"},
		{"(OPENSEARCH|INDEX)00[1345678]", false, "Cinc Server refuses how its search is configured", "look under cinc for a setting that contradicts the search tier"},
		{"AUTH001", false, "LDAP and SAML are both on", "keep one of the two under cinc"},
	}
}

// explain says what a failed reconfigure means. What it does not recognise stays as it is.
func explain(printed string, err error) error {
	for _, f := range failures() {
		found := regexp.MustCompile(f.pattern).FindString(printed)
		if found == "" {
			continue
		}
		reason := fmt.Sprintf("%s (%s)", f.reason, found)
		if f.passes {
			return &role.NotYet{Reason: reason, Hint: f.hint}
		}
		return &role.Refusal{Reason: reason, Hint: f.hint}
	}
	return err
}

// hook runs a program of the user's once on a machine.
type hook struct {
	argv   []string
	marker string // exists once it ran
}

var _ step.Action = hook{}

func (h hook) Check(_ context.Context, run *step.Run) (bool, error) {
	_, err := run.Read(h.marker)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (h hook) Apply(ctx context.Context, run *step.Run) error {
	if _, err := run.Run(ctx, step.Command{Argv: h.argv}); err != nil {
		return err
	}
	return step.File{Path: h.marker, Mode: 0o600}.Apply(ctx, run)
}

func (h hook) String() string { return "run " + strings.Join(h.argv, " ") + ", once" }

const (
	preConfigureMarker = "/var/lib/cincbake/cinc.pre-configure-ran"
	postReadyMarker    = "/var/lib/cincbake/cinc.post-ready-ran"
)
