package main

import (
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/internal/exit"
)

// commandsOf splits a script into its simple commands, and each into words, as far as the scripts of this project go: quotes,
// comments, pipes, lists, redirections. Variables and what stands in $( ) stay as they are written.
func commandsOf(script string) [][]string {
	var (
		all               [][]string
		words             []string
		word              strings.Builder
		begun, quoted, to bool // a word has begun; in double quotes; the next word is a file
	)
	endWord := func() {
		if begun && !to {
			words = append(words, word.String())
		}
		to = to && !begun
		begun = false
		word.Reset()
	}
	end := func() {
		endWord()
		if len(words) > 0 {
			all = append(all, words)
		}
		words, to = nil, false
	}
	script = strings.ReplaceAll(script, "\\\n", " ")
	for i := 0; i < len(script); i++ {
		rest := script[i:]
		switch c := script[i]; {
		case strings.HasPrefix(rest, "$("):
			length := closed(rest)
			word.WriteString(rest[:length])
			begun, i = true, i+length-1
		case c == '"':
			begun, quoted = true, !quoted
		case quoted:
			word.WriteByte(c)
		case c == '\'':
			text, _, _ := strings.Cut(rest[1:], "'")
			word.WriteString(text)
			begun, i = true, i+len(text)+1
		case c == '#' && !begun:
			comment, _, _ := strings.Cut(rest, "\n")
			i += len(comment) - 1
		case c == ' ' || c == '\t':
			endWord()
		case c == '>' || c == '<':
			endWord()
			to = true
		case strings.IndexByte("\n;|&", c) >= 0:
			end()
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	end()
	return all
}

// closed is how long a text is from its first parenthesis to the one that closes it.
func closed(text string) int {
	depth := 0
	for i, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// prefixes are words that a command may stand behind.
func prefixes() []string {
	return []string{"sudo", "do", "then", "else", "if", "while", "until", "!", "$"}
}

var assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// ours returns the arguments of a command that is cincbake.
func ours(words []string) (args []string, ok bool) {
	for i, word := range words {
		switch {
		case path.Base(word) == "cincbake":
			return words[i+1:], true
		case !slices.Contains(prefixes(), word) && !assignment.MatchString(word) && !strings.HasPrefix(word, "-"):
			return nil, false
		}
	}
	return nil, false
}

// accepted tells whether there is such a command, with such flags and so many arguments. It runs nothing.
func accepted(args []string) error {
	found, err := known(args)
	if err != nil {
		return err
	}
	return found.ValidateArgs(found.Flags().Args())
}

// known finds a command, and reads its flags.
func known(args []string) (*cobra.Command, error) {
	root := newRoot()
	found, rest, err := root.Find(args)
	if err != nil {
		return nil, err
	}
	if err := found.ParseFlags(rest); err != nil {
		return nil, err
	}
	if left := found.Flags().Args(); len(left) > 0 && found.HasSubCommands() {
		return nil, exit.Errorf(exit.Invalid, "%s has no command %q", found.CommandPath(), left[0])
	}
	return found, nil
}

func TestCommandsOf(t *testing.T) {
	for script, want := range map[string][][]string{
		"a b\nc":                {{"a", "b"}, {"c"}},
		"a \\\n  b # c\n":       {{"a", "b"}},
		`a "b c" 'd "e"' f"g"h`: {{"a", "b c", `d "e"`, "fgh"}},
		"a | b && c; d":         {{"a"}, {"b"}, {"c"}, {"d"}},
		`"$(go env GOPATH)/bin/cincbake" x > out`:    {{"$(go env GOPATH)/bin/cincbake", "x"}},
		"for i in $(jq '.[0]' f); do a \"$i\"; done": {{"for", "i", "in", "$(jq '.[0]' f)"}, {"do", "a", "$i"}, {"done"}},
		`A=1 B="$(b "c (d)")" e ""`:                  {{"A=1", `B=$(b "c (d)")`, "e", ""}},
		"a <in >out b":                               {{"a", "b"}},
	} {
		if diff := cmp.Diff(want, commandsOf(script)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", script, diff)
		}
	}
}

func TestAccepted(t *testing.T) {
	for line, want := range map[string]bool{
		"cincbake images push $image -o json":         true,
		"sudo --preserve-env=CI cincbake bake":        true,
		"do /usr/local/bin/cincbake images verify $i": true,
		"cincbake images psuh $image":                 false,
		"cincbake images push":                        false,
		"cincbake bake --jsn":                         false,
		"cincbake bake -o xml":                        false,
		"cincbake launch rollback":                    false,
		"cincbake lunch plan":                         false,
		"cincbake launch apply api":                   true,
		"cincbake launch foundation twice":            false,
	} {
		args, is := ours(strings.Fields(line))
		if err := accepted(args); !is || (err == nil) != want {
			t.Errorf("%s: %v, %v", line, is, err)
		}
	}
	for _, line := range []string{"sudo install x/bin/cincbake /usr/local/bin/", "go install github.com/cincbake/cincbake/cmd/cincbake@v1", "echo cincbake"} {
		if args, is := ours(strings.Fields(line)); is {
			t.Errorf("%s is taken for a command with %q", line, args)
		}
	}
}

// workflow is a workflow of GitHub Actions, as far as it runs commands.
type workflow struct {
	Jobs map[string]struct {
		Steps []struct {
			Run string `yaml:"run"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

// Whatever the example workflows run of cincbake, there is.
func TestWorkflowsRunWhatThereIs(t *testing.T) {
	files, err := filepath.Glob("../../examples/ci/*.yml")
	if err != nil || len(files) < 2 {
		t.Fatalf("workflows %v: %v", files, err)
	}
	for _, file := range files {
		var w workflow
		if err := yaml.Unmarshal([]byte(read(t, file)), &w); err != nil {
			t.Fatal(err)
		}
		checked := 0
		for name, job := range w.Jobs {
			for _, step := range job.Steps {
				for _, words := range commandsOf(step.Run) {
					if args, is := ours(words); is {
						checked++
						if err := accepted(args); err != nil {
							t.Errorf("%s, job %s: %s: %v", file, name, strings.Join(words, " "), err)
						}
					}
				}
			}
		}
		if checked < 5 {
			t.Errorf("%s runs cincbake %d times: is the test blind?", file, checked)
		}
	}
}

// fences are the blocks of a page, with the language that each says it is in.
var fences = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// Whatever the pages about AWS and CI tell to run of cincbake, there is, in blocks as in sentences.
func TestPagesTellWhatThereIs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/aws*.md")
	if err != nil || len(pages) < 3 {
		t.Fatalf("pages %v: %v", pages, err)
	}
	checked := 0
	for _, page := range append(pages, "../../docs/ci.md") {
		text := read(t, page)
		for _, block := range fences.FindAllStringSubmatch(text, -1) {
			for _, words := range commandsOf(block[2]) {
				if args, is := ours(words); is {
					checked++
					if err := accepted(args); err != nil {
						t.Errorf("%s: %s: %v", page, strings.Join(words, " "), err)
					}
				}
			}
		}
		// In a sentence, arguments may be left out.
		for _, said := range regexp.MustCompile("`cincbake ([^`\n]+)`").FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
			checked++
			if _, err := known(strings.Fields(said[1])); err != nil {
				t.Errorf("%s: %s: %v", page, said[0], err)
			}
		}
	}
	if checked < 50 {
		t.Errorf("the pages name %d commands: is the test blind?", checked)
	}
}

// shellBlocks are the commands of a page that its reader is to run, in order.
func shellBlocks(t *testing.T, page string) [][]string {
	t.Helper()
	var all [][]string
	for _, block := range fences.FindAllStringSubmatch(read(t, page), -1) {
		if block[1] == "sh" {
			all = append(all, commandsOf(block[2])...)
		}
	}
	return all
}
