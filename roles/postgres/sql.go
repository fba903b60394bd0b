package postgres

import (
	"fmt"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
)

// ownerSQL makes Cinc's owner, or corrects the one that a restored backup brought along. Its password goes in hashed, so
// that PostgreSQL's log can't hold it.
func ownerSQL(password secrets.Secret) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "DO $$ BEGIN CREATE ROLE %s; EXCEPTION WHEN duplicate_object THEN NULL; END $$;\n", UserOwner)
	fmt.Fprintf(&b, "ALTER ROLE %s LOGIN CREATEDB CREATEROLE PASSWORD '%s';\n",
		UserOwner, secrets.PostgresMD5(UserOwner, password).Reveal())
	b.WriteString(ownerEncryption(UserOwner))
	return []byte(b.String())
}

// ownerEncryption has the roles that Cinc makes through its owner get md5 hashes: its driver knows no SCRAM.
func ownerEncryption(owner string) string {
	return "ALTER ROLE " + owner + " SET password_encryption = 'md5';\n"
}

// ExternalSQL is what the administrator of an external database runs once, before the first API node boots: a script for
// psql with what to set beside it as comments. It holds no password. Empty: the cluster's database is its own.
func ExternalSQL(r *cluster.Resolved) string {
	if r.Postgres == nil || r.Postgres.External == nil {
		return ""
	}
	external := *r.Postgres.External
	owner := `"` + strings.ReplaceAll(external.Owner, `"`, `""`) + `"`
	var b strings.Builder
	fmt.Fprintf(&b, "-- For the database at %s:%d, with psql, as an administrator, before the first API node boots.\n", external.Host, external.Port)
	b.WriteString("-- It must be set up so already:\n")
	for _, row := range requirements(r) {
		b.WriteString("--   " + row + "\n")
	}
	b.WriteString("\n-- md5 first: a role keeps the hash that its password was set with.\n")
	b.WriteString("SET password_encryption = 'md5';\n")
	fmt.Fprintf(&b, "CREATE ROLE %s LOGIN CREATEDB CREATEROLE;\n", owner)
	b.WriteString(ownerEncryption(owner))
	b.WriteString("\n-- psql asks for the password and sends only its hash. It is cinc.databaseOwner of the cluster's secrets.\n")
	fmt.Fprintf(&b, "\\password %s\n", owner)
	return b.String()
}

// requirements are the settings that the API nodes need of an external database.
func requirements(r *cluster.Resolved) []string {
	external := *r.Postgres.External
	connections := fmt.Sprintf("max_connections = %d or more", r.Postgres.MaxConnections)
	if external.RDS {
		rows := []string{
			"in its parameter group (max_connections takes a restart):",
			"  " + connections,
			"  password_encryption = md5",
			"  rds.accepted_password_auth_method = md5+scram",
		}
		if external.TLS {
			rows = append(rows, "  rds.force_ssl = 1")
		}
		return append(rows, "in its security group: port "+fmt.Sprint(external.Port)+" open to the API nodes'")
	}
	rows := []string{connections, "pg_hba.conf admits the API nodes:"}
	for _, row := range cincHBA(r, external.Owner) {
		if !external.TLS {
			row = strings.Replace(row, "hostssl", "host", 1)
		}
		rows = append(rows, "  "+row)
	}
	return rows
}
