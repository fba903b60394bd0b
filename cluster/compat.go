package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What a cluster gets when its spec names no version.
const (
	defaultExternalPostgres   = 13
	defaultOpenSearch         = "1.3.20"
	defaultExternalOpenSearch = "1.3"
)

// Auth is how Cinc Server's services prove who they are to PostgreSQL.
type Auth string

// AuthMD5 is what the services' Erlang driver speaks for certain. It means that a role's password must be hashed with md5
// when the role is made, and that pg_hba.conf must say md5.
const AuthMD5 Auth = "md5"

// Unverified opens a note on what nobody has read in public source or run: Cinc Server's cookbook is in a private
// repository since 15.10.96, and a bake is the first to see what a package really holds.
const Unverified = "unverified: "

// Compat is a row of the compatibility table: what a range of Cinc Server releases works with.
type Compat struct {
	From  string `json:"from"`            // the first release
	Below string `json:"below,omitempty"` // the first release that is no longer of the row
	// Postgres are the majors that its preflight accepts.
	Postgres []int `json:"postgres"`
	// OpenSearch is the major that it accepts, and what it was tried with.
	OpenSearch int      `json:"opensearch"`
	OSes       []string `json:"oses"` // that its packages are built for, of those that images are baked from or may be
	CPUs       []string `json:"cpus"` // Debian's words
	Auth       Auth     `json:"auth"`
	// Source is where the row comes from: files of Cinc Server's cookbook, pull requests of chef/chef-server, package lists.
	Source string `json:"source"`
	// Notes begin with Unverified where they do not come from source; the others are what to know before choosing a release.
	Notes []string `json:"notes,omitempty"`
}

// CompatTable returns the compatibility table, oldest releases first.
func CompatTable() []Compat {
	const (
		preflight = "preflight_postgres_validator.rb: REQUIRED_VERSION 9.6, SUPPORTED_VERSION 13, newer is CSPG014"
		search    = "helper.rb search_engine_major_version: 1 only"
	)
	amd64 := []string{"amd64"}
	return []Compat{
		{
			From: "15.10.12", Below: "15.10.43",
			Postgres: []int{10, 11, 12, 13}, OpenSearch: 1, OSes: []string{"debian-12"}, CPUs: amd64, Auth: AuthMD5,
			Source: preflight + "; " + search + "; epgsql-1 34b4182 auth/2: 3 and 5 only, so no SCRAM",
			Notes:  []string{"built before Debian 13 was released"},
		},
		{
			From: "15.10.43", Below: "15.10.96",
			Postgres: []int{10, 11, 12, 13}, OpenSearch: 1, OSes: []string{"debian-12", "debian-13"}, CPUs: amd64, Auth: AuthMD5,
			Source: preflight + "; " + search + "; packages.cinc.sh lists 15.10.91 for debian 12 and 13, x86_64",
			Notes: []string{
				Unverified + "whether epgsql-1 57ea14d speaks SCRAM; md5 is what it speaks for certain",
				"15.10.91 and later, up to 15.10.108: maintenance mode and reindex -d fail with WRONGTYPE (chef/chef-server#4198); drain at the load balancer",
			},
		},
		{
			From: "15.10.96", Below: "15.10.117",
			Postgres: []int{10, 11, 12, 13}, OpenSearch: 1, OSes: []string{"debian-12", "debian-13"}, CPUs: amd64, Auth: AuthMD5,
			Source: "as 15.10.95, the last release with a public cookbook",
			Notes: []string{
				Unverified + "everything, as the cookbook is private since chef/chef-server#4154",
				"below 15.10.109: maintenance mode and reindex -d fail with WRONGTYPE (chef/chef-server#4198); drain at the load balancer",
			},
		},
		{
			From: "15.10.117", Below: "15.11.0",
			Postgres: []int{10, 11, 12, 13, 14}, OpenSearch: 1, OSes: []string{"debian-12", "debian-13"}, CPUs: amd64, Auth: AuthMD5,
			Source: "chef/chef-server#4225: PostgreSQL 14 accepted",
			Notes:  []string{Unverified + "everything but PostgreSQL 14, as the cookbook is private; 15.10.125 is Cinc's build of it"},
		},
	}
}

// CompatFor returns the row of a Cinc Server release, a full version like 15.10.91.
func CompatFor(version string) (Compat, error) {
	table := CompatTable()
	if isFullVersion(version) {
		for _, row := range table {
			if CompareVersions(version, row.From) >= 0 && CompareVersions(version, row.Below) < 0 {
				return row, nil
			}
		}
	}
	return Compat{}, fmt.Errorf("Cinc Server %s is not in the compatibility table (known: %s up to, not including, %s)", //nolint:staticcheck // a name
		show(version), table[0].From, table[len(table)-1].Below)
}

// AcceptsPostgres tells whether the release's preflight lets a PostgreSQL major pass.
func (c Compat) AcceptsPostgres(major int) bool { return slices.Contains(c.Postgres, major) }

// AcceptsOpenSearch tells whether the release takes an OpenSearch, a version of any length like 1.3 or 1.3.20.
func (c Compat) AcceptsOpenSearch(version string) bool {
	major, _, _ := strings.Cut(version, ".")
	return major == strconv.Itoa(c.OpenSearch)
}

// AcceptsOS tells whether the release's packages are built for a system.
func (c Compat) AcceptsOS(name string) bool { return slices.Contains(c.OSes, name) }

// AcceptsCPU tells whether the release's packages are built for a processor, in Debian's words.
func (c Compat) AcceptsCPU(arch string) bool { return slices.Contains(c.CPUs, arch) }

// Verified tells whether everything in the row comes from public source.
func (c Compat) Verified() bool {
	return !slices.ContainsFunc(c.Notes, func(note string) bool { return strings.HasPrefix(note, Unverified) })
}

// Range is the row's releases as people say them, like "15.10.43 to below 15.10.96".
func (c Compat) Range() string { return c.From + " to below " + c.Below }

// PostgresRange is the row's majors as people say them, like "10 to 13".
func (c Compat) PostgresRange() string {
	return fmt.Sprintf("%d to %d", slices.Min(c.Postgres), slices.Max(c.Postgres))
}

const versionParts = 3

// isFullVersion tells whether a text is a version of three plain numbers.
func isFullVersion(text string) bool {
	parts := strings.Split(text, ".")
	return len(parts) == versionParts && !slices.ContainsFunc(parts, func(part string) bool { return !isNumber(part) })
}

// isNumber tells whether a text is a plain number that fits.
func isNumber(text string) bool {
	const longest = 6
	return text != "" && len(text) <= longest && madeOf(text, digits) && (text == "0" || text[0] != '0')
}

// CompareVersions compares two full versions, like 15.10.91: negative when a is older than b.
func CompareVersions(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range versionParts {
		m, _ := strconv.Atoi(x[i]) // both are full versions
		n, _ := strconv.Atoi(y[i])
		if order := cmp.Compare(m, n); order != 0 {
			return order
		}
	}
	return 0
}
