//go:build e2e

package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/lab/machine"
	"github.com/cincbake/cincbake/test/imds"
)

// vpc is the network of a fake account's instances: a bridge in a network namespace, where a DHCP server gives each card the
// address that the account says. A VPC's router and its services at link-local addresses are the bridge itself.
type vpc struct {
	machine.Network
	work sync.WaitGroup

	mu    sync.Mutex
	cards map[string]imds.Card // by MAC
}

// Where every instance finds the metadata service. At Amazon's addresses for names and time nobody answers, at once.
const (
	metadataAddress = "169.254.169.254"
	resolverAddress = "169.254.169.253"
	timeAddress     = "169.254.169.123"
)

// vpcPrefix is the network of the fake account. The bridge has the first address in it. Its subnets are one link here.
func vpcPrefix() netip.Prefix { return netip.MustParsePrefix("172.31.0.1/16") }

// newVPC makes the network, which goes when the test ends.
func newVPC(t *testing.T) *vpc {
	t.Helper()
	v := &vpc{Network: machine.Network{Path: filepath.Join(t.TempDir(), "vpc"), Gateway: vpcPrefix()}, cards: map[string]imds.Card{}}
	if err := v.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.work.Wait() // what listens is closed by now
		if err := v.Down(); err != nil {
			t.Error(err)
		}
	})
	var script strings.Builder
	for _, address := range []string{metadataAddress, resolverAddress, timeAddress} {
		fmt.Fprintf(&script, "address add %s/32 dev br0\n", address)
	}
	command := exec.CommandContext(t.Context(), "nsenter", "--net="+v.Path, "ip", "-batch", "-")
	command.Stdin = strings.NewReader(script.String())
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("addresses of the network: %v\n%s", err, out)
	}
	v.give(t)
	return v
}

// enter runs f in the network; sockets that it opens stay there.
func (v *vpc) enter(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	there, err := os.Open(v.Path)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, back) // the thread stays locked: nobody else runs on it
	}
	runtime.UnlockOSThread()
	return err
}

// listen listens in the network, at an address like 172.31.0.1:0, until the test ends.
func (v *vpc) listen(t *testing.T, address string) net.Listener {
	t.Helper()
	var listener net.Listener
	err := v.enter(func() (err error) {
		listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp4", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// dial connects from within the network.
func (v *vpc) dial(ctx context.Context, address string) (net.Conn, error) {
	var conn net.Conn
	err := v.enter(func() (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp4", address)
		return err
	})
	return conn, err
}

// forward leads from an address of the network's own to a server of this host, and returns that address.
func (v *vpc) forward(t *testing.T, to string) string {
	t.Helper()
	listener := v.listen(t, net.JoinHostPort(vpcPrefix().Addr().String(), "0"))
	v.work.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close()
				server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", to)
				if err != nil {
					return
				}
				lead(from, server)
			}()
		}
	})
	return listener.Addr().String()
}

// lead passes on what a client and a server say, until the server is through.
func lead(client, server net.Conn) {
	defer server.Close()
	go func() { // what the client ends, ends
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, server)
}

// plug says which address a card gets from now on.
func (v *vpc) plug(card imds.Card) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cards[card.MAC.String()] = card
}

// DHCP, as much of it as clients of one address each meet; RFC 2131 and 2132.
const (
	dhcpServerPort, dhcpClientPort = 67, 68
	dhcpHeader                     = 240 // with the cookie
	dhcpCookie                     = 0x63825363
	dhcpLease                      = 3600 // seconds

	dhcpDiscover, dhcpOffer, dhcpRequest, dhcpAck = 1, 2, 3, 5

	optionMask, optionRouter, optionLease, optionKind, optionServer, optionEnd = 1, 3, 51, 53, 54, 255
)

// give answers DHCP clients until the test ends.
func (v *vpc) give(t *testing.T) {
	t.Helper()
	var conn net.PacketConn
	err := v.enter(func() (err error) {
		config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			var failed error
			err := c.Control(func(fd uintptr) { failed = unix.BindToDevice(int(fd), "br0") }) // what is for everybody leaves by it
			return errors.Join(err, failed)
		}}
		conn, err = config.ListenPacket(t.Context(), "udp4", fmt.Sprintf(":%d", dhcpServerPort))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	v.work.Go(func() {
		packet := make([]byte, 1500)
		for {
			n, _, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			if reply := v.answer(packet[:n]); reply != nil {
				_, _ = conn.WriteTo(reply, &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpClientPort})
			}
		}
	})
}

// answer is what a client is told; nil: nothing.
func (v *vpc) answer(packet []byte) []byte {
	const request, reply = 1, 2
	if len(packet) < dhcpHeader || packet[0] != request || binary.BigEndian.Uint32(packet[236:]) != dhcpCookie {
		return nil
	}
	v.mu.Lock()
	card, known := v.cards[net.HardwareAddr(packet[28:34]).String()]
	v.mu.Unlock()
	kind, ok := map[byte]byte{dhcpDiscover: dhcpOffer, dhcpRequest: dhcpAck}[kindOf(packet[dhcpHeader:])]
	if !known || !ok {
		return nil
	}
	server := vpcPrefix().Addr().AsSlice()
	out := make([]byte, dhcpHeader, 300)
	copy(out, packet[:8]) // kinds of hardware, the transaction
	out[0] = reply
	copy(out[10:12], packet[10:12]) // flags
	copy(out[16:20], card.Address.AsSlice())
	copy(out[20:24], server)
	copy(out[28:44], packet[28:44])
	binary.BigEndian.PutUint32(out[236:], dhcpCookie)
	option := func(code byte, value []byte) { out = append(append(out, code, byte(len(value))), value...) }
	option(optionKind, []byte{kind})
	option(optionServer, server)
	option(optionLease, binary.BigEndian.AppendUint32(nil, dhcpLease))
	option(optionMask, net.CIDRMask(card.Network.Bits(), 32))
	option(optionRouter, card.Gateway().AsSlice())
	out = append(out, optionEnd)
	return append(out, make([]byte, 300-len(out))...) // some clients drop what is shorter
}

// kindOf finds the option that says what a packet is; 0: there is none.
func kindOf(options []byte) byte {
	for len(options) > 1 && options[0] != optionEnd {
		if options[0] == 0 { // padding
			options = options[1:]
			continue
		}
		size := int(options[1])
		if len(options) < 2+size {
			return 0
		}
		if options[0] == optionKind && size == 1 {
			return options[2]
		}
		options = options[2+size:]
	}
	return 0
}
