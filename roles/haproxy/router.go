package haproxy

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Router returns the steps that give an API node its way to the database and to the search cluster: on 127.0.0.1, at the
// ports that both have everywhere. Cinc's database driver knows one address and cannot follow the primary, and Cinc
// verifies no server's certificate: the router does both.
func Router(in role.Inputs) (step.Plan, error) {
	var t text
	t.write(preamble)
	if named(in.Cluster) {
		t.write(resolvers)
	}
	if p := in.Cluster.Postgres; p != nil {
		if p.External != nil {
			t.outsideDatabase(*p.External)
		} else {
			t.primary(in.Located(cluster.RolePostgres))
		}
	}
	if o := in.Cluster.OpenSearch; o != nil {
		t.section("listen", "opensearch")
		t.rows(
			fmt.Sprintf("bind 127.0.0.1:%d", cluster.PortOpenSearch),
			"mode http",
			"option httplog",
			"timeout http-request 10s",
			"timeout server 10m",
		)
		if err := t.search(in, o.External); err != nil {
			return nil, err
		}
	}
	return serve(t.bytes(), role.CAFile), nil
}

// primary leads to the database node that is primary now, which its Patroni knows. A session with a former primary ends
// at once: what it acknowledged could be lost.
func (t *text) primary(nodes []cluster.Node) {
	var servers []string
	for _, n := range nodes {
		hop := t.hop(n.Name, fmt.Sprintf("%s:%d", n.Address, cluster.PortPostgres))
		servers = append(servers, fmt.Sprintf("server %s %s addr %s verifyhost %s", n.Name, hop, n.Address, n.Name))
	}
	t.database(
		"option httpchk",
		"http-check send meth OPTIONS uri /primary",
		"http-check expect status 200",
		fmt.Sprintf("default-server inter 1s fastinter 500ms downinter 500ms fall 2 rise 1 check port %d check-ssl verify required ca-file %s on-marked-down shutdown-sessions",
			cluster.PortPatroni, role.CAFile),
	)
	t.rows(servers...)
}

// database opens the section that Cinc Server connects to.
func (t *text) database(settings ...string) {
	t.section("listen", "postgres")
	t.rows(fmt.Sprintf("bind 127.0.0.1:%d", cluster.PortPostgres))
	t.rows(settings...)
}

// outsideDatabase passes through to somebody else's primary. The check only connects: PostgreSQL logs nothing about a
// connection that says nothing.
func (t *text) outsideDatabase(p cluster.ExternalPostgres) {
	const name = "external"
	hop := t.hop(name, join(p.Host, p.Port)+looked(p.Host)+" check inter 2s fastinter 1s downinter 1s fall 3 rise 1")
	t.database("server " + name + " " + hop + " track " + hopPrefix + name + "/" + name + " on-marked-down shutdown-sessions")
}

// search leads to any search node that is well, over TLS.
func (t *text) search(in role.Inputs, external *cluster.ExternalOpenSearch) error {
	if external != nil {
		return t.outsideSearch(*external)
	}
	if in.Secrets.Cinc == nil {
		return fmt.Errorf("%s has no password of the search cluster in its secrets", in.Self.Name)
	}
	login := base64.StdEncoding.EncodeToString([]byte(role.SearchUser + ":" + in.Secrets.Cinc.Search.Reveal()))
	t.rows(
		"balance roundrobin",
		// Nothing was sent to a server that refuses the connection, so another one may be tried.
		"retries 2",
		"option redispatch 1",
		"option httpchk",
		// A node that lost its cluster still answers searches, with what it had: it must know a manager.
		"http-check send meth GET uri /_cluster/health?local=true ver HTTP/1.1 hdr Host localhost hdr Authorization 'Basic "+login+"'",
		`http-check expect string '"discovered_master":true'`,
		"default-server inter 2s fastinter 1s downinter 1s fall 3 rise 2 check ssl verify required ca-file "+role.CAFile,
	)
	for _, n := range in.Located(cluster.RoleOpenSearch) {
		t.rows(fmt.Sprintf("server %s %s:%d verifyhost %s", n.Name, n.Address, cluster.PortOpenSearch, n.Name))
	}
	return nil
}

// outsideSearch leads to somebody else's endpoint. Any answer but a server's error says that it lives: without a login it
// is 401 or 403.
func (t *text) outsideSearch(external cluster.ExternalOpenSearch) error {
	u, err := endpoint(external.URL)
	if err != nil {
		return fmt.Errorf("opensearch.external.url %q: %w", external.URL, err)
	}
	host := u.Hostname()
	t.rows(
		"http-request set-header Host "+u.Host,
		"option httpchk",
		"http-check send meth GET uri / ver HTTP/1.1 hdr Host "+u.Host,
		"http-check expect status 200-499",
		fmt.Sprintf("server external %s%s check inter 2s fastinter 1s downinter 1s fall 3 rise 1 ssl verify required ca-file %s sni str(%s) check-sni %s verifyhost %s",
			join(host, external.Port()), looked(host), base.SystemCAFile, host, host, host),
	)
	return nil
}

// endpoint reads the URL of a search cluster that is somebody else's.
func endpoint(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" || u.Hostname() == "" || u.Path != "" && u.Path != "/" {
		return nil, errors.New("expected https://HOST or https://HOST:PORT")
	}
	return u, nil
}

// named tells whether the way leads to a server that is known by its name only.
func named(r *cluster.Resolved) bool {
	if p := r.Postgres; p != nil && p.External != nil && looked(p.External.Host) != "" {
		return true
	}
	if o := r.OpenSearch; o != nil && o.External != nil {
		u, err := url.Parse(o.External.URL)
		return err == nil && looked(u.Hostname()) != ""
	}
	return false
}

// looked is what a server's line needs when its host is a name: haproxy starts although nobody answers for it yet.
func looked(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return " resolvers system resolve-prefer ipv4 init-addr last,libc,none"
}

func join(host string, port int) string { return host + ":" + strconv.Itoa(port) }
