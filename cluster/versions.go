package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Archive is a tree of packages: one of the two that a Debian mirror carries, or the PostgreSQL project's own.
type Archive string

// The archives.
const (
	ArchiveDebian   Archive = "debian"
	ArchiveSecurity Archive = "debian-security"
	// ArchivePGDG holds the majors that PostgreSQL still mends, for every Debian that is supported: https://apt.postgresql.org.
	// It is on no Debian mirror, and in no snapshot of one.
	ArchivePGDG Archive = "pgdg"
)

// Keyring is the file that holds the key which the archive is signed with.
func (a Archive) Keyring() string {
	if a == ArchivePGDG {
		return "/etc/apt/keyrings/cincbake-pgdg.asc"
	}
	return "/usr/share/keyrings/debian-archive-keyring.gpg"
}

// Suite is a part of an archive, as a line of sources.list names it.
type Suite struct {
	Archive    Archive  `json:"archive"`
	Name       string   `json:"name"` // codename, like trixie-security
	Components []string `json:"components"`
}

// OS is a system that images are made from. Another system is another row of the table, never an if.
type OS struct {
	Name     string   `json:"name"`     // as a spec says it
	Codename string   `json:"codename"` // the suite that a base tree is made of
	Suites   []Suite  `json:"suites"`
	Arches   []string `json:"arches"`   // the default first
	Renderer string   `json:"renderer"` // what cloud-init configures the network with in such an image
}

// Supports tells whether images for the processor are baked.
func (o OS) Supports(arch string) bool { return slices.Contains(o.Arches, arch) }

// operatingSystems is the table; the first row is the default.
func operatingSystems() []OS {
	main := []string{"main"}
	return []OS{
		{
			Name:     "debian-13",
			Codename: "trixie",
			Suites: []Suite{
				{ArchiveDebian, "trixie", main},
				{ArchiveDebian, "trixie-updates", main},
				{ArchiveSecurity, "trixie-security", main},
			},
			Arches:   []string{"amd64"},
			Renderer: "networkd",
		},
	}
}

// OSFor returns the row of a system; an empty name asks for the default.
func OSFor(name string) (OS, error) {
	table := operatingSystems()
	if name == "" {
		return table[0], nil
	}
	for _, os := range table {
		if os.Name == name {
			return os, nil
		}
	}
	return OS{}, fmt.Errorf("no images are baked from %q (supported: %s)", name, strings.Join(osNames(), ", "))
}

func osNames() []string {
	var names []string
	for _, os := range operatingSystems() {
		names = append(names, os.Name)
	}
	return names
}

// PostgresSource is where a PostgreSQL major comes from on a system.
type PostgresSource struct {
	OS    string `json:"os"`
	Major int    `json:"major"`
	// Suites are needed besides the system's own. Nothing may come from them but Packages and Pinned.
	Suites   []Suite  `json:"suites,omitempty"`
	Packages []string `json:"packages"`         // to install
	Pinned   []string `json:"pinned,omitempty"` // what those need that the system no longer has
	BinDir   string   `json:"binDir"`           // of the major's own programs
	Note     string   `json:"note"`             // what to know before choosing it
}

// postgresSources is the table; the first row of a system is its default.
func postgresSources() []PostgresSource {
	main := []string{"main"}
	return []PostgresSource{
		{
			OS:    "debian-13",
			Major: 13,
			// Suite and pins as measured: Debian 13's apt accepts both with no option, bullseye-security has the last
			// 13.23 and patched libraries, and everything else, libpq among it, stays Debian 13's.
			Suites: []Suite{
				{ArchiveDebian, "bullseye", main},
				{ArchiveSecurity, "bullseye-security", main},
			},
			Packages: []string{"postgresql-13", "postgresql-client-13"},
			Pinned:   []string{"libssl1.1", "libicu67", "libldap-2.4-2", "libllvm11", "libffi7"},
			BinDir:   "/usr/lib/postgresql/13/bin",
			Note: "the newest that Cinc Server 15 up to 15.10.95 accepts (CSPG014). It comes from Debian 11, whose long-term support has ended, " +
				"as PostgreSQL 13's own has: no fixes are to be expected, and the suites may leave the mirrors",
		},
		{
			OS:       "debian-13",
			Major:    14,
			Suites:   []Suite{{ArchivePGDG, "trixie-pgdg", main}},
			Packages: []string{"postgresql-14", "postgresql-client-14"},
			BinDir:   "/usr/lib/postgresql/14/bin",
			Note: "from the PostgreSQL project's own archive, which mends it until November 2026, for Cinc Server from 15.10.117 on. " + Unverified +
				"an image with it: the archive could not be reached where this project is built",
		},
		{
			OS:       "debian-13",
			Major:    17,
			Packages: []string{"postgresql-17", "postgresql-client-17"},
			BinDir:   "/usr/lib/postgresql/17/bin",
			Note:     "Debian 13's own, with security support. No Cinc Server known to this release accepts it (CSPG014), and failover was measured with 13 only",
		},
	}
}

// PostgresFor returns the row of a PostgreSQL major on a system; major 0 asks for the system's default.
func PostgresFor(os string, major int) (PostgresSource, error) {
	for _, source := range postgresSources() {
		if source.OS == os && (source.Major == major || major == 0) {
			return source, nil
		}
	}
	return PostgresSource{}, fmt.Errorf("PostgreSQL %d has no package source for %q (supported: %s)", major, os, strings.Join(postgresMajors(os), ", "))
}

func postgresMajors(os string) []string {
	var majors []string
	for _, source := range postgresSources() {
		if source.OS == os {
			majors = append(majors, strconv.Itoa(source.Major))
		}
	}
	return majors
}
