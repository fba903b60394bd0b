package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/packer"
)

// requireRoot refuses to begin what only root can finish.
func requireRoot(why string) error {
	if os.Geteuid() != 0 {
		return exit.Errorf(exit.Missing, "%s, which needs root: run it with sudo", why)
	}
	return nil
}

// need is a program that a bake runs: any of the names will do.
type need struct {
	programs []string
	remedy   string
}

// requireBakery tells everything that a bake would miss on this host, not only the first. Plugins look again: Packer may run
// elsewhere than cincbake.
func requireBakery(builder packer.Builder, vars map[string]string) error {
	var problems []error
	var needs []need
	switch builder {
	case packer.Rootfs:
		problems = append(problems, requireRoot("baking mounts file systems"))
		needs = []need{{[]string{"mmdebstrap"}, "apt-get install mmdebstrap"}, {[]string{"systemd-nspawn"}, "apt-get install systemd-container"}}
		if strings.Contains(vars["formats"], string(images.KindQCOW2)) {
			needs = append(needs, need{[]string{"qemu-img"}, "apt-get install qemu-utils"})
		}
		const keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
		if _, err := os.Stat(keys); err != nil {
			problems = append(problems, fmt.Errorf("%s is missing: apt-get install debian-archive-keyring", keys))
		}
	case packer.QEMU:
		needs = []need{
			{[]string{"qemu-system-x86_64"}, "apt-get install qemu-system-x86"},
			{[]string{"qemu-img"}, "apt-get install qemu-utils"},
			{[]string{"xorriso", "genisoimage", "mkisofs"}, "apt-get install xorriso"}, // the seed is a CD
		}
		if vars["accelerator"] == "" || vars["accelerator"] == "kvm" {
			if kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err != nil {
				problems = append(problems, fmt.Errorf("no KVM here: %w: join the group kvm, or add --var accelerator=tcg, which takes ten times as long", err))
			} else {
				problems = append(problems, kvm.Close())
			}
		}
	case packer.AmazonEBS:
		if vars["ssh_interface"] == "session_manager" {
			needs = []need{{[]string{"session-manager-plugin"}, "AWS has it in a package of that name"}}
		}
	}
	for _, need := range needs {
		if !slices.ContainsFunc(need.programs, func(name string) bool { _, err := exec.LookPath(name); return err == nil }) {
			problems = append(problems, fmt.Errorf("%s is missing: %s", need.programs[0], need.remedy))
		}
	}
	return exit.As(exit.Missing, errors.Join(problems...))
}
