package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/cincbake/cincbake/internal/exit"
)

// requireRoot refuses to begin what only root can finish.
func requireRoot(why string) error {
	if os.Geteuid() != 0 {
		return exit.Errorf(exit.Missing, "%s, which needs root: run it with sudo", why)
	}
	return nil
}

// requireBakery tells everything that a bake would miss, not only the first. The plugin looks again: Packer may run elsewhere
// than cincbake.
func requireBakery() error {
	problems := []error{requireRoot("baking mounts file systems")}
	for _, need := range []struct{ program, install string }{{"mmdebstrap", "mmdebstrap"}, {"systemd-nspawn", "systemd-container"}} {
		if _, err := exec.LookPath(need.program); err != nil {
			problems = append(problems, fmt.Errorf("%s is missing: apt-get install %s", need.program, need.install))
		}
	}
	const keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
	if _, err := os.Stat(keys); err != nil {
		problems = append(problems, fmt.Errorf("%s is missing: apt-get install debian-archive-keyring", keys))
	}
	return exit.As(exit.Missing, errors.Join(problems...))
}
