// Package provision is the Packer provisioner cincbake-role: it turns any Debian machine that Packer can reach into a sealed
// machine of a role.
package provision

//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config

import (
	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/plugin/bake"
)

// Config is what a template says about a provisioner "cincbake-role".
type Config struct {
	common.PackerConfig `mapstructure:",squash"`

	// Spec is the path of the cluster's file, cluster.yaml.
	Spec string `mapstructure:"spec" required:"true"`
	// Role is the role that the machine gets; with one source per role, source.name.
	Role string `mapstructure:"role" required:"true"`
	// Sudo runs what needs root through sudo, for machines that Packer does not enter as root.
	Sudo bool `mapstructure:"sudo"`
	// Report is a file on this host that gets the agent's report, as JSON. The builder cincbake-rootfs needs none.
	Report string `mapstructure:"report"`

	recipe cluster.Recipe
	ctx    interpolate.Context
}

// prepare reads the configuration and the cluster, and tells everything that is wrong with them.
func (c *Config) prepare(raws ...any) error {
	if err := config.Decode(c, &config.DecodeOpts{PluginType: "cincbake-role", Interpolate: true, InterpolateContext: &c.ctx}, raws...); err != nil {
		return err
	}
	var err error
	c.recipe, err = bake.Recipe(c.Spec, c.Role)
	return err
}
