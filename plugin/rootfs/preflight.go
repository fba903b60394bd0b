package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// needed are the things of the host that a bake uses, and the Debian package that each comes in.
func needed() []struct{ program, file, install string } {
	return []struct{ program, file, install string }{
		{program: "mmdebstrap", install: "mmdebstrap"},
		{program: "systemd-nspawn", install: "systemd-container"},
		// A host of another system than Debian does not know the keys that its packages are signed with.
		{file: "/usr/share/keyrings/debian-archive-keyring.gpg", install: "debian-archive-keyring"},
	}
}

// preflight tells everything that the bake would miss later.
func (b *build) preflight(context.Context) error {
	return preflight(runtime.GOOS, os.Geteuid(), exec.LookPath, os.Stat)
}

func preflight(system string, uid int, look func(string) (string, error), stat func(string) (os.FileInfo, error)) error {
	if system != "linux" {
		return fmt.Errorf("baking a tree needs Linux, this is %s: bake in a virtual machine", system)
	}
	var problems []error
	if uid != 0 {
		problems = append(problems, errors.New("baking mounts file systems and needs root: run packer with sudo"))
	}
	for _, n := range needed() {
		if n.program != "" {
			if _, err := look(n.program); err != nil {
				problems = append(problems, fmt.Errorf("%s is missing: apt-get install %s", n.program, n.install))
			}
			continue
		}
		if _, err := stat(n.file); err != nil {
			problems = append(problems, fmt.Errorf("%s is missing: apt-get install %s", n.file, n.install))
		}
	}
	return errors.Join(problems...)
}
