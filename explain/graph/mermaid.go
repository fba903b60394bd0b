package graph

import (
	"fmt"
	"io"
	"strings"
)

// Mermaid writes the graph as a Mermaid flowchart: the text that GitHub, GitLab and most wikis draw.
func (g *Graph) Mermaid(w io.Writer) error {
	var b strings.Builder
	b.WriteString("flowchart TB\n")
	for _, t := range g.Tiers {
		if len(t.Machines) == 0 {
			fmt.Fprintf(&b, "  %s([%s]):::outside\n", id(t.ID), text(t.Name, t.What))
			continue
		}
		fmt.Fprintf(&b, "  subgraph %s[%s]\n    direction LR\n", id(t.ID), text(t.Name+": "+t.What))
		for _, m := range t.Machines {
			fmt.Fprintf(&b, "    %s[%s]:::%s\n", id("m-"+m.Node.Name), text(m.Node.Name, m.Label), m.Node.Role)
		}
		if t.More != "" {
			fmt.Fprintf(&b, "    %s[%s]:::more\n", id(t.ID+"-more"), text(t.More))
		}
		b.WriteString("  end\n")
	}
	for _, l := range g.Links {
		fmt.Fprintf(&b, "  %s -->|%s| %s\n", id(l.From), text(strings.Join(l.Ports, ", ")), id(l.To))
	}
	b.WriteString(`  classDef outside fill:#f4f4f5,stroke:#a1a1aa,color:#3f3f46,stroke-dasharray:4
  classDef more fill:none,stroke:#a1a1aa,color:#71717a,stroke-dasharray:4
  classDef lb fill:#ede9fe,stroke:#7c3aed,color:#3b0764
  classDef api fill:#dbeafe,stroke:#2563eb,color:#172554
  classDef standalone fill:#dbeafe,stroke:#2563eb,color:#172554
  classDef postgres fill:#d1fae5,stroke:#059669,color:#022c22
  classDef heartbeat fill:#fef3c7,stroke:#d97706,color:#451a03
  classDef opensearch fill:#ffe4e6,stroke:#e11d48,color:#4c0519
`)
	_, err := io.WriteString(w, b.String())
	return err
}

// id is a name that Mermaid takes: "end" and dashes mean something to it.
func id(name string) string { return "n_" + strings.ReplaceAll(name, "-", "_") }

// text is a label in quotes, its lines one below the other.
func text(lines ...string) string {
	escaped := make([]string, 0, len(lines))
	for _, line := range lines {
		if line != "" {
			escaped = append(escaped, strings.NewReplacer("&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;").Replace(line))
		}
	}
	return `"` + strings.Join(escaped, "<br/>") + `"`
}
