package postgres

import (
	"fmt"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/step"
)

// pins returns the step that admits nothing from a PostgreSQL source's further suites but the packages named.
func pins(source cluster.PostgresSource) step.Plan {
	if len(source.Suites) == 0 {
		return nil
	}
	return step.Plan{{
		Title:  "Pin PostgreSQL's other suites",
		Reason: "only the packages named may come from them: " + source.Note,
		Action: step.File{Path: "/etc/apt/preferences.d/cincbake-postgres", Mode: 0o644, Content: aptPins(source)},
	}}
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
