// Package image is the Packer data source cincbake-image: an image of the local catalogue, for templates that build on one
// or bring one elsewhere. It asks nobody and changes nothing.
package image

//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config,Output

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/hcl2helper"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/zclconf/go-cty/cty"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/bake"
)

// Config is what a template says about a data source "cincbake-image".
type Config struct {
	common.PackerConfig `mapstructure:",squash"`

	// The folder of images, as `cincbake bake` and the builder fill it.
	Images string `mapstructure:"images" required:"true"`
	// The role that the image is of.
	Role string `mapstructure:"role" required:"true"`
	// The channel that points to the image, like `stable`; see `cincbake images promote`. Either this or `spec`.
	Channel string `mapstructure:"channel"`
	// The path of the cluster's file, `cluster.yaml`: the newest verified image of what it asks for. Either this or
	// `channel`.
	Spec string `mapstructure:"spec"`

	catalogue    *images.Catalogue
	recipeDigest string
}

// Output is what the data source answers.
type Output struct {
	// The image's name in the catalogue, like `postgres/0123456789ab`.
	ID string `mapstructure:"id"`
	// Its role.
	Role string `mapstructure:"role"`
	// The digest of its content.
	ContentDigest string `mapstructure:"content_digest"`
	// The digest of what it was made from.
	RecipeDigest string `mapstructure:"recipe_digest"`
	// When it was made, like `2026-11-26T09:30:00Z`.
	Created string `mapstructure:"created"`
	// The absolute path of its tree of files, `image.tar.zst`; empty if it has none.
	Rootfs string `mapstructure:"rootfs"`
	// The tree's sha256, 64 hexadecimal digits.
	RootfsSHA256 string `mapstructure:"rootfs_sha256"`
	// The absolute path of its disk, `image.qcow2`; empty if it has none.
	QCOW2 string `mapstructure:"qcow2"`
	// The disk's sha256, 64 hexadecimal digits.
	QCOW2SHA256 string `mapstructure:"qcow2_sha256"`
	// Its AMIs, by region.
	AMIs map[string]string `mapstructure:"amis"`
	// The version of every installed package, by name; for a processor that is not the image's own, `name:arch`.
	Versions map[string]string `mapstructure:"versions"`
}

// Datasource is the data source cincbake-image.
type Datasource struct{ config Config }

var _ packersdk.Datasource = (*Datasource)(nil)

// ConfigSpec describes the configuration to Packer.
func (d *Datasource) ConfigSpec() hcldec.ObjectSpec { return d.config.FlatMapstructure().HCL2Spec() }

// OutputSpec describes the answer.
func (d *Datasource) OutputSpec() hcldec.ObjectSpec { return new(Output).FlatMapstructure().HCL2Spec() }

// Configure reads the configuration and tells everything that is wrong with it.
func (d *Datasource) Configure(raws ...any) error {
	c := &d.config
	if err := config.Decode(c, &config.DecodeOpts{PluginType: "cincbake-image"}, raws...); err != nil {
		return err
	}
	var problems []error
	switch {
	case c.Channel == "" && c.Spec == "":
		problems = append(problems, errors.New("channel or spec: say which image, by a channel or by the file of the cluster that needs it"))
	case c.Channel != "" && c.Spec != "":
		problems = append(problems, errors.New("channel and spec: each names an image, give one of them"))
	}
	if c.Spec != "" {
		job, err := bake.Load(c.Spec, c.Role, false)
		if err != nil {
			problems = append(problems, err)
		} else {
			c.recipeDigest = job.Recipe.Digest()
		}
	} else if !slices.Contains(cluster.Roles(), cluster.Role(c.Role)) {
		problems = append(problems, fmt.Errorf("role: %q is none of %v", c.Role, cluster.Roles()))
	}
	if c.Images == "" {
		problems = append(problems, errors.New("images: name the folder of images"))
	} else {
		var err error
		if c.catalogue, err = images.Open(c.Images); err != nil {
			problems = append(problems, fmt.Errorf("images: %w", err))
		}
	}
	return errors.Join(problems...)
}

// Execute answers.
func (d *Datasource) Execute() (cty.Value, error) {
	entry, err := d.find(context.Background()) // Packer gives data sources no context; this reads a folder
	if err != nil {
		return cty.NullVal(cty.EmptyObject), fmt.Errorf("cincbake-image: %w", err) // not NilVal: the SDK cannot send it, and the plugin would crash
	}
	return hcl2helper.HCL2ValueFromConfig(describe(entry), d.OutputSpec()), nil
}

func (d *Datasource) find(ctx context.Context) (images.Entry, error) {
	role := cluster.Role(d.config.Role)
	if d.config.Channel != "" {
		return d.config.catalogue.Channel(role, d.config.Channel)
	}
	return d.config.catalogue.Find(ctx, role, d.config.recipeDigest)
}

func describe(e images.Entry) Output {
	record := e.Record
	out := Output{
		ID:            e.ID,
		Role:          string(record.Role),
		ContentDigest: record.ContentDigest,
		RecipeDigest:  record.RecipeDigest,
		Created:       record.Created.UTC().Format(time.RFC3339),
		AMIs:          map[string]string{},
		Versions:      map[string]string{},
	}
	if path, artefact, err := e.File(images.KindRootfs); err == nil {
		out.Rootfs, out.RootfsSHA256 = path, artefact.SHA256
	}
	if path, artefact, err := e.File(images.KindQCOW2); err == nil {
		out.QCOW2, out.QCOW2SHA256 = path, artefact.SHA256
	}
	for _, a := range record.Artefacts {
		if a.Kind == images.KindAMI {
			out.AMIs[a.Region] = a.ID
		}
	}
	for _, p := range record.Packages {
		name := p.Name
		if p.Arch != "all" && p.Arch != record.Recipe.Arch {
			name += ":" + p.Arch
		}
		out.Versions[name] = p.Version
	}
	return out
}
