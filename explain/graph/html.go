package graph

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/cincbake/cincbake/explain"
)

var (
	//go:embed assets/page.html
	pageHTML string
	//go:embed assets/page.css
	pageCSS string
	//go:embed assets/page.js
	pageJS string
)

// page is what the template is given.
type page struct {
	*Graph
	Rows   []row
	CSS    template.CSS
	JS     template.JS
	Policy string // the content security policy: nothing but the page's own style and script
}

// row is the tiers of one rank, with the arrows that lead to them.
type row struct{ Tiers []arrived }

type arrived struct {
	Tier
	Links []Link // from tiers above
}

// HTML writes the graph as one page that works from a file, without a network. Only what html/template has escaped and the
// page's own style and script are in it; its content security policy keeps it so.
func (g *Graph) HTML(w io.Writer) error {
	parsed, err := template.New("page").Funcs(template.FuncMap{
		"lines":  lines,
		"groups": groups,
		"list":   func(items []string) string { return strings.Join(items, ", ") },
		// A long path breaks before a slash.
		"segments": func(path string) []string { return strings.SplitAfter(path, "/") },
		"heading":  g.tierName,
	}).Parse(pageHTML)
	if err != nil {
		return err
	}
	p := page{
		Graph: g, Rows: g.rows(),
		CSS: template.CSS(pageCSS), //nolint:gosec // the page's own, embedded
		JS:  template.JS(pageJS),   //nolint:gosec // likewise
		Policy: fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'",
			digest(pageCSS), digest(pageJS)),
	}
	var b bytes.Buffer // a page that breaks half way is no page
	if err := parsed.Execute(&b, p); err != nil {
		return fmt.Errorf("draw the page: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (g *Graph) rows() []row {
	var rows []row
	last := -1
	for _, t := range g.Tiers {
		if t.Rank != last {
			rows = append(rows, row{})
			last = t.Rank
		}
		a := arrived{Tier: t}
		for _, l := range g.Links {
			if l.To == t.ID && g.rank(l.From) < t.Rank {
				a.Links = append(a.Links, l)
			}
		}
		rows[len(rows)-1].Tiers = append(rows[len(rows)-1].Tiers, a)
	}
	return rows
}

func (g *Graph) tierName(id string) string {
	if t := g.tier(id); t != nil {
		return t.Name
	}
	return id
}

// line is a line of a file, cut where a placeholder stands.
type line struct {
	Parts []part
	Facts string // what the line follows from
}

type part struct {
	Text        string
	Placeholder bool
}

func lines(f explain.File) []line {
	var list []line
	for text := range strings.Lines(f.Content) {
		list = append(list, line{Parts: parts(strings.TrimSuffix(text, "\n"))})
	}
	for _, mark := range f.Marks {
		if mark.Line <= len(list) {
			list[mark.Line-1].Facts = strings.Join(mark.Facts, ", ")
		}
	}
	return list
}

func parts(text string) []part {
	var list []part
	for text != "" {
		start, end := explain.Placeholder(text)
		if start < 0 {
			return append(list, part{Text: text})
		}
		if start > 0 {
			list = append(list, part{Text: text[:start]})
		}
		list = append(list, part{text[start+1 : end-1], true})
		text = text[end:]
	}
	return list
}

// group is a machine's files of one origin.
type group struct {
	Title string
	Files []indexed
}

type indexed struct {
	explain.File
	Index int
}

func groups(m Machine) []group {
	list := []group{{Title: "Written at boot"}, {Title: "From the seed"}, {Title: "In the image"}}
	at := map[explain.Origin]int{explain.FromBoot: 0, explain.FromSeed: 1, explain.FromImage: 2}
	for i, f := range m.Files {
		g := &list[at[f.From]]
		g.Files = append(g.Files, indexed{f, i})
	}
	return list
}
