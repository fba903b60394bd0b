package main

// The contract: what a reconfigure does depends on what is on the disk and what is in the database. It is taken from Cinc
// Server's cookbook: BootstrapPreflightValidator, PostgresqlPreflightValidator and default.rb.

// is is what a rule asks of one thing.
type is int

const (
	either is = iota
	yes
	no
)

func (i is) accepts(b bool) bool { return i == either || b == (i == yes) }

// observed is everything that the outcome depends on.
type observed struct {
	running   bool // cinc-server-running.json is there: an earlier reconfigure succeeded
	sentinel  bool // "bootstrapped" is there
	secrets   bool // the store has secrets besides the keys
	key       bool // the superuser's key is in the store, or in pivotal.pem
	databases bool // at least one of the four databases is there
	users     bool // at least one of their users is there
	half      bool // opscode_chef is there without its tables
	pivotal   bool // the superuser is in there
}

// outcome is what a reconfigure does.
type outcome int

const (
	refuse    outcome = iota // in the preflight: nothing has changed, not even the secrets store
	bootstrap                // make databases, key and superuser
	join                     // make databases and users as they must be, and no superuser
	breaks                   // as join, up to where the superuser would be made; there it fails
)

// rule is one row. The first that matches counts.
type rule struct {
	name                                                             string
	running, sentinel, secrets, key, databases, users, half, pivotal is
	outcome                                                          outcome
	says                                                             string // when it refuses or breaks
}

// What it says.
const (
	boot010 = `BOOT010: Unable to configure this node because the superuser 'pivotal' already exists in the database. Copy the secrets of the node that was configured first`
	boot011 = `BOOT011: Unable to configure this node: it holds credentials, but the superuser 'pivotal' does not exist in the database`
	cspg016 = `CSPG016: a database that Cinc Server would make already exists on the database server`
	cspg017 = `CSPG017: a user that Cinc Server would make already exists on the database server`

	undefinedTable = `PG::UndefinedTable: ERROR:  relation "users" does not exist`
	notManaged     = `execute[chef-server-ctl start postgresql]: exit status 8: The service postgresql is running externally and cannot be managed`
)

func contract() []rule {
	return []rule{
		{name: "secrets of a database that has no superuser", running: no, secrets: yes, key: yes, pivotal: no, outcome: refuse, says: boot011},
		{name: "secrets of its superuser", running: no, secrets: yes, key: yes, pivotal: yes, outcome: join},
		{name: "a superuser whose key is not here", running: no, pivotal: yes, outcome: refuse, says: boot010},
		{name: "databases, and no secrets", running: no, secrets: no, databases: yes, outcome: refuse, says: cspg016},
		{name: "users, and no secrets", running: no, secrets: no, users: yes, outcome: refuse, says: cspg017},
		// Cinc Server asks a second time, once the other secrets are made, and takes the machine for one that joins.
		{name: "a key and no other secret", running: no, key: yes, outcome: join},
		{name: "the sentinel, and no superuser", running: no, sentinel: yes, outcome: join},
		// Tables are made together with the database only.
		{name: "a half-made database", running: no, half: yes, outcome: breaks, says: undefinedTable},
		{name: "nothing made yet", running: no, outcome: bootstrap},
		{name: "configured before", running: yes, sentinel: yes, outcome: join},
		{name: "joined before, and nobody wrote the sentinel", running: yes, sentinel: no, outcome: breaks, says: notManaged},
	}
}

func (r rule) matches(o observed) bool {
	for _, pair := range []struct {
		want is
		got  bool
	}{
		{r.running, o.running},
		{r.sentinel, o.sentinel},
		{r.secrets, o.secrets},
		{r.key, o.key},
		{r.databases, o.databases},
		{r.users, o.users},
		{r.half, o.half},
		{r.pivotal, o.pivotal},
	} {
		if !pair.want.accepts(pair.got) {
			return false
		}
	}
	return true
}

// decide returns the row that counts. The last two rows accept every later run, and those before every first one.
func decide(o observed) rule {
	var found rule
	for _, r := range contract() {
		if r.matches(o) {
			found = r
			break
		}
	}
	return found
}
