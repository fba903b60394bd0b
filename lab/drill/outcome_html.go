package drill

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

var (
	//go:embed assets/report.html
	reportHTML string
	//go:embed assets/report.css
	reportCSS string
)

// reportPage is what the template is given.
type reportPage struct {
	Outcome
	OK     bool
	Kinds  []string // of traffic
	Rows   []reportRow
	Groups []reportGroup
	Lines  []string // the configuration
	CSS    template.CSS
	Policy string // the content security policy: nothing but the page's own style
}

type reportRow struct {
	KindSummary
	Gaps               []string
	Acknowledged, Lost int
	WholeText          string
}

type reportGroup struct {
	Name    string
	Strikes []drawn
}

// drawn is a strike with its timeline.
type drawn struct {
	Struck
	Failed                  bool
	Title                   string
	Cells                   []trafficCell
	Lanes                   []lane
	Marks                   []mark
	Ticks                   []tick
	Width, Height, Bottom   int
	LaneLeft, LaneRight, Up int
	Caption                 string
}

type trafficCell struct{ Kind, Gap, Worst, Operations, Lost, Hanging string }

type lane struct {
	Kind                string
	Class               int
	Top, Bottom, Middle int
	Path                string
	Most                int // operations in the best second
	GapX, GapWidth      string
	HasGap              bool
}

type mark struct{ X, Class, Label string }

type tick struct{ X, Text string }

// The timeline's measures, in the units of its view box.
const (
	chartWidth  = 920
	chartLeft   = 96
	chartRight  = 904
	laneHeight  = 46
	laneGap     = 14
	chartTop    = 10
	chartFooter = 24
)

// WriteHTML writes the outcome as one page that works from a file, without a network and without a script.
func (o Outcome) WriteHTML(w io.Writer) error {
	parsed, err := template.New("report").Parse(reportHTML)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(reportCSS))
	page := reportPage{
		Outcome: o, OK: o.OK(), Kinds: o.trafficKinds(), Lines: o.Configuration.lines(),
		CSS: template.CSS(reportCSS), //nolint:gosec // the page's own, embedded
		Policy: fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'",
			base64.StdEncoding.EncodeToString(sum[:])),
	}
	for _, k := range o.Kinds {
		page.Rows = append(page.Rows, o.row(k))
		group := reportGroup{Name: k.Name}
		for _, s := range o.Strikes {
			if s.Name == k.Name {
				group.Strikes = append(group.Strikes, draw(s))
			}
		}
		page.Groups = append(page.Groups, group)
	}
	var b bytes.Buffer // a page that breaks half way is no page
	if err := parsed.Execute(&b, page); err != nil {
		return fmt.Errorf("draw the report: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

func (o Outcome) row(k KindSummary) reportRow {
	row := reportRow{KindSummary: k, WholeText: "–"}
	if k.Runs > 0 {
		row.WholeText = k.Whole.String()
	}
	for _, kind := range o.trafficKinds() {
		text := "–"
		if t, ok := k.of(kind); ok {
			text = t.Gap.String()
		}
		row.Gaps = append(row.Gaps, text)
	}
	for _, t := range k.Traffic {
		row.Acknowledged += t.Acknowledged
		row.Lost += t.Lost
	}
	return row
}

// draw lays out a strike's timeline: a lane for each kind of traffic, and a line for each event.
func draw(s Struck) drawn {
	d := drawn{
		Struck: s, Failed: len(s.Problems) > 0, Width: chartWidth, LaneLeft: chartLeft, LaneRight: chartRight, Up: chartTop,
		Title: strings.Join(s.Nodes, ", "), Caption: "Acknowledged operations in each second",
	}
	seconds := max(s.Seconds, 1)
	x := func(at float64) float64 {
		return chartLeft + (chartRight-chartLeft)*min(max((at-s.From)/seconds, 0), 1)
	}
	top := chartTop
	for i, t := range s.Traffic {
		d.Cells = append(d.Cells, trafficCell{
			t.Kind, fmt.Sprintf("%.1f s", t.GapSeconds), fmt.Sprintf("%.1f s", t.WorstClientSeconds),
			fmt.Sprint(t.Operations), fmt.Sprint(t.Lost), fmt.Sprint(t.Hanging),
		})
		l := lane{Kind: t.Kind, Class: i + 1, Top: top, Bottom: top + laneHeight, Middle: top + laneHeight/2}
		if len(t.PerSecond) > 0 {
			l.Most = slices.Max(t.PerSecond)
		}
		l.Path = steps(t.PerSecond, l, func(second int) float64 { return x(s.From + min(float64(second), seconds)) })
		if t.GapSeconds > noticed.Seconds() {
			from, to := x(t.GapAt), x(t.GapAt+t.GapSeconds)
			l.HasGap, l.GapX, l.GapWidth = true, unit(from), unit(to-from)
		}
		d.Lanes = append(d.Lanes, l)
		top += laneHeight + laneGap
	}
	d.Bottom = top - laneGap
	d.Height = d.Bottom + chartFooter
	for _, e := range s.Events {
		d.Marks = append(d.Marks, mark{X: unit(x(e.At)), Class: strings.ReplaceAll(e.What, " ", "-"), Label: label(e)})
	}
	step := 5
	for seconds/float64(step) > 10 {
		step *= 2
	}
	for at := 0; float64(at) <= s.From+seconds; at += step {
		d.Ticks = append(d.Ticks, tick{unit(x(float64(at))), fmt.Sprintf("%d s", at)})
	}
	return d
}

func label(e Event) string {
	if e.Text != "" {
		return fmt.Sprintf("%.1f s: %s: %s", e.At, e.What, e.Text)
	}
	return fmt.Sprintf("%.1f s: %s", e.At, e.What)
}

// steps is the outline of a lane's bars, as the path of an SVG. The seconds' borders are given by edge.
func steps(counts []int, l lane, edge func(second int) float64) string {
	if len(counts) == 0 || l.Most == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "M%s %d", unit(edge(0)), l.Bottom)
	for i, count := range counts {
		y := float64(l.Bottom) - float64(laneHeight)*float64(count)/float64(l.Most)
		fmt.Fprintf(&b, "V%sH%s", unit(y), unit(edge(i+1)))
	}
	fmt.Fprintf(&b, "V%dZ", l.Bottom)
	return b.String()
}

func unit(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }
