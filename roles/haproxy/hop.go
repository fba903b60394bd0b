package haproxy

// hopPrefix begins the names of the sections that lead to one server each.
const hopPrefix = "to-"

// hop leads to one server by a listener of haproxy's own, and returns the address of that listener, which stands for the
// server in the section that chooses among several.
//
// It is for servers whose sessions end when they are marked down. haproxy 3.0 forgets the client of a session that is just
// connecting then: it is neither served nor ended before "timeout client", an hour later, and every client in trouble is
// one that connects again and again. A connection to a listener of its own is never in that state. Behind it, nobody ends
// anything but the connection's own time limit. TestHop shows both.
func (t *text) hop(name, server string, settings ...string) string {
	address := "abns@" + hopPrefix + name
	t.section("listen", hopPrefix+name)
	t.rows("bind "+address, "option abortonclose")
	t.rows(settings...)
	t.rows("server " + name + " " + server)
	return address
}
