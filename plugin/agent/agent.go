// Package agent holds the boot agents that the provisioner carries into machines, built for each processor beforehand: one for
// AWS, and one for everything else.
package agent

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cincbake/cincbake/cluster"
)

// The folder holds more than README.md only once `make agent` has put the agents there, so that the plugin's source
// compiles without them.
//
//go:embed bin
var bin embed.FS

// For returns the agent for a platform and a processor, in Debian's words.
func For(platform cluster.Platform, arch string) ([]byte, error) { return from(bin, platform, arch) }

func from(files fs.FS, platform cluster.Platform, arch string) ([]byte, error) {
	name, of := "cincbake-node", arch
	if platform == cluster.AWS {
		name, of = "cincbake-node_aws", arch+" on AWS"
	}
	program, err := fs.ReadFile(files, "bin/"+name+"_linux_"+arch)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("this build of the plugin carries no boot agent for %s: build it with make plugin", of)
	}
	return program, err
}
