package trial

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// report is what a booted machine says of itself.
type report struct {
	state     string   // systemd's word for the whole system
	failed    []string // units
	listening []socket
	machineID string
	hostKeys  []string
}

// socket is something that others could talk to.
type socket struct {
	protocol string
	address  netip.AddrPort
}

func readReport(read func(name string) ([]byte, error)) (r report, err error) {
	texts := map[string]string{}
	for _, name := range []string{"state", "failed", "tcp", "tcp6", "udp", "udp6", "machine-id", "host-keys"} {
		text, err := read(name)
		if err != nil {
			return r, err
		}
		texts[name] = strings.TrimSpace(string(text))
	}
	r = report{state: texts["state"], machineID: texts["machine-id"]}
	for line := range strings.Lines(texts["failed"]) {
		if fields := strings.Fields(line); len(fields) > 0 {
			r.failed = append(r.failed, fields[0])
		}
	}
	for line := range strings.Lines(texts["host-keys"]) {
		if fields := strings.Fields(line); len(fields) > 1 {
			r.hostKeys = append(r.hostKeys, fields[1])
		}
	}
	for _, protocol := range []string{"tcp", "tcp6", "udp", "udp6"} {
		sockets, err := parseSockets(protocol, texts[protocol])
		if err != nil {
			return r, err
		}
		r.listening = append(r.listening, sockets...)
	}
	return r, nil
}

// States of a socket in /proc/net: a listening one of TCP, and any of UDP.
const (
	stateListen      = "0A"
	stateUnconnected = "07"
)

// parseSockets reads a table of /proc/net: of each row the local address, in hexadecimal and the processor's byte order by
// words of four bytes, and the state. See proc_pid_net(5).
func parseSockets(protocol, table string) ([]socket, error) {
	var found []socket
	for i, line := range strings.Split(table, "\n") {
		fields := strings.Fields(line)
		if i == 0 || len(fields) < 4 || fields[3] != stateListen && fields[3] != stateUnconnected {
			continue
		}
		address, port, _ := strings.Cut(fields[1], ":")
		raw, err := hex.DecodeString(address + port)
		if err != nil || len(raw) != 6 && len(raw) != 18 {
			return nil, fmt.Errorf("/proc/net/%s: address %q is none", protocol, fields[1])
		}
		words := raw[:len(raw)-2]
		for at := 0; at < len(words); at += 4 {
			slices.Reverse(words[at : at+4])
		}
		ip, _ := netip.AddrFromSlice(words)
		found = append(found, socket{protocol, netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(raw[len(raw)-2:]))})
	}
	return found, nil
}

// allowedPort is what may listen on an image that is part of no cluster yet: ssh, for emergencies, behind the firewall.
const allowedPort = 22

// failures are what is wrong with a machine.
func (r report) failures() []string {
	var failures []string
	if r.state != "running" {
		failures = append(failures, fmt.Sprintf("booted: the system is %s, not running", r.state))
	}
	for _, unit := range r.failed {
		failures = append(failures, "failed-unit: "+unit)
	}
	for _, s := range r.listening {
		if !s.address.Addr().IsLoopback() && (s.address.Port() != allowedPort || strings.HasPrefix(s.protocol, "udp")) {
			failures = append(failures, fmt.Sprintf("open-port: %s %s", s.protocol, s.address))
		}
	}
	if len(r.machineID) != 32 {
		failures = append(failures, fmt.Sprintf("machine-id: the machine made %q", r.machineID))
	}
	if len(r.hostKeys) == 0 {
		failures = append(failures, "ssh-host-key: the machine made none")
	}
	return failures
}

// alike tells what two machines of one image share and must not.
func alike(a, b report) []string {
	var failures []string
	if a.machineID == b.machineID {
		failures = append(failures, "clones: two machines have the machine id "+a.machineID)
	}
	for _, key := range a.hostKeys {
		if slices.Contains(b.hostKeys, key) {
			failures = append(failures, "clones: two machines have the host key "+key)
		}
	}
	return failures
}
