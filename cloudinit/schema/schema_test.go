package schema_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cloudinit/schema"
)

const network = "version: 2\nethernets: {eth0: {dhcp4: false}}\n"

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name, user, network string
		want                []string
	}{
		{"both good", "#cloud-config\nhostname: a\n", network, nil},
		{"wrapped network", "#cloud-config\nhostname: a\n", "network:\n  version: 2\n", []string{
			"network-config:1:1: missing property 'version'",
			"network-config:1:1: /network: cloud-init knows no such key",
		}},
		{"no header", "hostname: a\n", network, []string{"user-data:1:1: the first line must be #cloud-config"}},
		{"a key too many", "#cloud-config\nhostname: a\nhostnam: a\n", network, []string{
			"user-data:3:1: /hostnam: cloud-init knows no such key",
		}},
		{"three mistakes", "#cloud-config\nwrite_files:\n  - path: /a\n    contents: x\n  - content: FAKE-SECRET\nhostname: 1\n", network, []string{
			"user-data:4:5: /write_files/0/contents: cloud-init knows no such key",
			"user-data:5:5: /write_files/1: missing property 'path'",
			"user-data:6:11: /hostname: got number, want string",
		}},
		{"a mistake behind a file", "#cloud-config\nwrite_files:\n  - path: /a\n    content: |\n      hostnam: x\n\n      y: |\n        z\n  - path: 1\nhostname: 1\n", network, []string{
			"user-data:9:11: /write_files/1/path: got number, want string",
			"user-data:10:11: /hostname: got number, want string",
		}},
		{"one value, several alternatives", "#cloud-config\nmanage_etc_hosts: maybe\n", network, []string{
			"user-data:2:19: /manage_etc_hosts: value must be one of true, false, 'localhost', or value must be 'template'",
		}},
		{"network", "#cloud-config\nhostname: a\n", "version: 2\nethernets:\n  eth0:\n    dhcp4: 1\n", []string{
			"network-config:4:12: /ethernets/eth0/dhcp4: got number, want boolean or string",
		}},
		{"not a mapping", "#cloud-config\n- a\n", network, []string{"user-data:2:1: got array, want object"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := schema.Check(cloudinit.Seed{UserData: []byte(test.user), NetworkConfig: []byte(test.network)})
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckShowsNoContent(t *testing.T) {
	for _, user := range []string{
		"#cloud-config\nwrite_files:\n  - path: 1\n    content: FAKE-SECRET\n",
		"#cloud-config\nwrite_files:\n  - content: FAKE-SECRET\n    encoding: FAKE\n",
		"#cloud-config\nwrite_files:\n  - path: /a\n    content: [FAKE-SECRET]\n",
	} {
		err := schema.Check(cloudinit.Seed{UserData: []byte(user), NetworkConfig: []byte(network)})
		if err == nil {
			t.Errorf("accepted:\n%s", user)
		} else if strings.Contains(err.Error(), "FAKE-SECRET") {
			t.Errorf("the error holds a file's content: %v", err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	seed := cloudinit.Seed{UserData: []byte("#cloud-config\nhostname: a\n"), NetworkConfig: []byte(network)}
	for b.Loop() {
		if err := schema.Check(seed); err != nil {
			b.Fatal(err)
		}
	}
}
