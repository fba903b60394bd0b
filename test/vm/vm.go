// Package vm boots disks in QEMU, emulated, for the tests.
package vm

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// within is how long a machine may take: emulated, on a busy host.
const within = 20 * time.Minute

// Boot starts a machine on a layer over the disk that is larger than it, with a seed, in the network of the examples
// (10.20.0.0/24), and waits until its console says something. It returns the layer, and how long the machine took. The
// machine's power goes then.
func Boot(t *testing.T, disk, seed, says string, more ...string) (overlay string, took time.Duration) {
	t.Helper()
	dir := t.TempDir()
	overlay, console := filepath.Join(dir, "overlay.qcow2"), filepath.Join(dir, "console")
	if out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", disk, overlay, "9G").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var complaints bytes.Buffer
	// "pc", because Debian's kernel for clouds has no driver for the CD of a "q35".
	machine := exec.CommandContext(ctx, "qemu-system-x86_64", append([]string{
		"-machine", "pc", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "1", "-display", "none", "-monitor", "none", "-no-reboot",
		"-serial", "file:" + console, "-drive", "if=virtio,file=" + overlay, "-cdrom", seed,
		"-netdev", "user,id=net,net=10.20.0.0/24,host=10.20.0.1,restrict=on", "-device", "virtio-net-pci,netdev=net",
	}, more...)...)
	machine.Stdout, machine.Stderr = &complaints, &complaints
	if err := machine.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- machine.Wait() }()
	began := time.Now()
	for {
		text, _ := os.ReadFile(console) // it is not there at once
		if bytes.Contains(text, []byte(says)) {
			took = time.Since(began)
			t.Logf("after %.0f s: %s", took.Seconds(), lastLines(text))
			cancel()
			if err := <-ended; err == nil {
				t.Error("the machine switched itself off")
			}
			return overlay, took
		}
		select {
		case err := <-ended:
			t.Fatalf("the machine ended (%v, %v) without %q: %s\n%s", err, context.Cause(ctx), says, complaints.String(), lastLines(text))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// lastLines is the end of what a console shows.
func lastLines(text []byte) string {
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(string(text), "")), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}
