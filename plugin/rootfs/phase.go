package rootfs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	"github.com/hashicorp/packer-plugin-sdk/multistep/commonsteps"
	"github.com/hashicorp/packer-plugin-sdk/packerbuilderdata"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/plugin/bake"
)

// shown is how long a phase must have taken for its time to be worth a line.
const shown = 100 * time.Millisecond

// phase is a step of a bake that is timed. Its undo runs whenever its run has been started.
type phase struct {
	build *build
	name  string // in the image's record
	title string // told when it begins; empty: it takes no time
	run   func(context.Context) error
	undo  func() error
}

var (
	_ multistep.Step = (*phase)(nil)
	_ multistep.Step = (*provision)(nil)
)

// Run does the phase's work.
func (p *phase) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	if p.title != "" {
		p.build.say("%s", p.title)
	}
	began := time.Now()
	err := p.run(ctx)
	p.spent(began)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) { // it failed because it was stopped
			err = fmt.Errorf("%w: %w", cause, err)
		}
		p.fail(state, err)
		p.build.full = p.build.config.room(err) // now: what is undone makes room
		return multistep.ActionHalt
	}
	return multistep.ActionContinue
}

// Cleanup undoes it.
func (p *phase) Cleanup(state multistep.StateBag) {
	if p.undo == nil {
		return
	}
	if err := p.undo(); err != nil {
		p.fail(state, fmt.Errorf("clean up: %w", err))
	}
}

// spent keeps how long the phase took.
func (p *phase) spent(began time.Time) {
	took := time.Since(began)
	p.build.spent = append(p.build.spent, cluster.Phase{Name: p.name, Seconds: seconds(took)})
	if took >= shown {
		p.build.say("%s: %.1f s", p.name, took.Seconds())
	}
}

// seconds is a time to the millisecond.
func seconds(took time.Duration) float64 { return float64(took.Milliseconds()) / 1000 }

// fail adds to what the build ends with, where Packer's own steps leave theirs.
func (p *phase) fail(state multistep.StateBag, err error) {
	state.Put("error", errors.Join(failure(state), fmt.Errorf("%s: %w", p.name, err)))
}

// failure returns what the build has failed with so far.
func failure(state multistep.StateBag) error {
	err, _ := state.Get("error").(error)
	return err
}

// provision is Packer's own step that runs the provisioners, timed as a phase.
type provision struct {
	phase
	step commonsteps.StepProvision
}

// Run runs the provisioners on the machine.
func (p *provision) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	began := time.Now()
	site, err := json.Marshal(p.build.config.job.Site)
	if err != nil { // strings only
		panic(fmt.Sprintf("site does not marshal: %v", err))
	}
	data := packerbuilderdata.GeneratedData{State: state}
	data.Put(bake.ResultsKey, p.build.resultsFolder())
	data.Put(bake.SiteKey, string(site))
	p.step.Comm = p.build.machine
	action := p.step.Run(ctx, state)
	if action == multistep.ActionHalt {
		p.build.full = p.build.config.room(failure(state))
	}
	p.spent(began)
	return action
}

// Cleanup runs the error-cleanup-provisioner, if the template has one.
func (p *provision) Cleanup(state multistep.StateBag) { p.step.Cleanup(state) }
