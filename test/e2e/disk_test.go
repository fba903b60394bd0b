//go:build e2e

package e2e

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/disk"
	"github.com/cincbake/cincbake/test/vm"
)

// TestQEMU bakes a role in a virtual machine, by the qemu builder itself, and boots the disk that it made with the seed that
// render writes. The processor is emulated: KVM can't be counted on. (That disks of the builder cincbake-rootfs boot, by
// BIOS and by UEFI, is among the plugin's integration tests.)
//
// With CINCBAKE_QEMU_ROLE it bakes that role instead, compares the time with cincbake's own builder's, and boots nothing: a
// machine of most roles waits for its peers.
func TestQEMU(t *testing.T) {
	b := newWorkbench(t)
	role := cmp.Or(os.Getenv("CINCBAKE_QEMU_ROLE"), "lb")
	t.Cleanup(func() { t.Logf("figures:\n  %s", strings.Join(b.figures, "\n  ")) })
	for program, install := range map[string]string{"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "xorriso": "xorriso"} {
		_, err := exec.LookPath(program)
		require(t, err == nil, program, "apt-get install "+install)
	}
	b.must(t, time.Minute, "init", b.dir)
	b.must(t, time.Minute, "secrets", "init")
	b.must(t, time.Minute, "render", "--out", "seeds", "--format", "iso", "--node", "lb-1")

	cloud := b.cloudImage(t, role)
	began := time.Now()
	b.must(t, time.Hour, "bake", role, "--builder", "qemu", "--packer", filepath.Join(b.home, ".cache/tools/packer"), "--images", b.images,
		"--var", "iso_url="+cloud, "--var", "iso_checksum=sha256:"+sumOf(t, cloud), "--var", "accelerator=tcg")
	emulated := time.Since(began)
	b.figure(t, "%s by the qemu builder, emulated: %.0f s", role, emulated.Seconds())
	for _, forms := range []string{"rootfs", "rootfs,qcow2"} {
		began := time.Now()
		b.must(t, 10*time.Minute, "bake", role, "--format", forms, "--packer", filepath.Join(b.home, ".cache/tools/packer"), "--images", b.images+"-"+forms)
		own := time.Since(began)
		b.figure(t, "%s by cincbake-rootfs as %s: %.1f s, %.1f times as fast", role, forms, own.Seconds(), emulated.Seconds()/own.Seconds())
	}
	if role != "lb" {
		return
	}

	made := b.disks(t)[cluster.RoleLB]
	if made == "" {
		t.Fatal("the catalogue holds no disk")
	}
	_, took := vm.Boot(t, made, filepath.Join(b.dir, "seeds/lb-1.iso"), "cincbake: ready\r\n")
	b.figure(t, "its disk until the agent is ready, emulated: %.0f s", took.Seconds())
}

// cloudImage makes a disk as a cloud's own: a Debian that boots, with cloud-init, and nothing of ours. Its system is the one
// that a bake of disks starts from.
func (b *bench) cloudImage(t *testing.T, role string) string {
	t.Helper()
	b.must(t, 10*time.Minute, "bake", role, "--format", "rootfs,qcow2", "--packer", filepath.Join(b.home, ".cache/tools/packer"), "--images", b.images+"-rootfs")
	bases, err := filepath.Glob("/var/cache/cincbake/base/debian-13-amd64-*/*/tree/boot/grub/grub.cfg")
	if err != nil || len(bases) == 0 {
		t.Fatalf("no base system with a kernel: %v", err)
	}
	scratch := t.TempDir()
	tree := filepath.Join(scratch, "tree")
	for _, argv := range [][]string{
		{"cp", "-a", "--reflink=auto", filepath.Dir(filepath.Dir(filepath.Dir(bases[len(bases)-1]))), tree},
		{"systemctl", "--root=" + tree, "enable", "systemd-networkd"}, // as the clouds' images have it
	} {
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
	}
	// QEMU's own network answers for names there.
	if err := os.WriteFile(filepath.Join(tree, "etc/resolv.conf"), []byte("nameserver 10.0.2.3\n"), 0o644); err != nil { //nolint:gosec // a system's file
		t.Fatal(err)
	}
	image := filepath.Join(scratch, "cloud.qcow2")
	if err := (disk.Disk{Tree: tree, Size: 4 << 30, Time: time.Now(), Scratch: scratch}).Make(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	return image
}

func sumOf(t *testing.T, name string) string {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
