package trial

import (
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// A machine with nothing wrong, as its kernel and systemd write it.
func sample() map[string]string {
	return map[string]string{
		"state": "running\n", "failed": "", "machine-id": "0123456789abcdef0123456789abcdef\n", "host-keys": "ssh-ed25519 AAAAone root@trial\n",
		"tcp": header + "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n" +
			"   1: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2\n" +
			"   2: 0200FE0A:0016 0100FE0A:CAFE 01 00000000:00000000 00:00000000 00000000     0        0 3\n",
		"tcp6": header + "   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4\n",
		"udp":  header + "   0: 0100007F:0143 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5\n",
		"udp6": header + "   0: 00000000000000000000000001000000:0143 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 6\n",
	}
}

func TestReport(t *testing.T) {
	for _, test := range []struct {
		name string
		file string
		text string
		want []string
	}{
		{"a machine with nothing wrong", "failed", "", nil},
		{"a system that is degraded", "state", "degraded\n", []string{"booted: the system is degraded, not running"}},
		{"a unit that failed", "failed", "mine.service loaded failed failed My own\n", []string{"failed-unit: mine.service"}},
		{"an open port", "tcp", header + "   0: 00000000:1F90 00000000:0000 0A 0 0 0 0\n", []string{"open-port: tcp 0.0.0.0:8080"}},
		{"an open port on one address", "tcp", header + "   0: 0200FE0A:0019 00000000:0000 0A 0 0 0 0\n", []string{"open-port: tcp 10.254.0.2:25"}},
		{"a datagram port", "udp6", header + "   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 07 0 0\n", []string{"open-port: udp6 [::]:22"}},
		{"no machine id", "machine-id", "uninitialized\n", []string{`machine-id: the machine made "uninitialized"`}},
		{"no host key", "host-keys", "", []string{"ssh-host-key: the machine made none"}},
	} {
		files := sample()
		files[test.file] = test.text
		r, err := readReport(func(name string) ([]byte, error) { return []byte(files[name]), nil })
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, r.failures()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	if _, err := readReport(func(string) ([]byte, error) { return nil, fs.ErrNotExist }); err == nil {
		t.Error("no report passed for one")
	}
	if _, err := parseSockets("tcp", header+"   0: 0000:0016 00000000:0000 0A 0\n"); err == nil {
		t.Error("half an address was read")
	}
}

func TestAlike(t *testing.T) {
	one := report{machineID: "a", hostKeys: []string{"k1", "k2"}}
	for _, test := range []struct {
		other report
		want  []string
	}{
		{report{machineID: "b", hostKeys: []string{"k3", "k4"}}, nil},
		{report{machineID: "a", hostKeys: []string{"k3"}}, []string{"clones: two machines have the machine id a"}},
		{report{machineID: "b", hostKeys: []string{"k2"}}, []string{"clones: two machines have the host key k2"}},
	} {
		if diff := cmp.Diff(test.want, alike(one, test.other)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
