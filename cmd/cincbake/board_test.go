package main

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

// screen is what a terminal shows of a text that moves the cursor up and clears lines.
func screen(t *testing.T, text string, width int) []string {
	t.Helper()
	var lines []string
	at := 0
	up := regexp.MustCompile(`^\x1b\[(\d+)A`)
	for _, part := range strings.SplitAfter(text, "\n") {
		if match := up.FindStringSubmatch(part); match != nil {
			n, err := strconv.Atoi(match[1])
			if err != nil {
				t.Fatal(err)
			}
			at -= n
			part = part[len(match[0]):]
		}
		rest, ok := strings.CutPrefix(part, "\r\x1b[2K")
		if part != "" && !ok {
			t.Fatalf("a line is not cleared first: %q", part)
		}
		if rest = strings.TrimSuffix(rest, "\n"); part == "" {
			continue
		}
		if len([]rune(rest)) >= width {
			t.Errorf("a line wraps at %d: %q", width, rest)
		}
		if at == len(lines) {
			lines = append(lines, "")
		}
		lines[at] = rest
		at++
	}
	return lines
}

func TestBoardRewritesItsLines(t *testing.T) {
	const width = 50
	var out bytes.Buffer
	b := drawnBoard(&out, width, []cluster.Role{cluster.RoleLB, cluster.RolePostgres, cluster.RoleAPI})
	b.begin("lb")
	b.say("lb", "a base system with a name that is longer than any terminal is wide, or than this one")
	b.begin("postgres")
	b.say("postgres", "sealing")
	b.end("postgres", "baked")
	b.close()

	want := []string{
		"    0s  lb           a base system with a name t…",
		"    0s  postgres     baked",
		"        api          waits for its turn",
	}
	if diff := cmp.Diff(want, screen(t, out.String(), width)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestBoardIsPlainOnNoTerminal: a log has a line for each thing that happens, and nothing that moves a cursor.
func TestBoardIsPlainOnNoTerminal(t *testing.T) {
	var out bytes.Buffer
	b := newBoard(&out, []cluster.Role{cluster.RoleLB})
	b.begin("lb")
	b.say("lb", "sealing")
	b.end("lb", "baked")
	b.close()
	if got := out.String(); strings.Count(got, "\n") != 2 || strings.Contains(got, "\x1b") || !strings.Contains(got, "lb           sealing") {
		t.Errorf("%q", got)
	}
}
