package basetree

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/disk"
)

// Recipe is everything that a base system is made from: another recipe is another key. Where it is made is no part of it.
type Recipe struct {
	Format   int             `json:"format"` // raised when what is done to the tree afterwards changes
	OS       string          `json:"os"`
	Suite    string          `json:"suite"`
	Arch     string          `json:"arch"`
	Suites   []cluster.Suite `json:"suites"`
	Packages []string        `json:"packages"`
	Apt      []string        `json:"apt"`
	Dpkg     []string        `json:"dpkg"`
	// Files are there before the packages are, and Commands are run in the tree after them.
	Files    map[string]string `json:"files,omitempty"`
	Commands [][]string        `json:"commands,omitempty"`
	// Tarball is the SHA-256 of the archive that the tree comes from; empty: mmdebstrap makes it.
	Tarball string `json:"tarball,omitempty"`
}

// For returns what the base system of an OS is made from. With boots, it can start a machine by itself.
func For(system cluster.OS, arch string, boots bool) Recipe {
	r := Recipe{
		Format: 2,
		OS:     system.Name,
		Suite:  system.Codename,
		Arch:   arch,
		Suites: system.Suites,
		// It boots, gets its wiring from cloud-init, has a network and can be reached in an emergency. The rest is a role's.
		Packages: []string{"ca-certificates", "cloud-init", "dbus", "iproute2", "openssh-server", "systemd", "systemd-sysv"},
		// Descriptions of packages in other words are a third of what apt fetches, and nobody reads them.
		Apt: []string{`Acquire::Languages "none"`, `Acquire::Retries "5"`, `APT::Install-Recommends "false"`},
		// A server's image is read by nobody; licences stay.
		Dpkg: []string{
			"path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright",
			// The manuals' directories stay: packages such as Java's link into them when they are configured.
			"path-exclude=/usr/share/man/*/*", "path-exclude=/usr/share/locale/*",
		},
	}
	if boots {
		r.Packages = append(r.Packages, disk.Packages()...)
		r.Files, r.Commands = disk.Files(), disk.Loaders()
	}
	return r
}

// FromTarball returns the recipe of a base system that is unpacked instead of made. With boots, kernel and boot loader must
// be in it.
func FromTarball(system cluster.OS, arch string, boots bool, digest string) Recipe {
	r := Recipe{Format: 2, OS: system.Name, Suite: system.Codename, Arch: arch, Suites: system.Suites, Tarball: strings.ToLower(digest)}
	if boots {
		r.Files = disk.Files()
	}
	return r
}

// boots tells whether the tree must be able to start a machine.
func (r Recipe) boots() bool { return len(r.Files) > 0 }

// key names the recipe.
func (r Recipe) key() string {
	text, err := json.Marshal(r)
	if err != nil { // strings and numbers only
		panic(fmt.Sprintf("recipe does not marshal: %v", err))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:12]
}

// home is the name of the folder of a recipe's base systems.
func (r Recipe) home() string { return fmt.Sprintf("%s-%s-%s", r.OS, r.Arch, r.key()) }

// sources are the lines of apt's sources.list at a site.
func (r Recipe) sources(site cluster.Site) []string {
	var lines []string
	for _, suite := range r.Suites {
		lines = append(lines, strings.Join(append([]string{"deb", site.URI(suite.Archive), suite.Name}, suite.Components...), " "))
	}
	return lines
}

// command is the mmdebstrap that makes the recipe's tree. Two hooks take from the folder site what must not show in the
// process list, and what apt needs to know of the site as long as the tree is made; a third takes the files.
func (r Recipe) command(tree, site, files string, sources []string) []string {
	argv := []string{
		"mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--architectures=" + r.Arch,
		"--include=" + strings.Join(r.Packages, ","),
		`--setup-hook=mkdir -p "$1/etc/apt/apt.conf.d" && cp ` + quote(site) + `/apt.conf "$1/` + siteFile + `"`,
	}
	for _, option := range r.Apt {
		argv = append(argv, "--aptopt="+option)
	}
	for _, option := range r.Dpkg {
		argv = append(argv, "--dpkgopt="+option)
	}
	if len(r.Files) > 0 { // once the system's folders are there, and before a kernel makes its initial file system
		argv = append(argv, "--essential-hook=cp -R "+quote(files)+`/. "$1/"`)
	}
	for _, command := range r.Commands {
		argv = append(argv, `--customize-hook=chroot "$1" `+strings.Join(command, " "))
	}
	return append(append(argv, r.Suite, tree), sources...)
}

// fileNames are the names of the files, sorted.
func (r Recipe) fileNames() []string { return slices.Sorted(maps.Keys(r.Files)) }

func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
