//go:build integration

package checkers

import (
	_ "embed"
	"strings"
	"testing"
)

//go:embed vip.py
var vipScript string

// A balancer that lost the clients' address while one of them waits for an answer still gives it: the other balancer knows
// nothing of that client, who would otherwise hear nothing at all.
func TestAnswerFromAddressThatMoved(t *testing.T) {
	m := selfHosted(t, "lb-1")
	const file = "/etc/haproxy/haproxy.cfg"
	ask := func(text string) string {
		m.write(t, file, text)
		return m.python(t, vipScript, file, "10.20.0.100", "10.20.0.20", "10.20.0.200/24")
	}
	text := m.read(t, file)
	if said := ask(text); said != "the client got answer" {
		t.Error(said)
	}
	opaque := strings.ReplaceAll(text, " transparent", "")
	if opaque == text {
		t.Fatal("no listener is transparent")
	}
	if said := ask(opaque); said != "the client got silence" {
		t.Errorf("the kernel needs no transparent listener for it: %s", said)
	}
}
