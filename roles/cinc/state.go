package cinc

import (
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// DataDir is where a standalone server's state lies on the data disk.
const DataDir = role.DataDir + "/cinc"

// MountUnit shows DataDir at StateDir: databases, index, cookbooks and what Cinc Server remembers of them. A mount and not a
// link: Cinc Server makes the directory itself, and a link in its place would be one more thing that its recipes may undo.
const MountUnit = `var-opt-cinc\x2dproject.mount` // its name is StateDir, as systemd escapes it

const mountUnit = `[Unit]
Description=Cinc Server's state, on the data disk

[Mount]
What=` + DataDir + `
Where=` + StateDir + `
Type=none
Options=bind
`

// The users that own a standalone server's state. A data disk outlives the image; Cinc Server makes its users with whatever
// numbers are free, unless they are there.
const (
	userCinc     = "cinc"
	uidCinc      = 451
	userDatabase = "opscode-pgsql"
	uidDatabase  = 452
)

// BakeState returns the steps that let an image keep Cinc Server's state on a data disk.
func BakeState() step.Plan {
	const reason = "a data disk outlives the image; its files must keep their owner"
	return step.Plan{
		{Title: "Make user " + userCinc, Reason: reason, Action: step.User{Name: userCinc, UID: uidCinc, Home: "/opt/cinc-project/embedded", Shell: "/usr/sbin/nologin"}},
		{Title: "Make user " + userDatabase, Reason: reason, Action: step.User{Name: userDatabase, UID: uidDatabase, Home: StateDir + "/postgresql", Shell: "/bin/sh"}},
		{
			Title:  "Write the mount of Cinc Server's state",
			Reason: "the agent mounts it once the data disk is known to be right",
			Action: step.File{Path: "/usr/lib/systemd/system/" + MountUnit, Mode: 0o644, Content: []byte(mountUnit)},
		},
	}
}

// State returns the steps that bring the state's disk to its place, before anything of Cinc Server runs.
func State(in role.Inputs) step.Plan {
	return step.Plan{
		{
			Title:  "Look at the memory",
			Reason: "Cinc Server's own search refuses less, half way through its first reconfigure",
			Action: memory{in.Facts.MemoryBytes},
		},
		{
			Title:  "Make the state's directory",
			Reason: "it lies on the data disk and outlives the image",
			Action: step.Directory{Path: DataDir, Mode: 0o755},
		},
		{
			Title:  "Mount Cinc Server's state",
			Reason: "everything it keeps is below one directory",
			Action: step.Unit{Name: MountUnit, State: step.Started},
		},
	}
}

// Aliases are the names under which a machine with Cinc Server reaches itself: erchef asks bookshelf by the domain for each
// file of a cookbook, which must not leave the machine, nor wait for a DNS.
func Aliases(r *cluster.Resolved) []string { return []string{r.Domain} }
