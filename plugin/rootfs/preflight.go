package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/cincbake/cincbake/images/disk"
)

// need is a thing of the host that a bake uses, and the Debian package that it comes in.
type need struct{ program, file, install string }

// needs are those of a bake as the template wants it.
func (c *Config) needs() []need {
	all := []need{{program: "systemd-nspawn", install: "systemd-container"}}
	if c.BaseTarball == "" {
		all = append(all, need{program: "mmdebstrap", install: "mmdebstrap"},
			// A host of another system than Debian does not know the keys that its packages are signed with.
			need{file: "/usr/share/keyrings/debian-archive-keyring.gpg", install: "debian-archive-keyring"})
	}
	if c.boots() {
		for _, tool := range disk.Tools() {
			all = append(all, need{program: tool.Program, install: tool.Package})
		}
	}
	return all
}

// preflight tells everything that the bake would miss later.
func (b *build) preflight(ctx context.Context) error {
	if err := preflight(b.config.needs(), runtime.GOOS, os.Geteuid(), exec.LookPath, os.Stat); err != nil {
		return err
	}
	return reach(ctx, b.config.job.Site, b.config.system)
}

func preflight(needs []need, system string, uid int, look func(string) (string, error), stat func(string) (os.FileInfo, error)) error {
	if system != "linux" {
		return fmt.Errorf("baking a tree needs Linux, this is %s: bake in a virtual machine", system)
	}
	var problems []error
	if uid != 0 {
		problems = append(problems, errors.New("baking mounts file systems and needs root: run packer with sudo"))
	}
	for _, n := range needs {
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
