package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// bridge is the name of a network's bridge. It is alone in its namespace, so every network's may have the same.
const bridge = "br0"

// Network is a bridge in a network namespace of its own, which the host's interfaces, routes and firewall have no part in.
type Network struct {
	Path    string       // the file that stands for the namespace, as for nsenter --net=
	Gateway netip.Prefix // the bridge's own address and the network that it is in
}

// Up makes the network, unless it is there.
func (n Network) Up(ctx context.Context) error {
	if kept, err := isNetwork(n.Path); kept || err != nil {
		return err
	}
	if err := os.WriteFile(n.Path, nil, 0o600); err != nil { // something to mount it on
		return err
	}
	if err := keepNewNetwork(n.Path, func() error { return runIP(ctx, n.script()) }); err != nil {
		return fmt.Errorf("making the lab's network: %w", err)
	}
	return nil
}

// Down takes the network away, with every link that is still in it.
func (n Network) Down() error {
	kept, err := isNetwork(n.Path)
	if err != nil {
		return err
	}
	if kept {
		if err := unmount(n.Path); err != nil {
			return err
		}
	}
	if err := os.Remove(n.Path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Dial connects as a machine in the network would: from the bridge's address, with no route on the host.
func (n Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := inNetwork(n.Path, func() (err error) {
		// The address holds no name to look up, so the socket is made by this very thread.
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// script is what ip(8) is told inside a new namespace.
func (n Network) script() []string {
	return []string{
		"link set lo up",
		"link add " + bridge + " type bridge stp_state 0 forward_delay 0",
		"address add " + n.Gateway.String() + " dev " + bridge,
		"link set " + bridge + " up",
	}
}

// plug gives the calling thread's new network namespace the machine's interface, with the other end on the bridge.
func (m Machine) plug(ctx context.Context) error {
	if err := m.unplug(ctx); err != nil {
		return err
	}
	if err := runIP(ctx, m.linkScript()); err != nil {
		return err
	}
	return inNetwork(m.Network.Path, func() error {
		return runIP(ctx, []string{"link set " + m.Port + " master " + bridge + " up"})
	})
}

// unplug makes sure that nothing is left of the link of a machine that was just killed: the kernel takes namespaces away
// in its own time, so the link may be there still, or go this very moment.
func (m Machine) unplug(ctx context.Context) error {
	return poll(ctx, unplugDeadline, func() (gone bool, err error) {
		err = inNetwork(m.Network.Path, func() error {
			if _, err := net.InterfaceByName(m.Port); err != nil {
				gone = true
				return nil
			}
			_ = runIP(ctx, []string{"link delete " + m.Port}) // fails when the kernel was faster
			return nil
		})
		return gone, err
	})
}

// linkScript is what ip(8) is told inside the machine's namespace.
func (m Machine) linkScript() []string {
	return []string{
		"link set lo up",
		fmt.Sprintf("link add %s address %s type veth peer name %s netns %s", m.Interface, m.MAC(), m.Port, m.Network.Path),
	}
}

// runIP has ip(8) carry out a script in the calling thread's network namespace.
func runIP(ctx context.Context, script []string) error {
	command := exec.CommandContext(ctx, "ip", "-batch", "-")
	command.Stdin = strings.NewReader(strings.Join(script, "\n") + "\n")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("ip -batch: %w: %s\n%s", err, bytes.TrimSpace(output), strings.Join(script, "\n"))
	}
	return nil
}
