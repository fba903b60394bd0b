package explain

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/cincbake/cincbake/cluster"
)

// Difference is what a changed spec comes to.
type Difference struct {
	Changes  []Change        `json:"changes"`
	Machines []MachineChange `json:"machines"` // those that change, in the cluster's order
}

// Change is a field of the spec that differs, and what that does to running machines.
type Change struct {
	Path   string         `json:"path"`
	Before string         `json:"before,omitempty"` // empty: not written
	After  string         `json:"after,omitempty"`
	Effect cluster.Effect `json:"effect"`
	Reason string         `json:"reason"`
	Way    string         `json:"way,omitempty"` // around a change that is refused
}

// MachineChange is a machine whose files differ, or that only one side has.
type MachineChange struct {
	Node    string       `json:"node"`
	Added   bool         `json:"added,omitempty"`
	Removed bool         `json:"removed,omitempty"`
	Files   []FileChange `json:"files,omitempty"`
}

// FileChange is a file that differs.
type FileChange struct {
	Path    string `json:"path"`
	Added   bool   `json:"added,omitempty"`
	Removed bool   `json:"removed,omitempty"`
	Diff    string `json:"diff,omitempty"` // unified, without its header; empty when only mode or owner differ
	Was     string `json:"was,omitempty"`  // mode and owner, where they differ
	Is      string `json:"is,omitempty"`
}

// Refused tells whether a change would lose data.
func (d *Difference) Refused() bool {
	return slices.ContainsFunc(d.Changes, func(c Change) bool { return c.Effect == cluster.Never })
}

// Side is a spec and what it resolves to.
type Side struct {
	Spec    *cluster.Spec
	Cluster *cluster.Resolved
}

// Between compares two specs: field by field, and file by file on the machines called names; no names: on all.
func Between(before, after Side, a Assume, names ...string) (*Difference, error) {
	d := &Difference{Changes: []Change{}, Machines: []MachineChange{}}
	for _, f := range fields(before.Spec, after.Spec) {
		mark := cluster.EffectOf(f.path)
		d.Changes = append(d.Changes, Change{f.path, f.before, f.after, mark.Effect, mark.Reason, mark.Way})
	}
	if len(names) == 0 {
		for _, n := range slices.Concat(before.Cluster.Nodes, after.Cluster.Nodes) {
			if !slices.Contains(names, n.Name) {
				names = append(names, n.Name)
			}
		}
	}
	for _, name := range names {
		change, err := machineChange(before.Cluster, after.Cluster, name, a)
		if err != nil {
			return nil, err
		}
		if change.Added || change.Removed || len(change.Files) > 0 {
			d.Machines = append(d.Machines, change)
		}
	}
	return d, nil
}

func machineChange(before, after *cluster.Resolved, name string, a Assume) (MachineChange, error) {
	change := MachineChange{Node: name}
	was, wasErr := Find(before, name)
	is, isErr := Find(after, name)
	switch {
	case wasErr != nil && isErr != nil:
		return change, wasErr
	case wasErr != nil:
		change.Added = true
		return change, nil
	case isErr != nil:
		change.Removed = true
		return change, nil
	}
	old, err := Of(before, was, a)
	if err != nil {
		return change, err
	}
	updated, err := Of(after, is, a)
	if err != nil {
		return change, err
	}
	change.Files = filesChanged(old, updated)
	return change, nil
}

func filesChanged(before, after *Machine) []FileChange {
	var paths []string
	was, is := map[string]File{}, map[string]File{}
	for _, f := range before.Files {
		was[f.Path] = f
		paths = append(paths, f.Path)
	}
	for _, f := range after.Files {
		is[f.Path] = f
		paths = append(paths, f.Path)
	}
	slices.Sort(paths)
	var changes []FileChange
	for _, path := range slices.Compact(paths) {
		old, before := was[path]
		updated, after := is[path]
		change := FileChange{Path: path, Added: !before, Removed: !after}
		if before && after {
			if rights := old.rights(); rights != updated.rights() {
				change.Was, change.Is = rights, updated.rights()
			}
		}
		change.Diff = unified(old.Content, updated.Content)
		if change.Added || change.Removed || change.Diff != "" || change.Was != "" {
			changes = append(changes, change)
		}
	}
	return changes
}

func (f File) rights() string { return fmt.Sprintf("%s %s:%s", f.Mode, f.Owner, f.Group) }

// unified is a diff without the three lines that name the files.
func unified(before, after string) string {
	text := diff.Diff("before", []byte(before), "after", []byte(after))
	for range 3 {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return string(text)
}

// effects say what a change does, in the words of the command line.
var effects = map[cluster.Effect]string{
	cluster.Refresh: "machines take it up by themselves",
	cluster.Replace: "machines are replaced",
	cluster.Never:   "refused",
}

// WriteText prints the difference for a person: fields first, then machines.
func (d *Difference) WriteText(w io.Writer) error {
	p := printer{w: w}
	if len(d.Changes) == 0 {
		p.linef("the specs say the same")
		return p.err
	}
	p.linef("FIELDS")
	for _, c := range d.Changes {
		p.linef("\n  %s: %s → %s", c.Path, orNothing(c.Before), orNothing(c.After))
		p.linef("    %s: %s", effects[c.Effect], c.Reason)
		if c.Way != "" {
			p.linef("    the way around: %s", c.Way)
		}
	}
	p.linef("\nMACHINES")
	if len(d.Machines) == 0 {
		p.linef("\n  no machine's files change")
	}
	for _, m := range d.Machines {
		switch {
		case m.Added:
			p.linef("\n  %s is new", m.Node)
		case m.Removed:
			p.linef("\n  %s goes", m.Node)
		default:
			p.linef("\n  %s", m.Node)
		}
		for _, f := range m.Files {
			p.linef("    %s%s", f.Path, f.note())
			for line := range strings.Lines(f.Diff) {
				p.linef("      %s", strings.TrimRight(line, "\n"))
			}
		}
	}
	return p.err
}

func (f FileChange) note() string {
	switch {
	case f.Added:
		return " is new"
	case f.Removed:
		return " goes"
	case f.Was != "":
		return ": " + f.Was + " → " + f.Is
	}
	return ""
}

func orNothing(value string) string {
	if value == "" {
		return "(not written)"
	}
	return value
}
