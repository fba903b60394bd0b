// Package rootfs is the Packer builder cincbake-rootfs: it bakes an image as a tree of files, without booting anything.
package rootfs

//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/bake"
)

// Config is what a template says about a source "cincbake-rootfs".
type Config struct {
	common.PackerConfig `mapstructure:",squash"`

	// The path of the cluster's file, `cluster.yaml`: it says what the image is made from, and which mirror and proxy lead to
	// Debian.
	Spec string `mapstructure:"spec" required:"true"`
	// The role that the image is for; with one source per role, `source.name`.
	Role string `mapstructure:"role" required:"true"`
	// The folder of images that the new one is added to.
	Images string `mapstructure:"images" required:"true"`
	// What the image is there as: `rootfs`, a tree of files, or `qcow2`, a disk that boots under BIOS and UEFI, or both; they
	// have the same content. The default is `["rootfs"]`. With `qcow2`, kernel and boot loader are part of that content.
	Formats []string `mapstructure:"formats"`
	// The size of the disk, like `4G`; the default is `4G`. The file holds only what is used, and the root file system grows to
	// a larger disk at its first boot.
	DiskSize string `mapstructure:"disk_size"`
	// A server with Debian's archives `debian/` and `debian-security/` below it, like `http://mirror.example.com`. The default
	// is what the cluster's file says, or else Debian's own.
	Mirror string `mapstructure:"mirror"`
	// Takes Debian as it was at the lock file's moment, from snapshot.debian.org or from a mirror that serves snapshots as that
	// does.
	Snapshot bool `mapstructure:"snapshot"`
	// Bakes from `cache_dir` alone: the base system whatever its age, the package lists and the packages that earlier bakes
	// have left there. What is missing there is an error.
	Offline bool `mapstructure:"offline"`
	// A root file system to start from instead of one that mmdebstrap makes: a `.tar`, `.tar.gz`, `.tar.xz` or `.tar.zst`. It
	// must be of the cluster's OS and processor.
	BaseTarball string `mapstructure:"base_tarball"`
	// The SHA-256 of `base_tarball`, which must have it.
	BaseTarballSHA256 string `mapstructure:"base_tarball_sha256"`
	// Keeps base systems, package lists and packages for the next bake, and the tree that is being baked. It must lie on a file
	// system that overlayfs can write on, such as ext4 or xfs; it needs about 1 GB, and another for each bake that runs. The
	// default is `/var/cache/cincbake`.
	CacheDir string `mapstructure:"cache_dir"`
	// How old a base system may be before it is made again, with the security updates since. The default is `168h`, a week.
	BaseMaxAge string `mapstructure:"base_max_age"`

	job    bake.Job
	system cluster.OS
	kinds  []images.Kind
	disk   int64 // the size of a disk, in bytes
	maxAge time.Duration
	ctx    interpolate.Context
}

// The defaults that a template need not say.
const (
	defaultCacheDir   = "/var/cache/cincbake"
	defaultBaseMaxAge = "168h" // a week
	defaultDiskSize   = "4G"
)

// prepare reads the configuration, fills in the defaults and tells everything that is wrong with it.
func (c *Config) prepare(raws ...any) error {
	if err := config.Decode(c, &config.DecodeOpts{PluginType: "cincbake-rootfs", Interpolate: true, InterpolateContext: &c.ctx}, raws...); err != nil {
		return err
	}
	if len(c.Formats) == 0 {
		c.Formats = []string{string(images.KindRootfs)}
	}
	c.DiskSize = cmp.Or(c.DiskSize, defaultDiskSize)
	c.CacheDir = cmp.Or(c.CacheDir, defaultCacheDir)
	c.BaseMaxAge = cmp.Or(c.BaseMaxAge, defaultBaseMaxAge)

	var problems []error
	check := func(holds bool, format string, args ...any) {
		if !holds {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	var err error
	if c.job, err = bake.Load(c.Spec, c.Role, c.Snapshot); err != nil {
		problems = append(problems, err)
	} else if c.system, err = cluster.OSFor(c.job.Recipe.OS); err != nil {
		problems = append(problems, err)
	}
	c.job.Site.Mirror = cmp.Or(strings.TrimSuffix(c.Mirror, "/"), c.job.Site.Mirror)
	c.job.Site.Offline = c.Offline
	check(c.Images != "", "images: name the folder that the image is added to")
	check(c.Mirror == "" || isAddress(c.Mirror), "mirror: %q is no address like %s", c.Mirror, "http://mirror.example.com")
	for _, format := range c.Formats {
		kind := images.Kind(format)
		check(slices.Contains(formats(), kind), "formats: %q is none of %v", format, formats())
		check(!slices.Contains(c.kinds, kind), "formats: %q is there twice", format)
		c.kinds = append(c.kinds, kind)
	}
	c.disk, err = parseSize(c.DiskSize)
	check(err == nil, "disk_size: %q is no size like %s", c.DiskSize, defaultDiskSize)
	check(err != nil || c.disk >= minDisk, "disk_size: %s is too small for a system: %s is the least", c.DiskSize, "2G")
	check(c.BaseTarball != "" || c.BaseTarballSHA256 == "", "base_tarball_sha256: there is no base_tarball that it is of")
	check(c.BaseTarball == "" || isSHA256(c.BaseTarballSHA256),
		"base_tarball_sha256: say which bytes %s must be, in 64 hexadecimal digits (sha256sum prints them)", c.BaseTarball)
	check(c.BaseTarball == "" || !c.Snapshot, "snapshot: a base_tarball is of the moment that it was made at; leave one of the two out")
	c.maxAge, err = time.ParseDuration(c.BaseMaxAge)
	check(err == nil && c.maxAge >= 0, "base_max_age: %q is no duration like %s", c.BaseMaxAge, defaultBaseMaxAge)
	if c.CacheDir, err = filepath.Abs(c.CacheDir); err != nil {
		problems = append(problems, fmt.Errorf("cache_dir: %w", err))
	}
	check(!strings.ContainsAny(c.CacheDir, `:,\`), "cache_dir: %q holds a character that overlayfs gives a meaning to: one of : , \\", c.CacheDir)
	return errors.Join(problems...)
}

// formats are the kinds of artefact that the builder makes.
func formats() []images.Kind { return []images.Kind{images.KindRootfs, images.KindQCOW2} }

// boots tells whether the image must be able to start a machine by itself.
func (c *Config) boots() bool { return slices.Contains(c.kinds, images.KindQCOW2) }

func isAddress(text string) bool {
	address, err := url.Parse(text)
	return err == nil && slices.Contains([]string{"http", "https", "file"}, address.Scheme) && !strings.ContainsAny(text, " \t\n")
}

func isSHA256(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == sha256.Size
}

// minDisk holds the largest role and leaves room to boot.
const minDisk = 2 << 30

var sizeForm = regexp.MustCompile(`^([1-9][0-9]{0,5})([MG])$`)

// parseSize reads a size like 4G.
func parseSize(text string) (int64, error) {
	match := sizeForm.FindStringSubmatch(text)
	if match == nil {
		return 0, errors.New("no size")
	}
	number, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil {
		return 0, err
	}
	return number << map[string]int{"M": 20, "G": 30}[match[2]], nil
}
