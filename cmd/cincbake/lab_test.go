package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/lab"
)

func TestWhereabouts(t *testing.T) {
	for name, row := range map[string]struct{ trust, want string }{
		"signed by the cluster's CA": {"--cacert /l/ca.pem ", `clients: https://chef.example.com:8443 at 127.0.0.1
  curl --cacert /l/ca.pem --resolve chef.example.com:8443:127.0.0.1 https://chef.example.com:8443/_status`},
		"the user's own": {"", `clients: https://chef.example.com:8443 at 127.0.0.1
  curl --resolve chef.example.com:8443:127.0.0.1 https://chef.example.com:8443/_status`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, whereabouts("127.0.0.1:8443", "chef.example.com", row.trust)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStateOf(t *testing.T) {
	for want, m := range map[string]lab.Machine{
		"off":                                   {},
		"off, partitioned":                      {Partitioned: true},
		"running since 1m5s":                    {Running: true, Seconds: 65.2},
		"running since 2s, frozen, partitioned": {Running: true, Seconds: 2, Frozen: true, Partitioned: true},
	} {
		if got := stateOf(m); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Only a person at a terminal gets one in there: a pipe must carry what the shell says, and nothing for a screen.
func TestShellWithoutATerminal(t *testing.T) {
	if diff := cmp.Diff([]string{"bash", "-l"}, shell(&bytes.Buffer{}, &bytes.Buffer{})); diff != "" {
		t.Error(diff)
	}
}
