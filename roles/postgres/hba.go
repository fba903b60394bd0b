package postgres

import (
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// cincDatabases are Cinc Server's databases, each with the two roles that its service logs in as. The names are its
// cookbook's defaults, and a spec can't change them.
func cincDatabases() []cincDatabase {
	return []cincDatabase{
		{"opscode_chef", "opscode_chef", "opscode_chef_ro"},
		{"bifrost", "bifrost", "bifrost_ro"},
		{"oc_id", "oc_id", "oc_id_ro"},
		{"bookshelf", "bookshelf", "bookshelf_ro"},
	}
}

type cincDatabase struct{ name, writes, reads string }

// hba admits who needs to come in, over TLS only, by network, user and database. The superuser has no way in from outside.
func hba(c *cluster.Resolved) []string {
	cidr := c.Network.Prefix.Masked().String()
	rows := []string{
		"local all " + UserSuper + " peer",
		"hostssl replication " + UserReplication + " " + cidr + " scram-sha-256",
		"hostssl replication " + UserReplication + " 127.0.0.1/32 scram-sha-256", // Patroni asks its own member for its position
		"hostssl all " + UserRewind + " " + cidr + " scram-sha-256",
	}
	return append(rows, cincHBA(c, UserOwner)...)
}

// cincHBA admits Cinc Server. md5, since its driver knows nothing newer, and its roles' passwords are stored so; by the
// network and not by address, since API nodes come and go. There is no row for chef_server_conn_test, the login that
// must fail in every configuration run: a refusal by pg_hba.conf is one that Cinc expects.
func cincHBA(c *cluster.Resolved, owner string) []string {
	cidr := c.Network.Prefix.Masked().String()
	if c.API == nil { // a database for something else: the owner makes what it needs
		return []string{"hostssl all " + owner + " " + cidr + " md5"}
	}
	// postgres and template1 are where new databases and roles are made from.
	databases, rows := []string{"postgres", "template1", role.LedgerDatabase}, []string(nil)
	for _, db := range cincDatabases() {
		databases = append(databases, db.name)
		rows = append(rows, "hostssl "+db.name+" "+db.writes+","+db.reads+" "+cidr+" md5")
	}
	return append(rows, "hostssl "+strings.Join(databases, ",")+" "+owner+" "+cidr+" md5")
}
