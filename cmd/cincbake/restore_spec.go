package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// point is where a new cluster begins; no restore: empty.
type point struct{ restore *cluster.Restore }

// yaml is the value of backup.restore; empty: the key is not there.
func (p point) yaml() string {
	switch {
	case p.restore == nil:
		return ""
	case p.restore.Time.IsZero():
		return "{latest: true}"
	}
	return "{time: " + p.restore.Time.Format(time.RFC3339) + "}"
}

func (p point) String() string {
	if p.restore == nil {
		return "backup.restore is gone"
	}
	return "backup.restore is " + p.yaml()
}

// after tells whether the point is later than a moment.
func (p point) after(moment time.Time) bool {
	return p.restore != nil && (p.restore.Time.IsZero() || p.restore.Time.After(moment))
}

// withRestore returns the spec's text with that point and all else, comments too, as it was. A text that it cannot change so
// is left to the user.
func withRestore(filename string, text []byte, to point) ([]byte, error) {
	changed, err := setRestore(string(text), to.yaml())
	if err == nil {
		err = provesRestore(filename, changed, to)
	}
	if err != nil {
		want := "write " + to.yaml() + " under backup.restore in " + filename
		if to.restore == nil {
			want = "remove backup.restore from " + filename
		}
		return nil, exit.Errorf(exit.Invalid, "the spec is written in a way that is not changed here (%w): %s by hand", err, want)
	}
	return []byte(changed), nil
}

// provesRestore reads the changed text as everybody else will.
func provesRestore(filename, text string, to point) error {
	spec, err := cluster.Parse(filename, []byte(text))
	if err != nil {
		return err
	}
	r, err := spec.Resolve()
	if err != nil {
		return err
	}
	got := r.Backup.Restore
	if (got == nil) != (to.restore == nil) || got != nil && !got.Time.Equal(to.restore.Time) {
		return fmt.Errorf("it would say %s", point{got})
	}
	return nil
}

// setRestore changes the text alone; what it means is proved by its caller.
func setRestore(text, value string) (string, error) {
	backup, err := backupOf(text)
	if err != nil {
		return "", err
	}
	if i := keyAt(backup, "restore"); i >= 0 {
		if text, err = without(text, backup, i); err != nil {
			return "", err
		}
		if backup, err = backupOf(text); err != nil {
			return "", err
		}
	}
	if value == "" {
		return text, nil
	}
	first := backup.Content[0]
	if backup.Style&yaml.FlowStyle != 0 {
		at := offset(text, backup) + len("{")
		return text[:at] + "restore: " + value + ", " + text[at:], nil
	}
	// Before the first key of the block, above the comments that belong to it.
	line := first.Line - strings.Count(first.HeadComment, "\n")
	if first.HeadComment != "" {
		line--
	}
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(slices.Insert(lines, line-1, strings.Repeat(" ", first.Column-1)+"restore: "+value+"\n"), ""), nil
}

// backupOf finds the mapping under backup, which has at least one key.
func backupOf(text string) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil, err
	}
	if len(document.Content) == 1 {
		if i := keyAt(document.Content[0], "backup"); i >= 0 {
			if backup := document.Content[0].Content[i+1]; backup.Kind == yaml.MappingNode && len(backup.Content) > 0 {
				return backup, nil
			}
		}
	}
	return nil, errors.New("it has no mapping under backup")
}

// keyAt returns the place of a key among a mapping's contents, -1 where it is not.
func keyAt(mapping *yaml.Node, key string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// without takes a key and its value out of a mapping.
func without(text string, mapping *yaml.Node, i int) (string, error) {
	key, value := mapping.Content[i], mapping.Content[i+1]
	if value.Kind != yaml.MappingNode || len(value.Content) == 0 {
		return "", fmt.Errorf("line %d: %s is no mapping", key.Line, key.Value)
	}
	flow := value.Style&yaml.FlowStyle != 0
	end := offset(text, value)
	if flow {
		length := strings.IndexByte(text[end:], '}')
		if length < 0 {
			return "", fmt.Errorf("line %d: no closing brace", value.Line)
		}
		end += length + 1
	}
	if mapping.Style&yaml.FlowStyle == 0 {
		last := value.Content[len(value.Content)-1].Line
		if flow {
			last = 1 + strings.Count(text[:end], "\n")
		}
		lines := strings.SplitAfter(text, "\n")
		return strings.Join(slices.Delete(lines, key.Line-1, last), ""), nil
	}
	before, after := text[:offset(text, key)], text[end:]
	if rest := strings.TrimLeft(after, " \n"); strings.HasPrefix(rest, ",") {
		return before + strings.TrimLeft(rest[1:], " \n"), nil
	}
	return strings.TrimSuffix(strings.TrimRight(before, " \n"), ",") + after, nil
}

// offset is where a node begins in the text.
func offset(text string, node *yaml.Node) int {
	lines := strings.SplitAfter(text, "\n")
	at := len(strings.Join(lines[:node.Line-1], ""))
	for range node.Column - 1 { // columns count characters
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return at
}
