package cluster

import (
	"slices"
	"strings"
	"testing"
)

func TestVersionTable(t *testing.T) {
	majors := map[string][]int{}
	for _, source := range postgresSources() {
		name := source.OS + " " + strings.Join(source.Packages, " ")
		if _, err := OSFor(source.OS); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if slices.Contains(majors[source.OS], source.Major) {
			t.Errorf("%s: PostgreSQL %d has two rows", name, source.Major)
		}
		majors[source.OS] = append(majors[source.OS], source.Major)
		if len(source.Packages) == 0 || source.BinDir == "" || source.Note == "" {
			t.Errorf("%s: the row is not complete: %+v", name, source)
		}
		if len(source.Suites) == 0 && len(source.Pinned) > 0 {
			t.Errorf("%s: packages are pinned to no suite", name)
		}
	}
	for _, os := range operatingSystems() {
		source, err := PostgresFor(os.Name, 0)
		if err != nil {
			t.Errorf("%s has no default PostgreSQL: %v", os.Name, err)
		}
		if len(majors[os.Name]) == 0 || source.Major != majors[os.Name][0] {
			t.Errorf("%s: the default is %d and not the first row", os.Name, source.Major)
		}
		if len(os.Arches) == 0 || len(os.Suites) == 0 || os.Codename != os.Suites[0].Name || os.Renderer == "" {
			t.Errorf("%s: the row is not complete: %+v", os.Name, os)
		}
	}
}

func TestVersionQuestions(t *testing.T) {
	if os, err := OSFor(""); err != nil || os.Name != "debian-13" {
		t.Errorf("the default system: %v, %v", os.Name, err)
	}
	if source, err := PostgresFor("debian-13", 0); err != nil || source.Major != 13 { // the only one that Cinc Server 15.10.95 takes
		t.Errorf("the default PostgreSQL: %v, %v", source.Major, err)
	}
	if _, err := OSFor("debian-12"); err == nil || !strings.Contains(err.Error(), "debian-13") {
		t.Errorf("debian-12: %v", err)
	}
	if _, err := PostgresFor("debian-13", 15); err == nil || !strings.Contains(err.Error(), "13, 14, 17") {
		t.Errorf("PostgreSQL 15: %v", err)
	}
	// A caller that changes what it was given must not change what the next one gets.
	first, _ := PostgresFor("debian-13", 13)
	first.Packages[0], first.Suites[0].Components[0] = "changed", "changed"
	if again, _ := PostgresFor("debian-13", 13); again.Packages[0] == "changed" || again.Suites[0].Components[0] == "changed" {
		t.Error("the table can be changed from outside")
	}
}
