package api

import (
	"context"
	"errors"

	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/roles/haproxy"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Joiner decides how this machine's Cinc Server is configured: one API node makes the databases, alone, and all the others
// join them, one after the other.
type Joiner struct{ Host step.Host }

var _ role.Joiner = Joiner{}

// Join looks into the databases, and takes the lock on them for whatever is to be done. Under the lock it looks again: what
// counts is what nobody else can change any more.
func (j Joiner) Join(ctx context.Context, in role.Inputs) (role.Decision, error) {
	way, err := way(in)
	if err != nil {
		return role.Decision{}, err
	}
	run, err := step.Resume(j.Host, role.UnreadFile)
	if err != nil {
		return role.Decision{}, err
	}
	if _, err := way.Continue(ctx, run, nil); err != nil {
		return role.Decision{}, err
	}
	database := cinc.DatabaseOf(in)
	if err := database.Reachable(ctx); err != nil {
		return notYet(err)
	}
	view, err := j.look(ctx, in, database)
	if err != nil {
		return notYet(err)
	}
	if decision := Decide(view); decision.Row == RowConfigured || decision.Verdict == role.Refuse {
		return decision, nil
	}
	lock, err := database.Lock(ctx, in.Self.Name)
	var busy *cinc.Busy
	if errors.As(err, &busy) {
		return wait(RowLockBusy, busy.Reason, "one API node configures itself at a time; this one follows by itself"), nil
	}
	if err != nil {
		return notYet(err)
	}
	decision, err := j.decideUnder(ctx, lock, in, database)
	if err != nil || decision.Verdict != role.Proceed || decision.Hold == nil {
		lock.Release(ctx, true)
	}
	if err != nil {
		return notYet(err)
	}
	return decision, nil
}

// decideUnder decides with the lock in hand.
func (j Joiner) decideUnder(ctx context.Context, lock *cinc.Lock, in role.Inputs, database cinc.Database) (role.Decision, error) {
	view, err := j.look(ctx, in, database)
	if err != nil {
		return role.Decision{}, err
	}
	decision := Decide(view)
	if decision.Verdict != role.Proceed || decision.Row == RowConfigured {
		return decision, nil
	}
	work := cinc.WorkJoin
	switch {
	case decision.API.Bootstrap:
		work = cinc.WorkBootstrap
	case decision.API.Upgrade:
		work = cinc.WorkUpgrade
	}
	if err := lock.Write(ctx, work); err != nil {
		return role.Decision{}, err
	}
	lock.Keep()
	decision.API.Attempt, decision.Hold = lock.Attempt(), lock
	return decision, nil
}

func (j Joiner) look(ctx context.Context, in role.Inputs, database cinc.Database) (View, error) {
	view := View{Version: in.Cluster.Cinc.Version}
	var err error
	if view.Configured, err = cinc.Configured(j.Host, in); err != nil {
		return view, err
	}
	view.Contents, err = database.Look(ctx, in.Secrets.Cinc.Superuser.Public)
	return view, err
}

// notYet makes a wait of a database that does not answer: it may be failing over.
func notYet(err error) (role.Decision, error) {
	var later *role.NotYet
	switch {
	case errors.As(err, &later):
		return wait(RowNoDatabase, later.Reason, later.Hint), nil
	case cinc.IsDatabase(err):
		return wait(RowNoDatabase, "the database does not answer as it should: "+err.Error(), "it is tried again by itself"), nil
	}
	return role.Decision{}, err
}

// way is the way to the database: the part of Boot's plan that comes before anything is decided.
func way(in role.Inputs) (step.Plan, error) {
	router, err := haproxy.Router(in)
	if err != nil {
		return nil, err
	}
	return append(base.Boot(in, cinc.Aliases(in.Cluster)...), router...), nil
}
