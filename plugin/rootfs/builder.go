package rootfs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/multistep"
	"github.com/hashicorp/packer-plugin-sdk/multistep/commonsteps"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/bake"
	"github.com/cincbake/cincbake/plugin/basetree"
	"github.com/cincbake/cincbake/plugin/nspawn"
)

// Builder is the builder cincbake-rootfs.
type Builder struct{ config Config }

var _ packersdk.Builder = (*Builder)(nil)

// ConfigSpec describes the configuration to Packer.
func (b *Builder) ConfigSpec() hcldec.ObjectSpec { return b.config.FlatMapstructure().HCL2Spec() }

// Prepare reads the configuration.
func (b *Builder) Prepare(raws ...any) (generated, warnings []string, err error) {
	return []string{bake.ResultsKey, bake.SiteKey}, nil, b.config.prepare(raws...)
}

// Run bakes the image. Whatever happens, it leaves no mount and no half-written image behind.
func (b *Builder) Run(ctx context.Context, ui packersdk.Ui, hook packersdk.Hook) (packersdk.Artifact, error) {
	run := &build{config: &b.config, ui: ui, began: time.Now()}
	catalogue, err := images.Open(b.config.Images)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	run.catalogue = catalogue

	state := new(multistep.BasicStateBag)
	state.Put("ui", ui)
	state.Put("hook", hook)
	commonsteps.NewRunner(run.phases(), b.config.PackerConfig, ui).Run(ctx, state)
	if err := failure(state); err != nil {
		return nil, errors.Join(err, run.full)
	}
	if ctx.Err() != nil { // stopped between two phases
		return nil, context.Cause(ctx)
	}
	return &artifact{entry: run.entry}, nil
}

// build is one run of the builder: what its phases leave for each other.
type build struct {
	config    *Config
	ui        packersdk.Ui
	catalogue *images.Catalogue
	began     time.Time

	base    *basetree.Base  // the base system
	work    *workspace      // the folder of this bake alone
	machine *nspawn.Machine // what the provisioners talk to
	results bake.Results    // what the boot agent said about the sealed machine
	full    error           // which folder was full when a phase failed
	packed  string          // the archive of the tree, once it is written
	entry   images.Entry    // the published image

	spent []cluster.Phase
}

// phases is the bake, in order. What a phase leaves behind is undone in the reverse order, whether the bake ends well,
// fails or is stopped.
func (b *build) phases() []multistep.Step {
	return []multistep.Step{
		// Before anything is made: a bake that cannot end well should say so at once.
		&phase{build: b, name: "preflight", run: b.preflight},
		// Shared by all bakes of a system, so it is kept; the lock keeps others from taking it away meanwhile.
		&phase{build: b, name: "base", title: "base system", run: b.takeBase, undo: b.leaveBase},
		// What is not Debian's is kept too, so that the next bake does without its server.
		&phase{build: b, name: "package", run: b.fetchPackage},
		// Everything that is this bake's own lies in one folder, which is all there is to remove.
		&phase{build: b, name: "workspace", run: b.openWorkspace, undo: b.closeWorkspace},
		// The base stays untouched below an overlay, so that the next bake starts from it again.
		&phase{build: b, name: "mount", run: b.mount, undo: b.unmount},
		// Undone before the overlay: no command may still use it when it is unmounted.
		&phase{build: b, name: "machine", run: b.start, undo: b.stop},
		// The provisioners: cincbake-role bakes, verifies and seals.
		&provision{phase: phase{build: b, name: "provision"}},
		// What was sealed is what goes into the image: nothing may have changed the tree since.
		&phase{build: b, name: "compare", title: "comparing the tree with the agent's report", run: b.compare},
		// Written beside the other images and renamed.
		&phase{build: b, name: "export", title: "writing the image", run: b.export},
	}
}

// say tells the user something that happens within a phase.
func (b *build) say(format string, args ...any) { b.ui.Say(fmt.Sprintf(format, args...)) }

// resultsFolder is where the provisioner leaves what the bake came to.
func (b *build) resultsFolder() string { return filepath.Join(b.work.dir, "results") }
