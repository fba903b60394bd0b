// Package rootfs is the Packer builder cincbake-rootfs: it bakes an image as a tree of files, without booting anything.
package rootfs

//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/plugin/bake"
)

// Config is what a template says about a source "cincbake-rootfs".
type Config struct {
	common.PackerConfig `mapstructure:",squash"`

	// Spec is the path of the cluster's file, cluster.yaml: it says what the image is made from.
	Spec string `mapstructure:"spec" required:"true"`
	// Role is the role that the image is for.
	Role string `mapstructure:"role" required:"true"`
	// Images is the folder of images that the new one is added to.
	Images string `mapstructure:"images" required:"true"`
	// Mirror is where the system's packages come from; the default is Debian's own.
	Mirror string `mapstructure:"mirror"`
	// SecurityMirror is where its security updates come from; the default is Debian's own.
	SecurityMirror string `mapstructure:"security_mirror"`
	// CacheDir keeps base systems and packages for the next bake, and the tree that is being baked. It must lie on a file
	// system that overlayfs can write on, such as ext4 or xfs; it needs about 1 GB, and another for each bake that runs.
	CacheDir string `mapstructure:"cache_dir"`
	// BaseMaxAge is how old a base system may be before it is made again, with the security updates since; like "168h".
	BaseMaxAge string `mapstructure:"base_max_age"`

	recipe cluster.Recipe
	system cluster.OS
	maxAge time.Duration
	ctx    interpolate.Context
}

// The defaults that a template need not say.
const (
	defaultCacheDir   = "/var/cache/cincbake"
	defaultBaseMaxAge = "168h" // a week
)

// prepare reads the configuration, fills in the defaults and tells everything that is wrong with it.
func (c *Config) prepare(raws ...any) error {
	if err := config.Decode(c, &config.DecodeOpts{PluginType: "cincbake-rootfs", Interpolate: true, InterpolateContext: &c.ctx}, raws...); err != nil {
		return err
	}
	setDefault(&c.Mirror, cluster.Site{}.URI(cluster.ArchiveDebian))
	setDefault(&c.SecurityMirror, cluster.Site{}.URI(cluster.ArchiveSecurity))
	setDefault(&c.CacheDir, defaultCacheDir)
	setDefault(&c.BaseMaxAge, defaultBaseMaxAge)

	var problems []error
	check := func(holds bool, format string, args ...any) {
		if !holds {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	var err error
	if c.recipe, err = bake.Recipe(c.Spec, c.Role); err != nil {
		problems = append(problems, err)
	} else if c.system, err = cluster.OSFor(c.recipe.OS); err != nil {
		problems = append(problems, err)
	}
	check(c.Images != "", "images: name the folder that the image is added to")
	for name, mirror := range map[string]string{"mirror": c.Mirror, "security_mirror": c.SecurityMirror} {
		address, err := url.Parse(mirror)
		check(err == nil && slices.Contains([]string{"http", "https", "file"}, address.Scheme) && !strings.ContainsAny(mirror, " \t\n"),
			"%s: %q is no address like %s", name, mirror, cluster.Site{}.URI(cluster.ArchiveDebian))
	}
	c.maxAge, err = time.ParseDuration(c.BaseMaxAge)
	check(err == nil && c.maxAge >= 0, "base_max_age: %q is no duration like %s", c.BaseMaxAge, defaultBaseMaxAge)
	if c.CacheDir, err = filepath.Abs(c.CacheDir); err != nil {
		problems = append(problems, fmt.Errorf("cache_dir: %w", err))
	}
	check(!strings.ContainsAny(c.CacheDir, `:,\`), "cache_dir: %q holds a character that overlayfs gives a meaning to: one of : , \\", c.CacheDir)
	return errors.Join(problems...)
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// mirrorOf returns where the packages of an archive come from.
func (c *Config) mirrorOf(a cluster.Archive) string {
	if a == cluster.ArchiveSecurity {
		return c.SecurityMirror
	}
	return c.Mirror
}
