//go:build integration

package checkers

import (
	_ "embed"
	"regexp"
	"strings"
	"testing"
)

//go:embed hop.py
var hopScript string

// A client that is just connecting when the primary is marked down is ended like all others. Without a listener of haproxy's
// own before each server, haproxy 3.0 forgets it; a release that does not, needs none.
func TestHop(t *testing.T) {
	m := selfHosted(t, "api-1")
	const file = "/etc/haproxy/haproxy.cfg"
	hop := func(text string) string {
		m.write(t, file, text)
		return m.python(t, hopScript, file, "10.20.0.31")
	}
	// Patroni's certificate is not what this is about.
	text := regexp.MustCompile(` check-ssl verify required ca-file \S+| verifyhost postgres-\d`).ReplaceAllString(m.read(t, file), "")
	if said := hop(text); !strings.HasSuffix(said, "forgotten 0") || strings.HasPrefix(said, "ended 0 ") {
		t.Errorf("with the hop: %s", said)
	}
	direct := regexp.MustCompile(`abns@to-postgres-\d addr (\S+)`).ReplaceAllString(text, "$1:5432")
	if direct == text {
		t.Fatal("the configuration has no hops")
	}
	t.Logf("without the hop: %s", hop(direct))
}
