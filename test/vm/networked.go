package vm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Networked is a virtual machine on a bridge, which keeps its disks while its power comes and goes. QEMU is killed as one
// pulls a plug: what the machine's kernel had not written to its disks is lost.
type Networked struct {
	Name    string
	Number  byte   // tells its network card from the others'
	Network string // the namespace that holds a bridge br0, as for nsenter --net=
	Seed    string // an ISO
	Dir     string // holds root.qcow2, data.raw and the console's text

	qemu  *exec.Cmd
	ended chan struct{}
	said  bytes.Buffer
}

// Make makes its disks: a layer over an image, and an empty data disk.
func (m *Networked) Make(t *testing.T, image string) {
	t.Helper()
	for _, argv := range [][]string{
		{"qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image, filepath.Join(m.Dir, "root.qcow2"), "9G"},
		{"truncate", "--size=4G", filepath.Join(m.Dir, "data.raw")},
	} {
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
	}
}

// Start puts the plug in.
func (m *Networked) Start(context.Context) error {
	if m.qemu != nil {
		return fmt.Errorf("%s runs already", m.Name)
	}
	tap := "tap-" + m.Name
	plug := fmt.Sprintf("ip link show %[1]s >/dev/null 2>&1 || ip tuntap add %[1]s mode tap; ip link set %[1]s master br0 up", tap)
	if out, err := exec.CommandContext(context.Background(), "nsenter", "--net="+m.Network, "sh", "-ec", plug).CombinedOutput(); err != nil { //nolint:gosec // the test's own names
		return fmt.Errorf("%s: its network: %w: %s", m.Name, err, out)
	}
	m.said.Reset()
	// The processor is emulated: KVM can't be counted on. nsenter becomes QEMU, so its process is QEMU's.
	m.qemu = exec.CommandContext(context.Background(), "nsenter", "--net="+m.Network, //nolint:gosec // likewise
		"qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "1", "-display", "none", "-monitor", "none",
		"-serial", "file:"+filepath.Join(m.Dir, "console"),
		"-drive", "if=virtio,file="+filepath.Join(m.Dir, "root.qcow2"),
		"-drive", "if=virtio,format=raw,file="+filepath.Join(m.Dir, "data.raw"),
		"-cdrom", m.Seed,
		"-netdev", "tap,id=net,ifname="+tap+",script=no,downscript=no",
		"-device", fmt.Sprintf("virtio-net-pci,netdev=net,mac=52:54:00:00:00:%02x", m.Number))
	m.qemu.Stdout, m.qemu.Stderr = &m.said, &m.said
	m.ended = make(chan struct{})
	if err := m.qemu.Start(); err != nil {
		m.qemu = nil
		return err
	}
	go func() {
		_ = m.qemu.Wait() // it ends when it is killed
		close(m.ended)
	}()
	select {
	case <-m.ended:
		m.qemu = nil
		return fmt.Errorf("%s did not start: %s", m.Name, m.said.String())
	case <-time.After(time.Second):
		return nil
	}
}

// PowerOff pulls the plug.
func (m *Networked) PowerOff(context.Context) error {
	if m.qemu == nil {
		return nil
	}
	if err := m.qemu.Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-m.ended
	m.qemu = nil
	return nil
}

// Console is the end of what it showed.
func (m *Networked) Console() string {
	text, err := os.ReadFile(filepath.Join(m.Dir, "console"))
	if err != nil {
		return err.Error()
	}
	return lastLines(text)
}
