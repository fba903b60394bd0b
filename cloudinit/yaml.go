package cloudinit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// marshal writes YAML that cloud-init's parser (PyYAML, YAML 1.1) and ours read alike.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := encoder.Encode(v)
	if err == nil {
		err = encoder.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encode YAML: %w", err)
	}
	return out.Bytes(), nil
}

// text is a string that survives YAML. The library quotes what YAML 1.1 takes for something else (on, 12:30:00, 0o7),
// but three things need more: PyYAML has types for "=" and "<<" and no values of those types; blocks that begin or end
// with blank lines are written wrong; and bytes that are no UTF-8 would reach cloud-init as bytes, not as a string.
type text string

// MarshalYAML chooses how the text is written.
func (t text) MarshalYAML() (any, error) {
	s := string(t)
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
	switch {
	case !utf8.ValidString(s):
		return nil, errors.New("a text is not valid UTF-8")
	case s == "=" || s == "<<":
		return node, nil
	case !strings.Contains(s, "\n"):
		return s, nil
	case isBlock(s):
		node.Style = yaml.LiteralStyle
	}
	return node, nil
}

// isBlock tells whether the text is lines that a person could read, as the files that a machine gets are.
func isBlock(s string) bool {
	if unicode.IsSpace(rune(s[0])) || !strings.HasSuffix(s, "\n") || strings.HasSuffix(s, "\n\n") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
}

func texts(strings []string) []text {
	var found []text
	for _, s := range strings {
		found = append(found, text(s))
	}
	return found
}
