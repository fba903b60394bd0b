//go:build integration

package machine

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	const missing = "loop devices and network namespaces are root's: run the tests with sudo"
	if os.Getenv("CINCBAKE_REQUIRE") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

func TestDiskIsAttachedOnce(t *testing.T) {
	needsRoot(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "disk.img")
	if err := makeDisk(file, 1<<20); err != nil {
		t.Fatal(err)
	}
	// A folder that is reached through a link must not make a second device of the same disk.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	first, err := attachDisk(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = detachDisk(file) })
	for _, path := range []string{file, filepath.Join(link, "disk.img")} {
		if again, err := attachDisk(path); err != nil || again != first {
			t.Errorf("%s is %s, %s was %s: %v", path, again, file, first, err)
		}
	}
	device, err := os.OpenFile(first, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = device.WriteAt([]byte("through the device"), 4096)
	if err := device.Sync(); err != nil {
		t.Error(err)
	}
	device.Close()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text[4096:]), "through the device") {
		t.Errorf("the file says %q: %v", text[4096:4100], err)
	}
	if err := detachDisk(filepath.Join(link, "disk.img")); err != nil {
		t.Error(err)
	}
	if devices, err := devicesOf(file); err != nil || len(devices) > 0 {
		t.Errorf("still attached to %v: %v", devices, err)
	}
}

func TestNetwork(t *testing.T) {
	needsRoot(t)
	n := Network{Path: filepath.Join(t.TempDir(), "network"), Gateway: netip.MustParsePrefix("10.99.0.1/24")}
	t.Cleanup(func() {
		if err := n.Down(); err != nil {
			t.Error(err)
		}
	})
	for range 2 { // the second finds it there
		if err := n.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// Nobody listens there, and only a network that has the address can say so.
	if _, err := n.Dial(t.Context(), "tcp", "10.99.0.1:9"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("dialling the bridge: %v", err)
	}
	for range 2 {
		if err := n.Down(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(n.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Dial(t.Context(), "tcp", "10.99.0.1:9"); err == nil || !strings.Contains(err.Error(), "cincbake lab up mounts it again") {
		t.Errorf("dialling into what is no network: %v", err)
	}
}

func TestCutAndHeal(t *testing.T) {
	needsRoot(t)
	if _, err := exec.LookPath("nft"); err != nil {
		if os.Getenv("CINCBAKE_REQUIRE") == "1" {
			t.Fatal(ErrNoFilter)
		}
		t.Skip(ErrNoFilter)
	}
	n := Network{Path: filepath.Join(t.TempDir(), "network"), Gateway: netip.MustParsePrefix("10.99.0.1/24")}
	if err := n.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Down(); err != nil {
			t.Error(err)
		}
	})
	for _, step := range []struct {
		what string
		do   func() error
		want []string
	}{
		{"cut", func() error { return n.Cut(t.Context(), "node1", nil) }, []string{"node1"}},
		{"another", func() error { return n.Cut(t.Context(), "node2", []string{"node1", "node3"}) }, []string{"node1", "node2"}},
		{"again", func() error { return n.Cut(t.Context(), "node1", []string{"node2"}) }, []string{"node1", "node2"}},
		{"heal", func() error { return n.Heal(t.Context(), "node1") }, []string{"node2"}},
		{"heal what is whole", func() error { return n.Heal(t.Context(), "node1") }, []string{"node2"}},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if got, err := n.Cuts(t.Context()); err != nil || !slices.Equal(got, step.want) {
			t.Errorf("%s: cut are %q: %v", step.what, got, err)
		}
	}
	if got, err := (Network{Path: filepath.Join(t.TempDir(), "none")}).Cuts(t.Context()); err != nil || got != nil {
		t.Errorf("without a network: %q, %v", got, err)
	}
}
