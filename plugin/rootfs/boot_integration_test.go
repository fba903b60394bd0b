//go:build integration && linux

package rootfs

import (
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/cincbake/cincbake/images"
	rolebaker "github.com/cincbake/cincbake/plugin/provision"
	"github.com/cincbake/cincbake/test/vm"
)

// role runs the provisioner cincbake-role, as Packer would.
type role struct {
	t    *testing.T
	spec string
	name string
}

func (r role) Run(ctx context.Context, hook string, ui packersdk.Ui, comm packersdk.Communicator, data any) error {
	if hook != packersdk.HookProvision {
		return nil
	}
	provisioner := new(rolebaker.Provisioner)
	if err := provisioner.Prepare(map[string]any{"spec": r.spec, "role": r.name}); err != nil {
		return err
	}
	return provisioner.Provision(ctx, ui, comm, data.(map[string]any))
}

// cincbake runs the command itself, on a cluster.
func cincbake(t *testing.T, dir string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", append([]string{"run", "./cmd/cincbake"}, args...)...)
	command.Dir = "../.." // where its module is
	command.Args = append(command.Args, "--file", filepath.Join(dir, "cluster.yaml"))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("cincbake %v: %v: %s", args, err, out)
	}
}

// TestDiskBoots bakes a load balancer as a disk and starts it in QEMU, by BIOS and by UEFI, with the seed that render writes
// for it. A load balancer is ready without its peers.
func TestDiskBoots(t *testing.T) {
	const firmware, variables = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
	cache := newCache(t)
	for need, install := range map[string]string{"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", firmware: "ovmf"} {
		if _, err := exec.LookPath(need); err != nil && !strings.HasPrefix(need, "/") || strings.HasPrefix(need, "/") && !exists(need) {
			if os.Getenv("CINCBAKE_REQUIRE") == "1" {
				t.Fatal("apt-get install " + install)
			}
			t.Skip("apt-get install " + install)
		}
	}
	dir := t.TempDir()
	text, err := os.ReadFile(spec)
	must(t, err)
	put(t, filepath.Join(dir, "cinc.deb"), "no load balancer has it")
	put(t, filepath.Join(dir, "cluster.yaml"), strings.ReplaceAll(string(text), "package: {official: true}", "package: {file: cinc.deb}"))
	cincbake(t, dir, "secrets", "init")
	cincbake(t, dir, "render", "--out", filepath.Join(dir, "seeds"), "--format", "iso", "--node", "lb-1")

	b, folder := builderFor(t, cache, map[string]any{"spec": filepath.Join(dir, "cluster.yaml"), "role": "lb", "formats": []string{"rootfs", "qcow2"}})
	artifact, err := runBuilder(t, b, role{t, b.config.Spec, "lb"})
	must(t, err)
	catalogue, err := images.Open(folder)
	must(t, err)
	entry, err := catalogue.Show(t.Context(), artifact.Id())
	must(t, err)
	disk, _, err := entry.File(images.KindQCOW2)
	must(t, err)

	vars, err := os.ReadFile(variables)
	must(t, err)
	own := filepath.Join(dir, "vars.fd") // the firmware writes to it
	must(t, os.WriteFile(own, vars, 0o600))
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"BIOS", nil},
		{"UEFI", []string{"-drive", "if=pflash,format=raw,readonly=on,file=" + firmware, "-drive", "if=pflash,format=raw,file=" + own}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			overlay, _ := vm.Boot(t, disk, filepath.Join(dir, "seeds/lb-1.iso"), "cincbake: ready\r\n", tt.args...)
			if end := rootEnd(t, overlay); end < 8<<30 {
				t.Errorf("the root file system's partition ends at %d MB of 9 GB", end>>20)
			}
		})
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// rootEnd is where the root file system's partition ends, in bytes: the last of the three in the table.
func rootEnd(t *testing.T, disk string) uint64 {
	t.Helper()
	table := filepath.Join(t.TempDir(), "table")
	if out, err := exec.CommandContext(t.Context(), "qemu-img", "dd", "-f", "qcow2", "-O", "raw", "if="+disk, "of="+table, "bs=1M", "count=1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	content, err := os.ReadFile(table)
	must(t, err)
	return binary.LittleEndian.Uint64(content[2*512+2*128+40:]) * 512
}
