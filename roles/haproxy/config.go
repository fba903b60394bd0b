package haproxy

import "strings"

// preamble opens every configuration. Its settings are measured ones: a client that nobody serves must learn so.
//
// retries 0: with haproxy's own 3, a client whose server is marked down while haproxy is about to try it again keeps a
// connection that is never served and never closed; every cold start of a cluster showed it.
//
// The keepalives end sessions with a peer that is gone without a word within 25 seconds.
const preamble = `# Written by cincbake at every boot.
global
    log /dev/log local0
    chroot /var/lib/haproxy
    user haproxy
    group haproxy
    maxconn 8192
    hard-stop-after 30s
    stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners
    stats timeout 30s

defaults
    log global
    mode tcp
    option tcplog
    option dontlog-normal
    option clitcpka
    clitcpka-idle 10s
    clitcpka-intvl 5s
    clitcpka-cnt 3
    option srvtcpka
    srvtcpka-idle 10s
    srvtcpka-intvl 5s
    srvtcpka-cnt 3
    retries 0
    timeout connect 2s
    timeout check 2s
    timeout client 1h
    timeout server 1h
`

// resolvers looks names up again while haproxy runs: a managed database fails over by changing its name's address.
const resolvers = `
resolvers system
    parse-resolv-conf
    hold valid 5s
    hold obsolete 10s
`

// text is a configuration being written.
type text struct{ b strings.Builder }

// write adds whole sections.
func (t *text) write(sections string) { t.b.WriteString(sections) }

// section opens a section.
func (t *text) section(kind, name string) { t.write("\n" + kind + " " + name + "\n") }

// rows writes indented lines.
func (t *text) rows(rows ...string) {
	for _, row := range rows {
		t.write("    " + row + "\n")
	}
}

// bytes returns what was written.
func (t *text) bytes() []byte { return []byte(t.b.String()) }
