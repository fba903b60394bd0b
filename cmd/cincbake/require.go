package main

import (
	"os"
	"os/exec"
	"strings"

	"github.com/cincbake/cincbake/internal/exit"
)

// requireRoot refuses to begin what only root can finish.
func requireRoot(why string) error {
	if os.Geteuid() != 0 {
		return exit.Errorf(exit.Missing, "%s, which needs root: run it with sudo", why)
	}
	return nil
}

// requirePrograms names every program that is missing, not only the first, and how to get them.
func requirePrograms(names ...string) error {
	packages := map[string]string{"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container"}
	var missing, install []string
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
			install = append(install, packages[name])
		}
	}
	if len(missing) > 0 {
		return exit.Errorf(exit.Missing, "%s not found: apt-get install %s", strings.Join(missing, " and "), strings.Join(install, " "))
	}
	return nil
}
