package cluster

import (
	"fmt"
	"strings"
)

// advices is what a spec may do and better would not, or what its author should know: no mistakes.
func advices() []rule {
	return []rule{
		{"unverified-release", "a row of the compatibility table rests on what nobody could read", (*checker).adviseRelease},
		{"old-postgres", "a database without fixes is a risk", (*checker).advisePostgres},
		{"no-backup", "a mistake is replicated at once", (*checker).adviseBackup},
		{"one-recipient", "a lost key would lose every secret", (*checker).adviseRecipients},
		{"one-api-node", "its replacement is an outage", (*checker).adviseAPI},
		{"own-balancer", "clients need one address", (*checker).adviseBalancer},
		{"one-search-node", "its replacement is an outage of search", (*checker).adviseSearch},
	}
}

// Advice returns what the author of a spec should know or think about, in the order of the file. The spec is valid
// nonetheless.
func (s *Spec) Advice() Problems {
	c := &checker{spec: s}
	for _, advice := range advices() {
		c.rule = advice.name
		advice.check(c)
	}
	c.problems.sort()
	return c.problems
}

func (c *checker) adviseRelease() {
	if row, ok := c.row(); ok && !row.Verified() {
		var notes []string
		for _, note := range row.Notes {
			if text, unverified := strings.CutPrefix(note, Unverified); unverified {
				notes = append(notes, text)
			}
		}
		c.report("cinc.version", "not verified of this release: "+strings.Join(notes, "; "), "try it before you rely on it")
	}
}

func (c *checker) advisePostgres() {
	if !c.own("postgres") {
		return
	}
	if source, err := PostgresFor(c.osName(), c.spec.Postgres.Version); err == nil {
		c.report("postgres.version", fmt.Sprintf("PostgreSQL %d: %s", source.Major, source.Note), "\"cincbake compat\" shows what there is")
	}
}

// osName is the system that the spec names, or the default.
func (c *checker) osName() string {
	os, err := OSFor(c.spec.Image.OS)
	if err != nil {
		return ""
	}
	return os.Name
}

func (c *checker) adviseBackup() {
	if c.spec.Backup == nil && (c.own("postgres") || c.standalone()) {
		c.report("backup", "there is no backup: what a mistake deletes, it deletes on every node", "add backup, with s3, sftp or path")
	}
}

func (c *checker) adviseRecipients() {
	if len(c.spec.Secrets.Recipients) == 1 {
		c.report("secrets.recipients", "only one key can open the bundle", "add a second one, and keep its key somewhere else")
	}
}

func (c *checker) adviseAPI() {
	if c.pool() && c.spec.Platform == OnPrem && c.spec.API.launched() == 1 {
		c.report("api", "one API node is launched: while it is replaced, there is none", "write nodes: 2")
	}
	if c.pool() && c.spec.Platform == AWS && c.spec.API.least() == 1 {
		c.report("api", "the group may shrink to one API node: while it is replaced, there is none", "write min: 2")
	}
}

func (c *checker) adviseBalancer() {
	if c.pool() && c.spec.LB == nil && c.spec.mostNodes() > 1 {
		c.report("api", "there are several API nodes and no load balancer", "add lb, or put one of your own before them: TCP on 443, checked by https /_status, Host and port preserved")
	}
}

func (c *checker) adviseSearch() {
	if c.own("opensearch") && len(c.spec.OpenSearch.Nodes) == 1 {
		c.report("opensearch.nodes", "there is one search node: while it is replaced, searches fail", "list three")
	}
}
