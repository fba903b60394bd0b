//go:build integration

package iso_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cloudinit/iso"
)

// need skips without the program, or fails where every tool must be there.
func need(t *testing.T, program, install string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	reason := program + " is missing: apt-get install " + install
	if os.Getenv("CINCBAKE_REQUIRE") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func output(t *testing.T, argv ...string) []byte {
	t.Helper()
	var problems bytes.Buffer
	command := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	command.Stderr = &problems
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, problems.Bytes())
	}
	return out
}

func imageFile(t *testing.T) string {
	t.Helper()
	image, err := iso.Encode("cidata", files())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "seed.iso")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// isoinfo reads every file back by all three of its names.
func TestIsoinfoReadsEverything(t *testing.T) {
	need(t, "isoinfo", "genisoimage")
	path := imageFile(t)
	about := string(output(t, "isoinfo", "-d", "-i", path))
	for _, want := range []string{"Volume id: cidata\n", "Joliet with UCS level 3 found\n", "Rock Ridge signatures version 1 found\n"} {
		if !strings.Contains(about, want) {
			t.Errorf("isoinfo does not say %q:\n%s", want, about)
		}
	}
	for _, f := range files() {
		plain := "/" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")) + ".;1"
		for _, argv := range [][]string{{"-R", "-x", "/" + f.Name}, {"-J", "-x", "/" + f.Name + ";1"}, {"-x", plain}} {
			if got := output(t, append([]string{"isoinfo", "-i", path}, argv...)...); !bytes.Equal(got, f.Content) {
				t.Errorf("isoinfo %s gives %d bytes, want %d", strings.Join(argv, " "), len(got), len(f.Content))
			}
		}
	}
	list := string(output(t, "isoinfo", "-R", "-l", "-i", path))
	if strings.Count(list, "-r--------   1    0    0 ") != len(files()) {
		t.Errorf("the files are not root's alone:\n%s", list)
	}
}

// What the machine's kernel and cloud-init look for: the label, and a file system that can be mounted.
func TestMachineFindsSeed(t *testing.T) {
	path := imageFile(t)
	need(t, "blkid", "util-linux")
	want := "cidata\niso9660\n"
	if diff := cmp.Diff(want, string(output(t, "blkid", "-p", "-o", "value", "-s", "LABEL", "-s", "TYPE", path))); diff != "" {
		t.Errorf("blkid (-want +got):\n%s", diff)
	}
}

func TestKernelMountsSeed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil || !bytes.Contains(known, []byte("\tiso9660\n")) {
		t.Skip("this kernel has no iso9660: modprobe isofs")
	}
	path, at := imageFile(t), t.TempDir()
	output(t, "mount", "-o", "loop,ro", path, at)
	defer output(t, "umount", at)
	for _, f := range files() {
		got, err := os.ReadFile(filepath.Join(at, f.Name))
		if err != nil || !bytes.Equal(got, f.Content) {
			t.Errorf("%s: %v, %d bytes, want %d", f.Name, err, len(got), len(f.Content))
		}
		if info, err := os.Stat(filepath.Join(at, f.Name)); err != nil || info.Mode() != 0o400 {
			t.Errorf("%s: %v, %v", f.Name, info.Mode(), err)
		}
	}
}
