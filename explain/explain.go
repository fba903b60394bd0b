// Package explain says what a machine will be before it exists: every file as it will have it, the units, the steps with
// their reasons, the ports and the secrets it holds, and what a changed spec would change of all that.
//
// It runs the code that the machine itself runs at boot, on a host in memory. No real secret is needed, and none is
// touched: see placeholders. What can't be known before boot is assumed, stated, and marked line by line: see facts.
package explain

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cincbake/cincbake/cluster"
)

// Machine is everything that one machine will be. Its JSON form is what `explain -o json` prints.
type Machine struct {
	Cluster string       `json:"cluster"`
	Node    cluster.Node `json:"node"`
	Assumed []string     `json:"assumed"` // what the rest rests on, in sentences
	Facts   []Fact       `json:"facts"`
	Ports   []Port       `json:"ports"`
	Secrets []string     `json:"secrets"` // what the machine's secrets are called
	Units   []Unit       `json:"units"`
	Steps   []Step       `json:"steps"`
	Files   []File       `json:"files"` // by path
}

// Fact is something that only the running machine knows, as it was taken here.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Unit is a systemd unit that the image or the boot puts into a state.
type Unit struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Why   string `json:"why"`
	From  Origin `json:"from"`
}

// Step is one step of the boot.
type Step struct {
	Title  string `json:"title"`
	Reason string `json:"reason"`
	Does   string `json:"does"`
}

// Origin is what puts something onto a machine.
type Origin string

// The origins.
const (
	FromImage Origin = "image" // baked
	FromSeed  Origin = "seed"  // written by cloud-init, or fetched from the secret store
	FromBoot  Origin = "boot"  // written by the agent at every boot
)

// File is a file as the machine will have it.
type File struct {
	Path    string `json:"path"`
	Mode    string `json:"mode"` // octal, like 0600
	Owner   string `json:"owner"`
	Group   string `json:"group"`
	From    Origin `json:"from"`
	Content string `json:"content"` // secrets redacted
	// Marks are the lines that follow from a fact.
	Marks []Mark `json:"marks,omitempty"`
}

// Mark says which facts a line follows from: with other facts it may be another line, or not be there.
type Mark struct {
	Line  int      `json:"line"` // from 1
	Facts []string `json:"facts"`
}

// Find returns the node that a person names: a machine of the cluster, or an API node of the pool that is not launched yet.
func Find(r *cluster.Resolved, name string) (cluster.Node, error) {
	if n, err := r.Node(name); err == nil {
		return n, nil
	}
	if r.API != nil {
		for slot := range r.API.Pool {
			if n, err := r.PoolNode(slot + 1); err == nil && n.Name == name {
				return n, nil
			}
		}
	}
	names := make([]string, 0, len(r.Nodes))
	for _, n := range r.Nodes {
		names = append(names, n.Name)
	}
	return cluster.Node{}, fmt.Errorf("cluster %s has no machine %q: it has %s", r.Name, name, enumerate(names))
}

// Of explains one machine of the cluster.
func Of(r *cluster.Resolved, node cluster.Node, a Assume) (*Machine, error) {
	m, err := of(r, node, a)
	if err != nil {
		return nil, fmt.Errorf("explain %s: %w", node.Name, err)
	}
	return m, nil
}

func of(r *cluster.Resolved, node cluster.Node, a Assume) (*Machine, error) {
	base, err := newWorld(r, node, a)
	if err != nil {
		return nil, err
	}
	drawn, err := base.draw()
	if err != nil {
		return nil, err
	}
	other := base
	other.salt = "other"
	shadow, err := other.draw()
	if err != nil {
		return nil, err
	}
	m := &Machine{
		Cluster: r.Name,
		Node:    node,
		Assumed: a.sentences(base),
		Facts:   base.facts(),
		Ports:   listens(r, node.Role),
		Secrets: drawn.scoped.names(),
		Units:   drawn.units,
		Steps:   drawn.steps,
	}
	marks, err := base.marks(drawn)
	if err != nil {
		return nil, err
	}
	for path, file := range drawn.files {
		content := drawn.scoped.redact(string(file.Content), string(shadow.files[path].Content), shadow.scoped)
		m.Files = append(m.Files, File{
			Path: path, Mode: octal(file.Mode), Owner: file.Owner, Group: file.Group, From: drawn.from[path],
			Content: content, Marks: marks[path],
		})
	}
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return m, nil
}

func octal(mode fs.FileMode) string { return fmt.Sprintf("%04o", mode.Perm()) }

// File returns the file at a path.
func (m *Machine) File(path string) (File, error) {
	var paths []string
	for _, f := range m.Files {
		if f.Path == path {
			return f, nil
		}
		paths = append(paths, f.Path)
	}
	return File{}, fmt.Errorf("nothing writes %s on %s; what is written there:\n  %s", path, m.Node.Name, joinLines(paths))
}
