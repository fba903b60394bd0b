// Package catalogue is the Packer post-processor cincbake-catalogue: it adds what another builder made to the local catalogue
// of images, with the record that the provisioner brought back.
package catalogue

//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/common"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/bake"
)

// Config is what a template says about a post-processor "cincbake-catalogue".
type Config struct {
	common.PackerConfig `mapstructure:",squash"`

	// The path of the cluster's file, `cluster.yaml`.
	Spec string `mapstructure:"spec" required:"true"`
	// The role that was baked; with one source per role, `source.name`.
	Role string `mapstructure:"role" required:"true"`
	// The folder of images that it is added to.
	Images string `mapstructure:"images" required:"true"`
	// The folder that the provisioner `cincbake-role` wrote its results to: its option `results`.
	Results string `mapstructure:"results" required:"true"`
	// What the build started from, as people say it, like the name of a disk image. On EC2 it is known: the source AMI.
	Base string `mapstructure:"base"`

	job       bake.Job
	catalogue *images.Catalogue
	ctx       interpolate.Context
}

// PostProcessor is the post-processor cincbake-catalogue.
type PostProcessor struct{ config Config }

var _ packersdk.PostProcessor = (*PostProcessor)(nil)

// ConfigSpec describes the configuration to Packer.
func (p *PostProcessor) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Configure reads the configuration and tells everything that is wrong with it.
func (p *PostProcessor) Configure(raws ...any) error {
	c := &p.config
	if err := config.Decode(c, &config.DecodeOpts{PluginType: "cincbake-catalogue", Interpolate: true, InterpolateContext: &c.ctx}, raws...); err != nil {
		return err
	}
	var problems []error
	var err error
	if c.job, err = bake.Load(c.Spec, c.Role, false); err != nil {
		problems = append(problems, err)
	}
	if c.Images == "" {
		problems = append(problems, errors.New("images: name the folder that the image is added to"))
	} else if c.catalogue, err = images.Open(c.Images); err != nil {
		problems = append(problems, fmt.Errorf("images: %w", err))
	}
	if c.Results == "" {
		problems = append(problems, errors.New(`results: name the folder that the provisioner "cincbake-role" has as its results`))
	}
	return errors.Join(problems...)
}

// PostProcess publishes the image. A disk is copied, so the builder's own may go, unless the template keeps it; an AMI is
// the image itself, so it is always kept. When publishing fails, Packer takes away what the builder made: no AMI stays that
// nobody knows of.
func (p *PostProcessor) PostProcess(ctx context.Context, ui packersdk.Ui, input packersdk.Artifact) (_ packersdk.Artifact, keep, mustKeep bool, err error) {
	began := time.Now()
	made, err := recognise(input)
	if err != nil {
		return nil, false, false, fmt.Errorf("cincbake-catalogue: %w", err)
	}
	inCloud := made.disk == ""
	entry, err := p.publish(ctx, input, made, began)
	if err != nil {
		return nil, false, false, fmt.Errorf("cincbake-catalogue: %w", err)
	}
	ui.Say(fmt.Sprintf("image %s: %s, content %s", entry.ID, entry.Record.Recipe, entry.Record.ContentDigest))
	return &artifact{entry: entry}, inCloud, inCloud, nil
}

func (p *PostProcessor) publish(ctx context.Context, input packersdk.Artifact, made product, began time.Time) (images.Entry, error) {
	results, err := bake.ReadResults(p.config.Results)
	if err != nil {
		return images.Entry{}, err
	}
	if got := results.Report.Recipe; got != p.config.job.Recipe {
		return images.Entry{}, fmt.Errorf("the results in %s are of %s, and this is to be %s: give provisioner and post-processor the same spec, role and folder",
			p.config.Results, got, p.config.job.Recipe)
	}
	fill := func(draft *images.Draft) error {
		for _, ami := range made.amis {
			draft.InCloud(ami)
		}
		if made.disk == "" {
			return nil
		}
		return draft.Make(images.KindQCOW2, func(path string) error { return copyDisk(ctx, made.disk, path) })
	}
	spent := func() []cluster.Phase {
		var phases []cluster.Phase
		for _, p := range results.Report.Phases { // they are parts of the provisioning
			phases = append(phases, cluster.Phase{Name: "provision/" + p.Name, Seconds: p.Seconds, Waited: p.Waited})
		}
		return append(phases, cluster.Phase{Name: "publish", Seconds: time.Since(began).Round(time.Millisecond).Seconds()})
	}
	return bake.Publish(ctx, p.config.catalogue, results, p.base(input), fill, spent)
}

// artifact is a published image.
type artifact struct{ entry images.Entry }

var _ packersdk.Artifact = (*artifact)(nil)

// BuilderId names the post-processor.
func (a *artifact) BuilderId() string { return "cincbake.catalogue" } //nolint:revive // Packer's spelling

// Files are those of the image's forms that are files.
func (a *artifact) Files() []string {
	var files []string
	for _, artefact := range a.entry.Record.Artefacts {
		if path, _, err := a.entry.File(artefact.Kind); err == nil {
			files = append(files, path)
		}
	}
	return files
}

// Id is the image's name in the catalogue.
func (a *artifact) Id() string { return a.entry.ID } //nolint:revive // Packer's spelling

func (a *artifact) String() string { return fmt.Sprintf("image %s in %s", a.entry.ID, a.entry.Dir) }

// State answers nothing: all there is to know is in the record.
func (a *artifact) State(string) any { return nil }

// Destroy removes the image from the catalogue. What lies in a cloud stays there.
func (a *artifact) Destroy() error { return os.RemoveAll(a.entry.Dir) }
