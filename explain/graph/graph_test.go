package graph_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/explain"
	"github.com/cincbake/cincbake/explain/graph"
	"github.com/cincbake/cincbake/internal/golden"
)

// clusters are the examples of every topology on every platform.
func clusters(t *testing.T) map[string]*cluster.Resolved {
	t.Helper()
	found := map[string]*cluster.Resolved{}
	for _, topology := range []cluster.Topology{cluster.Standalone, cluster.Managed, cluster.SelfHosted} {
		for _, platform := range []cluster.Platform{cluster.OnPrem, cluster.AWS} {
			found[string(topology)+"-"+string(platform)] = example(t, topology, platform)
		}
	}
	return found
}

func example(t *testing.T, topology cluster.Topology, platform cluster.Platform) *cluster.Resolved {
	t.Helper()
	text, err := cluster.Example(topology, platform)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func draw(t *testing.T, r *cluster.Resolved) *graph.Graph {
	t.Helper()
	g, err := graph.Of(r, explain.Assume{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestMermaidGolden(t *testing.T) {
	for name, r := range clusters(t) {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := draw(t, r).Mermaid(&b); err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, "testdata/"+name+".mmd", b.String())
		})
	}
}

func html(t *testing.T, r *cluster.Resolved) string {
	t.Helper()
	var b bytes.Buffer
	if err := draw(t, r).HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var (
	tag       = regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)([^>]*)>`)
	attribute = regexp.MustCompile(`([a-zA-Z-]+)(?:="[^"]*")?`)
	styles    = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	scripts   = regexp.MustCompile(`(?s)<script>(.*?)</script>`)
)

// The page is well formed, and no element of it reaches for anything outside: text is escaped, so what looks like a tag is one.
func TestPageStandsAlone(t *testing.T) {
	void := []string{"meta", "br", "wbr"}
	allowed := []string{
		"aria-current", "aria-haspopup", "aria-hidden", "aria-label", "aria-labelledby", "charset", "class", "content", "data-closes",
		"data-opens", "data-shows", "hidden", "http-equiv", "id", "lang", "name", "scope", "tabindex", "type",
	}
	for name, r := range clusters(t) {
		page := html(t, r)
		style, script := styles.FindStringSubmatch(page), scripts.FindStringSubmatch(page)
		if style == nil || script == nil || strings.Count(page, "<script") != 1 || strings.Count(page, "<style") != 1 {
			t.Fatalf("%s: the page has not one style and one script", name)
		}
		for _, reach := range []string{"url(", "@import", "fetch(", "XMLHttpRequest", "import(", "innerHTML"} {
			if strings.Contains(style[1], reach) || strings.Contains(script[1], reach) {
				t.Errorf("%s: the page's style or script holds %s", name, reach)
			}
		}
		body := scripts.ReplaceAllString(styles.ReplaceAllString(page, ""), "")
		var open []string
		ids := map[string]bool{}
		for _, m := range tag.FindAllStringSubmatch(body, -1) {
			element := strings.ToLower(m[2])
			switch {
			case m[1] == "" && !slices.Contains(void, element):
				open = append(open, element)
			case m[1] != "":
				if len(open) == 0 || open[len(open)-1] != element {
					t.Fatalf("%s: </%s> closes %v", name, element, open)
				}
				open = open[:len(open)-1]
			}
			for _, a := range attribute.FindAllStringSubmatch(m[3], -1) {
				if !slices.Contains(allowed, a[1]) {
					t.Errorf("%s: <%s> has the attribute %s", name, element, a[1])
				}
			}
			if id := regexp.MustCompile(` id="([^"]*)"`).FindStringSubmatch(m[3]); id != nil {
				if ids[id[1]] {
					t.Errorf("%s: two elements have the id %s", name, id[1])
				}
				ids[id[1]] = true
			}
		}
		if len(open) > 0 {
			t.Errorf("%s: %v is never closed", name, open)
		}
		for _, n := range r.Nodes {
			if !ids["m-"+n.Name] || !strings.Contains(page, `data-opens="m-`+n.Name+`"`) {
				t.Errorf("%s: %s does not open", name, n.Name)
			}
		}
	}
}

// What a spec holds is text on the page, whatever it looks like.
func TestPageEscapes(t *testing.T) {
	r := example(t, cluster.SelfHosted, cluster.OnPrem)
	r.Domain = `<img src=x onerror=alert(1)>`
	r.Network.Interface = `</pre><script>alert(2)</script>`
	page := html(t, r)
	for _, raw := range []string{"<img", "alert(2)</script>"} {
		if strings.Contains(page, raw) {
			t.Errorf("the page holds %s", raw)
		}
	}
	if !strings.Contains(page, "&lt;img") {
		t.Error("the domain is not on the page")
	}
}

func TestPageIsPure(t *testing.T) {
	r := example(t, cluster.SelfHosted, cluster.OnPrem)
	if diff := cmp.Diff(html(t, r), html(t, r)); diff != "" {
		t.Errorf("two pages of one cluster differ:\n%s", diff)
	}
}
