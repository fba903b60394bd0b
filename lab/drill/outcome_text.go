package drill

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// trafficKinds returns the kinds of traffic, in the order in which they work.
func (o Outcome) trafficKinds() []string {
	var kinds []string
	for _, t := range o.Configuration.Traffic {
		kinds = append(kinds, t.Kind)
	}
	return kinds
}

func (k KindSummary) of(traffic string) (TrafficSummary, bool) {
	i := slices.IndexFunc(k.Traffic, func(t TrafficSummary) bool { return t.Kind == traffic })
	if i < 0 {
		return TrafficSummary{}, false
	}
	return k.Traffic[i], true
}

func (s Spread) String() string {
	if s.Min == s.Max {
		return fmt.Sprintf("%.1f", s.Median)
	}
	return fmt.Sprintf("%.1f (%.1f–%.1f)", s.Median, s.Min, s.Max)
}

// Verdict says in one sentence what the outcome is.
func (o Outcome) Verdict() string {
	t := o.Totals
	said := fmt.Sprintf("%d of %d strikes: %d of %d acknowledged writes lost, %d hanging operations, %d strikes with a problem",
		t.Strikes, o.Planned, t.Lost+o.LostLater, t.Acknowledged, t.Hanging, t.Failed)
	if t.Skipped > 0 {
		said += fmt.Sprintf(", %d without a target", t.Skipped)
	}
	return said
}

// Summary says a strike in one line.
func (s Struck) Summary() string {
	if s.Skipped != "" {
		return s.Name + ": not made, " + s.Skipped
	}
	said := fmt.Sprintf("%s (%s):", s.Name, strings.Join(s.Nodes, ", "))
	for _, t := range s.Traffic {
		said += fmt.Sprintf(" %s %.1f s,", t.Kind, t.GapSeconds)
	}
	said += fmt.Sprintf(" whole after %.1f s", s.Whole)
	for _, p := range s.Problems {
		said += "; " + strings.ReplaceAll(p, "\n", ", ")
	}
	return said
}

// WriteText writes the outcome for people, in lines of at most 100 columns.
func (o Outcome) WriteText(w io.Writer) error {
	var b strings.Builder
	c := o.Configuration
	fmt.Fprintf(&b, "Drill %s of cluster %s (%s), %s, %.0f s\n", o.Suite, c.Cluster, c.Topology, o.Began.Format("2006-01-02 15:04 MST"), o.Seconds)
	fmt.Fprintf(&b, "%s\n", folded(o.Verdict(), ""))
	if o.Stopped != "" {
		fmt.Fprintf(&b, "%s\n", folded("stopped early: "+o.Stopped, ""))
	}

	b.WriteString("\nSeconds without service: the middle (least–most)\n")
	kinds := o.trafficKinds()
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "STRIKE\tRUNS\t%s\n", strings.ToUpper(strings.Join(kinds, "\t")))
	for _, k := range o.Kinds {
		cells := []string{cut(k.Name), fmt.Sprint(k.Runs)}
		for _, kind := range kinds {
			cell := "-"
			if t, ok := k.of(kind); ok {
				cell = t.Gap.String()
			}
			cells = append(cells, cell)
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}

	b.WriteString("\nSeconds until nothing was missing, and what became of the writes\n")
	fmt.Fprintln(table, "STRIKE\tWHOLE\tLOST\tACKNOWLEDGED\tPER SECOND\tFAILED")
	for _, k := range o.Kinds {
		written, gone, rate := 0, 0, 0.0
		for _, t := range k.Traffic {
			written, gone = written+t.Acknowledged, gone+t.Lost
			rate += t.PerSecond
		}
		whole := "-"
		if k.Runs > 0 {
			whole = k.Whole.String()
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%.0f\t%d\n", cut(k.Name), whole, gone, written, rate, k.Failed)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	o.writeProblems(&b)
	o.writeConfiguration(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (o Outcome) writeProblems(b *strings.Builder) {
	var problems []string
	for _, s := range o.Strikes {
		for _, p := range s.Problems {
			problems = append(problems, fmt.Sprintf("%d. %s (%s): %s", s.Number, s.Name, strings.Join(s.Nodes, ", "), p))
		}
	}
	for _, p := range problems {
		if p == problems[0] {
			b.WriteString("\nProblems\n")
		}
		b.WriteString(folded(p, "  ") + "\n")
	}
	if o.LostLater > 0 {
		fmt.Fprintf(b, "\n%d acknowledged writes were lost by a later strike\n", o.LostLater)
	}
	for _, p := range o.Problems {
		b.WriteString("\n" + folded(p, "") + "\n")
	}
}

func (o Outcome) writeConfiguration(b *strings.Builder) {
	c := o.Configuration
	b.WriteString("\nMeasured with\n")
	for _, line := range c.lines() {
		b.WriteString(folded(line, "  ") + "\n")
	}
}

// lines says what was struck, and by what it was measured.
func (c Configuration) lines() []string {
	lines := []string{
		fmt.Sprintf("cincbake %s; %d cores, %.0f GiB, Linux %s", c.Cincbake, c.Host.Cores, float64(c.Host.MemoryBytes)/(1<<30), c.Host.Kernel),
	}
	var names, versions []string
	for name := range c.Versions {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		versions = append(versions, name+" "+c.Versions[name])
	}
	lines = append(lines, strings.Join(versions, ", "))
	for _, t := range c.Traffic {
		patient := 0
		for _, client := range t.Clients {
			if client.Patient {
				patient++
			}
		}
		lines = append(lines, fmt.Sprintf("%s: %d clients, %d of them patient, %.0f ms between two operations of each",
			t.Kind, len(t.Clients), patient, t.PauseSeconds*1000))
	}
	for _, m := range c.Machines {
		lines = append(lines, fmt.Sprintf("%s, %s, image %s", m.Name, m.Address, shortDigest(m.Image)))
	}
	return lines
}

// shortDigest is enough of a digest to tell images apart.
func shortDigest(digest string) string {
	const enough = 12
	algorithm, hex, ok := strings.Cut(digest, ":")
	if !ok {
		algorithm, hex = "", digest
	} else {
		algorithm += ":"
	}
	return algorithm + hex[:min(len(hex), enough)]
}

// Widths that keep lines within 100 columns.
const (
	mostName = 34
	mostLine = 100
)

// cut shortens a name.
func cut(name string) string {
	runes := []rune(name)
	if len(runes) <= mostName {
		return name
	}
	return string(runes[:mostName-1]) + "…"
}

// folded breaks a text into lines, each indented.
func folded(text, indent string) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		for runes := []rune(word); len(runes) > mostLine-len(indent); runes = []rune(word) {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			lines, word = append(lines, string(runes[:mostLine-len(indent)])), string(runes[mostLine-len(indent):])
		}
		switch {
		case line == "":
			line = word
		case len([]rune(indent+line+" "+word)) > mostLine:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return indent + strings.Join(append(lines, line), "\n"+indent)
}
