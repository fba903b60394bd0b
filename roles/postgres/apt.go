package postgres

import (
	"fmt"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/step"
)

// suites returns the steps that make a PostgreSQL source's further suites known, with nothing admitted from them but the
// packages named. The pin comes first: the first apt-get update must already see it.
func suites(source cluster.PostgresSource) step.Plan {
	if len(source.Suites) == 0 {
		return nil
	}
	return step.Plan{
		{
			Title:  "Pin PostgreSQL's other suites",
			Reason: "only the packages named may come from them",
			Action: step.File{Path: "/etc/apt/preferences.d/cincbake-postgres", Mode: 0o644, Content: aptPins(source)},
		},
		{
			Title:  "Name PostgreSQL's other suites",
			Reason: source.Note,
			Action: step.File{Path: "/etc/apt/sources.list.d/cincbake-postgres.sources", Mode: 0o644, Content: aptSources(source.Suites)},
		},
	}
}

// aptPins pins by codename: an old release's suite field changes with every new release.
func aptPins(source cluster.PostgresSource) []byte {
	var b strings.Builder
	pin := func(packages, suite string, priority int) {
		fmt.Fprintf(&b, "Package: %s\nPin: release n=%s\nPin-Priority: %d\n\n", packages, suite, priority)
	}
	for _, suite := range source.Suites {
		pin("*", suite.Name, -10)
	}
	for _, suite := range source.Suites {
		pin(strings.Join(append(source.Packages, source.Pinned...), " "), suite.Name, 500)
	}
	return []byte(b.String())
}

func aptSources(suites []cluster.Suite) []byte {
	var b strings.Builder
	for i, suite := range suites {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
			cluster.Site{}.URI(suite.Archive), suite.Name, strings.Join(suite.Components, " "))
	}
	return []byte(b.String())
}
