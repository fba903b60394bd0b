package explain

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/cincbake/cincbake/cluster"
)

// fromWords say where a file comes from.
var fromWords = map[Origin]string{
	FromImage: "in the image",
	FromSeed:  "from the seed",
	FromBoot:  "written at boot",
}

// WriteText prints the machine for a person to read from top to bottom.
func (m *Machine) WriteText(w io.Writer) error {
	p := printer{w: w}
	p.linef("%s", m.title())
	p.head("assumed")
	for _, sentence := range m.Assumed {
		p.linef("  %s", sentence)
	}
	for _, f := range m.Facts {
		p.linef("  %s: %s", f.Name, f.Value)
	}
	p.linef("  a line that another machine of this kind may have otherwise is marked with what it follows from: %s memory", arrow)

	p.head("listens on")
	var ports [][]string
	for _, port := range m.Ports {
		ports = append(ports, []string{port.String(), "from " + enumerate(ends(port.From)), port.What})
	}
	p.table(ports)
	p.head("holds secrets")
	for _, name := range m.Secrets {
		p.linef("  %s", name)
	}
	p.head("units")
	var units [][]string
	for _, u := range m.Units {
		units = append(units, []string{u.Name, u.State, u.Why})
	}
	p.table(units)
	p.head("steps of every boot")
	for i, s := range m.Steps {
		p.linef("%4d. %s", i+1, s.Title)
		p.linef("      why: %s", s.Reason)
		p.linef("      does: %s", s.Does)
	}
	p.head("files")
	for _, f := range m.Files {
		p.linef("\n  == %s  %s %s:%s, %s", f.Path, f.Mode, f.Owner, f.Group, fromWords[f.From])
		for _, line := range f.Marked() {
			p.linef("    %s", line)
		}
	}
	return p.err
}

// ends are the callers of a port as people say it.
func ends(from []string) []string {
	said := slices.Clone(from)
	for i, end := range said {
		if end == cluster.FromCluster {
			said[i] = "every machine"
		}
	}
	return said
}

// title is the machine in one line.
func (m *Machine) title() string {
	n := m.Node
	said := fmt.Sprintf("%s of cluster %s: role %s", n.Name, m.Cluster, n.Role)
	if n.Slot > 0 {
		said += fmt.Sprintf(", slot %d", n.Slot)
	}
	if n.Address.IsValid() {
		said += ", " + n.Address.String()
	}
	if n.Disk != "" {
		said += ", data on " + n.Disk
	}
	return said
}

const arrow = "←"

// Marked returns the file's lines, each with the facts that it follows from.
func (f File) Marked() []string {
	lines := rows(f.Content)
	for _, mark := range f.Marks {
		if mark.Line <= len(lines) {
			lines[mark.Line-1] += "   " + arrow + " " + enumerate(mark.Facts)
		}
	}
	return lines
}

// printer writes until the first error, and keeps that.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) linef(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}

func (p *printer) head(title string) { p.linef("\n%s", strings.ToUpper(title)) }

func (p *printer) table(rows [][]string) {
	if p.err != nil {
		return
	}
	table := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(table, "  %s\n", strings.Join(row, "\t"))
	}
	p.err = table.Flush()
}
