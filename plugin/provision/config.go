// Package provision is the Packer provisioner cincbake-role: it turns any Debian machine that Packer can reach into a sealed
// machine of a role.
package provision

//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/cincbake/cincbake/plugin/bake"
)

// Config is what a template says about a provisioner "cincbake-role".
type Config struct {
	common.PackerConfig `mapstructure:",squash"`

	// The path of the cluster's file, `cluster.yaml`.
	Spec string `mapstructure:"spec" required:"true"`
	// The role that the machine gets; with one source per role, `source.name`.
	Role string `mapstructure:"role" required:"true"`
	// A folder on this host that gets what the bake comes to: the agent's report and the manifest that the content digest is
	// over. The post-processor `cincbake-catalogue` reads it. The builder `cincbake-rootfs` has one of its own; every other
	// builder needs it.
	Results string `mapstructure:"results"`
	// Runs what needs root through `sudo`, for machines that Packer does not enter as root. It must not ask for a password.
	Sudo bool `mapstructure:"sudo"`
	// Takes Debian as it was at the lock file's moment. With the builder `cincbake-rootfs`, say it there.
	Snapshot bool `mapstructure:"snapshot"`
	// The account that is removed from the machine, with its home and its keys, before it is sealed. The default is the one
	// that Packer enters by over ssh, unless that is root. The connection that is open stays usable.
	RemoveUser string `mapstructure:"remove_user"`

	job bake.Job
	ctx interpolate.Context
}

// userName is a name that useradd takes.
var userName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// prepare reads the configuration and the cluster, and tells everything that is wrong with them.
func (c *Config) prepare(raws ...any) error {
	if err := config.Decode(c, &config.DecodeOpts{PluginType: "cincbake-role", Interpolate: true, InterpolateContext: &c.ctx}, raws...); err != nil {
		return err
	}
	var problems []error
	var err error
	if c.job, err = bake.Load(c.Spec, c.Role, c.Snapshot); err != nil {
		problems = append(problems, err)
	}
	switch {
	case c.RemoveUser == "root":
		problems = append(problems, errors.New("remove_user: root cannot be removed; sealing takes away its keys"))
	case c.RemoveUser != "" && !userName.MatchString(c.RemoveUser):
		problems = append(problems, fmt.Errorf("remove_user: %q is no name of an account", c.RemoveUser))
	}
	return errors.Join(problems...)
}
