package cluster

import (
	"slices"
	"strings"
	"testing"
)

// TestCompatTable: rows are complete, in order, and without a gap between them.
func TestCompatTable(t *testing.T) {
	table := CompatTable()
	for i, row := range table {
		if !isFullVersion(row.From) || !isFullVersion(row.Below) || CompareVersions(row.From, row.Below) >= 0 {
			t.Errorf("%s is no range", row.Range())
		}
		if i > 0 && row.From != table[i-1].Below {
			t.Errorf("%s does not follow %s", row.Range(), table[i-1].Range())
		}
		if len(row.Postgres) == 0 || row.OpenSearch == 0 || len(row.OSes) == 0 || len(row.CPUs) == 0 || row.Auth != AuthMD5 || row.Source == "" {
			t.Errorf("the row is not complete: %+v", row)
		}
		if !slices.IsSorted(row.Postgres) {
			t.Errorf("%s: %v is not sorted", row.Range(), row.Postgres)
		}
	}
}

// TestCompatQuestions holds the answers against what is written down about Cinc Server, by hand.
func TestCompatQuestions(t *testing.T) {
	for _, test := range []struct {
		version   string
		postgres  int // the newest
		debian13  bool
		fromCodes bool // nothing of the row is unverified
	}{
		{"15.10.12", 13, false, true},
		{"15.10.33", 13, false, true},
		{"15.10.42", 13, false, true},
		{"15.10.43", 13, true, false},
		{"15.10.91", 13, true, false},
		{"15.10.95", 13, true, false},
		{"15.10.96", 13, true, false},
		{"15.10.116", 13, true, false},
		{"15.10.117", 14, true, false},
		{"15.10.125", 14, true, false},
	} {
		row, err := CompatFor(test.version)
		if err != nil {
			t.Error(err)
			continue
		}
		if !row.AcceptsPostgres(test.postgres) || row.AcceptsPostgres(test.postgres+1) || !row.AcceptsPostgres(10) || row.AcceptsPostgres(9) {
			t.Errorf("%s accepts PostgreSQL %v", test.version, row.Postgres)
		}
		if row.AcceptsOS("debian-13") != test.debian13 || !row.AcceptsOS("debian-12") {
			t.Errorf("%s runs on %v", test.version, row.OSes)
		}
		if row.Verified() != test.fromCodes {
			t.Errorf("%s: verified is %v", test.version, row.Verified())
		}
		if !row.AcceptsCPU("amd64") || row.AcceptsCPU("arm64") || !row.AcceptsOpenSearch("1.3.20") || !row.AcceptsOpenSearch("1.3") || row.AcceptsOpenSearch("2.11") || row.AcceptsOpenSearch("13.1") {
			t.Errorf("%s: %+v", test.version, row)
		}
	}
	for _, version := range []string{"15.10.11", "15.11.0", "16.0.0", "14.16.19", "15.10", "15.10.091", "", "15.10.91.1", "-1.2.3", "15.10.9999999999999999999"} {
		if row, err := CompatFor(version); err == nil || !strings.Contains(err.Error(), "15.10.12") {
			t.Errorf("CompatFor(%q) = %+v, %v", version, row, err)
		}
	}
}

// TestDefaultsAreCompatible: what a spec gets when it names no version works with every Cinc Server that the table has.
func TestDefaultsAreCompatible(t *testing.T) {
	for _, row := range CompatTable() {
		source, err := PostgresFor("debian-13", 0)
		if err != nil {
			t.Fatal(err)
		}
		if !row.AcceptsPostgres(source.Major) || !row.AcceptsPostgres(defaultExternalPostgres) || !row.AcceptsOpenSearch(defaultOpenSearch) || !row.AcceptsOpenSearch(defaultExternalOpenSearch) {
			t.Errorf("%s does not work with the defaults", row.Range())
		}
	}
}
