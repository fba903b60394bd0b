//go:build integration && linux

package catalogue

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/images"
)

// poweroff is a disk's first sector: it waits for three seconds, as the builder wants to see its machine run, and switches
// the machine off.
func poweroff() []byte {
	sector := make([]byte, 1<<20)
	copy(sector, []byte{
		0xb4, 0x86, 0xb9, 0x2d, 0x00, 0xba, 0xc0, 0xc6, 0xcd, 0x15, // wait: int 15h, 86h
		0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, // SLP_EN to port 604h, where QEMU's pc has its ACPI PM1a
		0xf4, 0xeb, 0xfd, // halt
	})
	sector[510], sector[511] = 0x55, 0xaa
	return sector
}

const qemuTemplate = `
source "qemu" "postgres" {
  iso_url          = "DIR/boot.qcow2"
  iso_checksum     = "none"
  disk_image       = true
  disk_size        = "2M"
  format           = "qcow2"
  machine_type     = "pc"
  accelerator      = "tcg"
  headless         = true
  disable_vnc      = true
  communicator     = "none"
  boot_wait        = "-1s"
  shutdown_timeout = "60s"
  output_directory = "DIR/out"
}

build {
  sources = ["source.qemu.postgres"]

  post-processor "cincbake-catalogue" {
    spec                = "SPEC"
    role                = source.name
    images              = "DIR/images"
    results             = "RESULTS"
    keep_input_artifact = KEEP
  }
}
`

// The real builder's disk gets into the catalogue, through Packer and both its ways of talking to plugins; the builder's own
// stays only where the template says so.
func TestAfterTheRealQemuBuilder(t *testing.T) {
	tools, err := filepath.Abs("../../.cache/tools")
	must(t, err)
	packer, qemu := filepath.Join(tools, "packer"), filepath.Join(tools, "packer-plugin-qemu")
	var problems []error
	for program, remedy := range map[string]string{
		packer: "make packer", qemu: "make packer", "qemu-system-x86_64": "apt-get install qemu-system-x86", "qemu-img": "apt-get install qemu-utils",
	} {
		if _, err := exec.LookPath(program); err != nil {
			problems = append(problems, errors.Join(err, errors.New(remedy)))
		}
	}
	if err := errors.Join(problems...); err != nil {
		if os.Getenv("CINCBAKE_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	run := func(env []string, name string, args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), name, args...)
		command.Env = append(os.Environ(), "PACKER_PLUGIN_PATH="+dir+"/plugins", "PACKER_CONFIG_DIR="+dir, "CHECKPOINT_DISABLE=1", "CGO_ENABLED=0")
		command.Env = append(command.Env, env...)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	plugin := filepath.Join(dir, "packer-plugin-cincbake")
	run(nil, "go", "build", "-o", plugin, "..")
	run(nil, packer, "plugins", "install", "--path", plugin, "github.com/cincbake/cincbake")
	run(nil, packer, "plugins", "install", "--path", qemu, "github.com/hashicorp/qemu")
	must(t, os.WriteFile(filepath.Join(dir, "boot.raw"), poweroff(), 0o600))
	run(nil, "qemu-img", "convert", "-O", "qcow2", filepath.Join(dir, "boot.raw"), filepath.Join(dir, "boot.qcow2"))

	absolute, err := filepath.Abs(spec)
	must(t, err)
	for _, tt := range []struct {
		name, keep string
		env        []string
	}{{"protobuf", "false", nil}, {"gob", "true", []string{"PACKER_FORCE_GOB=1"}}} {
		t.Run(tt.name, func(t *testing.T) {
			template := filepath.Join(dir, tt.name+".pkr.hcl")
			text := strings.NewReplacer("DIR", dir, "SPEC", absolute, "RESULTS", results(t, "postgres"), "KEEP", tt.keep).Replace(qemuTemplate)
			must(t, os.WriteFile(template, []byte(text), 0o600))
			must(t, os.RemoveAll(filepath.Join(dir, "images")))
			run(tt.env, packer, "build", "-color=false", template)

			catalogue, err := images.Open(filepath.Join(dir, "images"))
			must(t, err)
			all, err := catalogue.List(t.Context())
			must(t, err)
			if len(all) != 1 || all[0].Err != nil {
				t.Fatalf("the catalogue has %+v", all)
			}
			if _, _, err := all[0].File(images.KindQCOW2); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "out")); (err == nil) != (tt.keep == "true") {
				t.Errorf("keep_input_artifact = %s, and the builder's own disk: %v", tt.keep, err)
			}
		})
	}
}
