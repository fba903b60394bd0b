// Package recipe is the Packer data source cincbake-recipe: what a template needs to know of a role's image before it is
// baked, so that the cluster's file says it once.
package recipe

//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config,Output

import (
	"strconv"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/hcl2helper"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/zclconf/go-cty/cty"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/plugin/bake"
)

// Config is what a template says about a data source "cincbake-recipe".
type Config struct {
	common.PackerConfig `mapstructure:",squash"`

	// The path of the cluster's file, `cluster.yaml`.
	Spec string `mapstructure:"spec" required:"true"`
	// The role that the image is for.
	Role string `mapstructure:"role" required:"true"`

	job bake.Job
}

// Output is what the data source answers.
type Output struct {
	// A name for the image, like `cincbake-prod-api`. It has no time in it: where names must differ, append one.
	Name string `mapstructure:"name"`
	// The system, like `debian-13`.
	OS string `mapstructure:"os"`
	// The processor, in Debian's words, like `amd64`.
	Arch string `mapstructure:"arch"`
	// The platform: `onprem` or `aws`.
	Platform string `mapstructure:"platform"`
	// PostgreSQL's major, like `13`; empty for roles without a database.
	PostgresVersion string `mapstructure:"postgres_version"`
	// The version of the package that is not the distribution's, like `15.10.91`; empty for roles without one.
	PackageVersion string `mapstructure:"package_version"`
	// The digest of everything that the image depends on. Images of one digest are alike.
	RecipeDigest string `mapstructure:"recipe_digest"`
	// Tags for whatever the build makes, within EC2's limits: `cincbake:cluster`, `cincbake:role`, `cincbake:recipe`,
	// `cincbake:os` and `Name`; where the role has them, `cincbake:postgres` and `cincbake:package`.
	Tags map[string]string `mapstructure:"tags"`
	// The account that publishes the system's images on AWS. Never search without it: anyone can publish an image of any
	// name.
	SourceAMIOwner string `mapstructure:"source_ami_owner"`
	// The name of the system's images on AWS, as a filter takes it, like `debian-13-amd64-*`.
	SourceAMIName string `mapstructure:"source_ami_name"`
	// The cluster's region on AWS; empty elsewhere.
	Region string `mapstructure:"region"`
	// The type of the instance to bake on: that of the role's machines, or one that is large enough.
	InstanceType string `mapstructure:"instance_type"`
	// The size of the root volume, in GiB: enough for the image, and for the role's machines to run from.
	VolumeGB int `mapstructure:"volume_gb"`
}

// Datasource is the data source cincbake-recipe.
type Datasource struct{ config Config }

var _ packersdk.Datasource = (*Datasource)(nil)

// ConfigSpec describes the configuration to Packer.
func (d *Datasource) ConfigSpec() hcldec.ObjectSpec { return d.config.FlatMapstructure().HCL2Spec() }

// OutputSpec describes the answer.
func (d *Datasource) OutputSpec() hcldec.ObjectSpec { return new(Output).FlatMapstructure().HCL2Spec() }

// Configure reads the configuration and the cluster.
func (d *Datasource) Configure(raws ...any) error {
	if err := config.Decode(&d.config, &config.DecodeOpts{PluginType: "cincbake-recipe"}, raws...); err != nil {
		return err
	}
	var err error
	d.config.job, err = bake.Load(d.config.Spec, d.config.Role, false)
	return err
}

// Execute answers. It depends on the cluster's file and its lock file, and on nothing else.
func (d *Datasource) Execute() (cty.Value, error) {
	out, err := describe(d.config.job)
	if err == nil {
		err = d.config.job.Recipe.Complete() // the digest of less is nobody's
	}
	if err != nil {
		return cty.NullVal(cty.EmptyObject), err // not NilVal: the SDK cannot send it, and the plugin would crash
	}
	return hcl2helper.HCL2ValueFromConfig(out, d.OutputSpec()), nil
}

func describe(job bake.Job) (Output, error) {
	recipe := job.Recipe
	source, err := sourceOf(recipe.OS, recipe.Arch)
	if err != nil {
		return Output{}, err
	}
	out := Output{
		Name:           "cincbake-" + job.Cluster.Name + "-" + string(recipe.Role),
		OS:             recipe.OS,
		Arch:           recipe.Arch,
		Platform:       string(recipe.Platform),
		PackageVersion: recipe.Package.Version,
		RecipeDigest:   recipe.Digest(),
		SourceAMIOwner: source.owner,
		SourceAMIName:  source.name,
		Region:         job.Cluster.Region,
		InstanceType:   instanceType(job.Cluster, recipe.Role),
		VolumeGB:       volume(recipe.Role),
	}
	if recipe.PostgresVersion != 0 {
		out.PostgresVersion = strconv.Itoa(recipe.PostgresVersion)
	}
	out.Tags = tags(job.Cluster.Name, out, recipe)
	return out, nil
}

// tags are for whatever is made: who finds it later must know whose it is. EC2 takes letters, digits, spaces and _.:/=+-@,
// at most 128 characters in a key and 256 in a value; what is written here keeps to that by its own rules.
func tags(name string, out Output, recipe cluster.Recipe) map[string]string {
	tags := map[string]string{
		"Name":             out.Name,
		"cincbake:cluster": name,
		"cincbake:role":    string(recipe.Role),
		"cincbake:recipe":  out.RecipeDigest,
		"cincbake:os":      recipe.OS,
	}
	if out.PostgresVersion != "" {
		tags["cincbake:postgres"] = out.PostgresVersion
	}
	if out.PackageVersion != "" {
		tags["cincbake:package"] = out.PackageVersion
	}
	return tags
}
