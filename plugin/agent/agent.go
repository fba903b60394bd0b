// Package agent holds the boot agent that the provisioner carries into machines, built for each processor beforehand.
package agent

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// The folder holds more than README.md only once `make agent` has put the agents there, so that the plugin's source
// compiles without them.
//
//go:embed bin
var bin embed.FS

// For returns the agent for a processor, in Debian's words.
func For(arch string) ([]byte, error) { return from(bin, arch) }

func from(files fs.FS, arch string) ([]byte, error) {
	program, err := fs.ReadFile(files, "bin/cincbake-node_linux_"+arch)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("this build of the plugin carries no boot agent for %s: build it with make plugin", arch)
	}
	return program, err
}
