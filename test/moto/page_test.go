package moto_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/test/moto"
)

var update = flag.Bool("update", false, "rewrite the tables of the page, and fail")

const page = "../../docs/aws-fakes.md"

// The tables of the page are those of the code: what the package comment of fakeaws says, and the lists of this package.
func TestPage(t *testing.T) {
	was, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	now := string(was)
	for name, table := range map[string]string{"fake": fakeTable(t), "substitutes": substitutesTable("moto "+moto.Version, moto.Substitutes()), "outcomes": outcomesTable()} {
		begin, end := "<!-- begin: "+name+" -->\n", "<!-- end: "+name+" -->\n"
		before, rest, opened := strings.Cut(now, begin)
		_, after, closed := strings.Cut(rest, end)
		if !opened || !closed {
			t.Fatalf("%s lacks %s or %s", page, strings.TrimSpace(begin), strings.TrimSpace(end))
		}
		now = before + begin + "\n" + table + "\n" + end + after
	}
	if now == string(was) {
		return
	}
	if *update {
		if err := os.WriteFile(page, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("%s rewritten: look at the difference and run again without -update", page)
	}
	t.Errorf("%s differs (-page +code), run with -update to rewrite it:\n%s", page, cmp.Diff(string(was), now))
}

// table is one of the page.
func table(rows ...[]string) string {
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			row[i] = strings.ReplaceAll(strings.ReplaceAll(cell, "|", `\|`), "\n", "<br>")
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if n == 0 {
			b.WriteString("|" + strings.Repeat(" --- |", len(row)) + "\n")
		}
	}
	return b.String()
}

// fakeTable is the table of the package comment of fakeaws.
func fakeTable(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../fakeaws/fakeaws.go")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ := strings.Cut(string(text), "\npackage fakeaws")
	var rows [][]string
	for line := range strings.SplitSeq(comment, "\n") {
		aws, fake, ok := strings.Cut(strings.TrimPrefix(line, "//"), " | ")
		if ok {
			rows = append(rows, []string{strings.TrimSpace(aws), strings.TrimSpace(fake)})
		}
	}
	const fewest = 20
	if len(rows) < fewest {
		t.Fatalf("the package comment of fakeaws has a table of %d rows", len(rows))
	}
	return table(rows...)
}

func substitutesTable(whose string, list []moto.Substitute) string {
	rows := [][]string{{"Call", whose, "The proxy"}}
	for _, s := range list {
		rows = append(rows, []string{"`" + s.Call + "`", s.Does, s.Proxy})
	}
	return table(rows...)
}

func outcomesTable() string {
	rows := [][]string{{"What", "The fake", "moto " + moto.Version, "Why"}}
	for _, o := range moto.Outcomes() {
		rows = append(rows, []string{o.Fact, quoted(o.Fake), quoted(o.Moto), o.Why})
	}
	return table(rows...)
}

// quoted is each line of what came out, as code.
func quoted(text string) string {
	if text == "" {
		return "nothing"
	}
	return "`" + strings.ReplaceAll(text, "\n", "`\n`") + "`"
}
