package secrets

import (
	"slices"
	"strings"
)

// Cost is what replacing a secret costs the cluster while its machines are being replaced one after the other.
type Cost string

// The costs.
const (
	CostNone   Cost = "none"
	CostOutage Cost = "outage" // something stops working until every machine that holds it was replaced
	CostNever  Cost = "never"  // cannot be replaced from here
)

// Rotation says how secrets are replaced, and what that costs.
type Rotation struct {
	Secrets []string // names as in Items, * for any node
	Word    string   // what `secrets rotate` calls them; empty: by their own names
	Cost    Cost
	How     string // what is left to do afterwards, or instead
	Online  bool   // running machines take it over: secrets rotate --apply
}

// Words for several secrets at once.
const (
	WordCA        = "ca"
	WordLeaves    = "leaves"
	WordOperator  = "operator"
	WordPasswords = "passwords"
)

// Rotations is the table of every secret and how it is replaced.
func Rotations() []Rotation {
	return []Rotation{
		{
			[]string{"ca.certificate", "ca.key", "nextCA.certificate", "nextCA.key", "previousCA.certificate"},
			WordCA, CostNone,
			"in three steps: machines learn to trust the new one, it signs, the old one goes; all machines take each of the first two over (--apply), or are replaced",
			true,
		},
		{
			[]string{"nodes.*.certificate", "nodes.*.key"},
			WordLeaves, CostNone,
			"running machines take theirs over with --apply, or replace them, one at a time; a certificate that was stolen stays good until it ends or the CA is replaced",
			true,
		},
		{
			[]string{"operator.certificate", "operator.key"},
			WordOperator, CostNone,
			"nothing; a certificate that was stolen stays good until it ends or the CA is replaced",
			false,
		},
		{
			[]string{"front.certificate", "front.key"},
			WordLeaves, CostNone,
			"running API nodes take it over with --apply, or replace them, one at a time; your own certificate: put the new one where tls points and run cincbake secrets init",
			true,
		},
		{
			[]string{"postgres.superuser", "postgres.replication", "postgres.rewind"},
			"", CostOutage,
			"the database keeps the old password until ALTER ROLE on the primary: between that and its replacement a standby cannot follow; replace every database node",
			false,
		},
		{
			[]string{"postgres.restAPI"},
			WordPasswords, CostNone,
			"running database nodes take it over with --apply, or replace them, one at a time; until the last one, planned switchovers between an old and a new one are refused",
			true,
		},
		{
			[]string{"postgres.owner", "cinc.databaseOwner"},
			"", CostOutage,
			"the database keeps the old password until ALTER ROLE on the primary, and no API node can be configured with another: replace database and API nodes",
			false,
		},
		{
			[]string{"cinc.search", "openSearch.cinc", "openSearch.cincHash"},
			"", CostOutage,
			"the search cluster keeps the old hash until its security index is loaded anew: searches and saves fail on API nodes with the other password; replace search and API nodes",
			false,
		},
		{
			[]string{"openSearch.admin", "openSearch.adminHash"},
			"", CostOutage,
			"the search cluster keeps the old hash until its security index is loaded anew: a search node with the new password cannot manage it before; replace the search nodes",
			false,
		},
		{
			[]string{"cinc.redisPassword", "cinc.erchefStats", "cinc.webuiKey", "cinc.webuiPublicKey"},
			WordPasswords, CostNone,
			"each API node uses its own: replace them, one at a time; an add-on that holds the web UI's key needs the new one",
			false,
		},
		{
			[]string{"cinc.ocidKeyBase"},
			WordPasswords, CostNone,
			"replace the API nodes, one at a time; people log in to Cinc's identity service again",
			false,
		},
		{
			[]string{
				"cinc.erchefSQL", "cinc.erchefSQLRO", "cinc.bifrostSQL", "cinc.bifrostSQLRO",
				"cinc.ocidSQL", "cinc.ocidSQLRO", "cinc.bookshelfSQL", "cinc.bookshelfSQLRO",
			},
			"", CostOutage,
			"the first API node with the new one sets it in the database, which shuts out every other: replace all API nodes at once",
			false,
		},
		{
			[]string{"cinc.bifrostSuperuser"},
			"", CostOutage,
			"API nodes with different ones refuse each other's rights (403): replace all API nodes at once",
			false,
		},
		{
			[]string{"cinc.bookshelfKeyID", "cinc.bookshelfSecret"},
			"", CostOutage,
			"links to cookbook files that one API node signs are refused by those with another key (SignatureDoesNotMatch): replace all API nodes at once",
			false,
		},
		{
			[]string{"cinc.superuserKey", "cinc.superuserPublicKey"},
			"", CostNever,
			"the database knows the public half, and proves by it that the cluster was set up: an API node with another key would refuse to start",
			false,
		},
		{
			[]string{"backup.cipher"},
			"", CostNever,
			"a repository keeps its passphrase for life, and backups without it are lost: begin another repository",
			false,
		},
		{
			[]string{"backup.s3KeyID", "backup.s3KeySecret", "backup.sftpKey"},
			"", CostNever,
			"it is not drawn here: import the new one with cincbake secrets init, then replace the database nodes",
			false,
		},
	}
}

// RotationOf returns the row of a secret.
func RotationOf(name string) (Rotation, bool) {
	if rest, ok := strings.CutPrefix(name, "nodes."); ok {
		name = "nodes.*" + rest[max(strings.LastIndexByte(rest, '.'), 0):]
	}
	rows := Rotations()
	i := slices.IndexFunc(rows, func(r Rotation) bool { return slices.Contains(r.Secrets, name) })
	if i < 0 {
		return Rotation{}, false
	}
	return rows[i], true
}
