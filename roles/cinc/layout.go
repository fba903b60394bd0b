// Package cinc is Cinc Server on a machine, as the roles api and standalone share it: its package, its configuration, its
// secrets, and when it is configured.
//
// Names and paths are Cinc's own: the contents of its files still say opscode, its paths say cinc-project.
package cinc

import (
	"fmt"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// PackageName is the Debian package's.
const PackageName = "cinc-server-core"

// Unit runs every service of Cinc Server below runit. The first reconfigure writes and enables it.
const Unit = "private_chef-runsvdir-start.service"

// Ctl is Cinc Server's control program.
const Ctl = "/usr/bin/cinc-server-ctl"

// Where Cinc Server's files lie.
const (
	ConfigDir  = "/etc/cinc-project"
	ConfigFile = ConfigDir + "/cinc-server.rb"
	StoreFile  = ConfigDir + "/private-cinc-secrets.json"
	StateDir   = "/var/opt/cinc-project"
	// SentinelFile says that the databases have been made. A machine that joined never gets it from Cinc Server, and its
	// second reconfigure would make them again.
	SentinelFile = StateDir + "/bootstrapped"
	LevelFile    = StateDir + "/upgrades/migration-level"

	tlsDir          = ConfigDir + "/tls"
	certificateFile = tlsDir + "/tls.crt"
	keyFile         = tlsDir + "/tls.key"
	dhparamFile     = tlsDir + "/dhparam.pem"
	searchPassword  = ConfigDir + "/search-password"
	// runningFile is written last by a reconfigure that succeeded.
	runningFile = ConfigDir + "/cinc-server-running.json"
	// trustFile holds the certificate authorities that Cinc Server's Ruby programs trust.
	trustFile = "/opt/cinc-project/embedded/ssl/certs/cacert.pem"
)

// Where the agent keeps what it knows about Cinc Server.
const (
	// SecretsFile is what Cinc Server's store is filled with. Cinc Server rewrites the store itself into another form, so that
	// nothing could be compared with it.
	SecretsFile = "/etc/cincbake/private-cinc-secrets.json" //nolint:gosec // a path
	// stampFile holds the digest of what the last successful reconfigure read.
	stampFile = "/var/lib/cincbake/cinc.configured"
	// goFile lets Unit start. It is gone after every power-off, so that nothing starts before the agent says so.
	goFile = "/run/cincbake/cinc-may-start"
)

// migrationLevel is how far the data's layout has come with 15.x: its last migration is 037, and all of 15.x so far ship
// none that touches an external database.
const migrationLevel = `{"major":1,"minor":37}`

// The search index's shape when nothing is said.
const (
	defaultShards   = 5
	defaultReplicas = 1
)

// searchURL is where an API node finds the search: always the router beside it, which speaks TLS to the search cluster and
// verifies it. Cinc Server's own client does not.
func searchURL() string { return fmt.Sprintf("http://127.0.0.1:%d", cluster.PortOpenSearch) }

// SearchUser is Cinc Server's login on the search cluster.
func SearchUser(in role.Inputs) string {
	if external := in.Cluster.OpenSearch.External; external != nil {
		return external.User
	}
	return role.SearchUser
}
