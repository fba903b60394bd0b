package cinc

import (
	"fmt"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// rendered is what a machine's Cinc Server is given.
type rendered struct {
	inputs
	bootstrap bool
}

func render(in role.Inputs) (rendered, error) {
	if in.Secrets.Cinc == nil || in.Secrets.Front == nil {
		return rendered{}, fmt.Errorf("%s has no secrets for Cinc Server: run cincbake secrets init again, it adds what is missing", in.Self.Name)
	}
	// With a database of its own Cinc Server uses the key that it is given; only with an external one must it make it.
	r := rendered{bootstrap: in.Joined.API.Bootstrap && in.Self.Role == cluster.RoleAPI}
	var err error
	if r.configuration, err = Configuration(in); err != nil {
		return rendered{}, err
	}
	if r.store, err = Store(*in.Secrets.Cinc, r.bootstrap); err != nil {
		return rendered{}, err
	}
	if in.Self.Role == cluster.RoleAPI {
		r.password = []byte(in.Secrets.Cinc.Search.Reveal() + "\n")
	}
	return r, nil
}

// Files returns the steps that write everything that Cinc Server reads, and what the agent needs to log in before it.
func Files(in role.Inputs) (step.Plan, error) {
	r, err := render(in)
	if err != nil {
		return nil, err
	}
	plan := step.Plan{
		{
			Title:  "Write the certificate that clients see",
			Reason: "its name is the domain; the cluster's CA signed it unless the spec names the user's own",
			Action: step.File{Path: certificateFile, Mode: 0o644, Content: []byte(in.Secrets.Front.Certificate)},
		},
		{
			Title:  "Write that certificate's key",
			Reason: "nginx reads it before it gives up its rights",
			Action: step.File{Path: keyFile, Mode: 0o600, Content: []byte(in.Secrets.Front.Key.Reveal())},
		},
		{
			Title:  "Write cinc-server.rb",
			Reason: "whole: the domain, the database, the search, and the spec's own settings",
			Action: step.File{Path: ConfigFile, Mode: 0o640, Content: r.configuration},
		},
		{
			Title:  "Write Cinc Server's secrets",
			Reason: secretsReason(in, r.bootstrap),
			Action: step.File{Path: SecretsFile, Mode: 0o600, Content: r.store},
		},
		{
			Title:  "Let Cinc Server trust the cluster's authorities",
			Reason: "its programs read a bundle of their own, not the system's",
			Action: trust{certificates: []byte(in.Secrets.CA + in.Cluster.CACertificates)},
		},
	}
	if in.Self.Role == cluster.RoleAPI {
		plan = append(plan,
			step.Step{
				Title:  "Write the search user's password",
				Reason: "cinc-server.rb reads it, so that it holds no secret itself",
				Action: step.File{Path: searchPassword, Mode: 0o600, Content: r.password},
			},
		)
	}
	return plan, nil
}

func secretsReason(in role.Inputs, bootstrap bool) string {
	switch {
	case bootstrap:
		return "without the superuser's key: this machine makes the databases, and Cinc Server makes the key"
	case in.Self.Role == cluster.RoleAPI:
		return "every one of them, the same on every API node: with other ones a node would lock the others out"
	}
	return "every one of them, so that a replaced machine opens the data disk's databases"
}

// Reach returns the steps that wait until database and search do their work, through the router.
func Reach(in role.Inputs) step.Plan {
	where := DatabaseOf(in)
	plan := step.Plan{{
		Title:  "Log in to the database",
		Reason: "what starts before the router knows a primary would hang",
		Action: login{where},
	}}
	if in.Cluster.Postgres.External != nil {
		plan = append(plan, step.Step{
			Title:  "Let the owner store passwords as md5",
			Reason: "Cinc Server makes its roles as the owner, and its driver is not known to speak SCRAM",
			Action: md5Roles{where},
		})
	}
	if in.Joined.API.Settled {
		return plan // searches wait for the search, and nothing else does
	}
	return append(plan, step.Step{
		Title:  "Ask the search",
		Reason: "every reconfigure asks for its version, and makes its index at once",
		Action: searchAnswers{in, searchURL()},
	})
}

// Configure returns the steps that configure Cinc Server, when anything is new to it, and start it.
func Configure(in role.Inputs) (step.Plan, error) {
	r, err := render(in)
	if err != nil {
		return nil, err
	}
	var plan step.Plan
	if argv := in.Cluster.Cinc.PreConfigure; len(argv) > 0 {
		plan = append(plan, step.Step{
			Title:  "Run the spec's preConfigure hook",
			Reason: "once, before this machine is configured for the first time",
			Action: hook{argv: argv, marker: preConfigureMarker},
		})
	}
	if r.bootstrap {
		plan = append(plan, forgetAttempt(in)...)
	} else if in.Self.Role == cluster.RoleAPI {
		plan = append(plan,
			step.Step{
				Title:  "Say that the databases are made",
				Reason: "this machine joins them: without this its second reconfigure would make them again",
				Action: step.File{Path: SentinelFile, Mode: 0o644},
			},
			step.Step{
				Title:  "Say how far the data's layout has come",
				Reason: "Cinc Server's upgrade looks there, and writes it on the machine that made the databases alone",
				Action: step.File{Path: LevelFile, Mode: 0o644, Content: []byte(migrationLevel)},
			})
	}
	digest := r.digest()
	plan = append(plan,
		step.Step{
			Title:  "Fill Cinc Server's secrets store",
			Reason: "anew before each reconfigure: one that failed has left a key of its own",
			Action: fill{store: r.store, digest: digest},
		},
		step.Step{
			Title:  "Let Cinc Server start",
			Reason: "disk, database and search are there; until the next power-off",
			Action: step.File{Path: goFile, Mode: 0o644},
		},
		step.Step{
			Title:  "Configure Cinc Server",
			Reason: "when it never was, or when its settings or secrets are new",
			Action: reconfigure{digest: digest, final: r.bootstrap},
		})
	if in.Joined.API.Upgrade {
		plan = append(plan, step.Step{
			Title:  "Let Cinc Server upgrade its data",
			Reason: "one machine of a newer release does so, before the others come",
			Action: upgrade{},
		})
	}
	plan = append(plan, step.Step{
		Title:  "Start Cinc Server",
		Reason: "a reconfigure does so; a later boot has none",
		Action: step.Unit{Name: Unit, State: step.Started},
	})
	if in.Self.Role == cluster.RoleAPI {
		handover, err := handOver(in)
		if err != nil {
			return nil, err
		}
		plan = append(plan, handover...)
	}
	return append(plan, step.Step{
		Title:  "Let nginx read the certificate again",
		Reason: "a renewed one is no new setting, so that no reconfigure follows",
		Action: step.Exec{
			Command: step.Command{Argv: []string{Ctl, "hup", "nginx"}},
			After:   []string{certificateFile, keyFile},
		},
	}), nil
}

// Configured tells whether this machine's last reconfigure succeeded and read the same as one would read now that the
// databases are made.
func Configured(files step.Files, in role.Inputs) (bool, error) {
	in.Joined.API = role.APIStart{}
	r, err := render(in)
	if err != nil {
		return false, err
	}
	return configured(files, r.digest())
}
