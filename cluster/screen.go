package cluster

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

const remedyPlainYAML = "write the value out: a spec has no anchors, aliases, merge keys and tags"

// secretMarks begin or end what must never be in a spec: private keys in PEM, OpenSSH's own encoding and PuTTY's, and
// age identities. All upper case, as looksSecret compares.
var secretMarks = [...]string{
	"PRIVATE KEY-----", "PRIVATE KEY BLOCK-----", "B3BLBNNZAC1RZXKTDJE", "PUTTY-USER-KEY-FILE", "AGE-SECRET-KEY-",
}

// looksSecret tells whether a text holds a private key.
func looksSecret(text string) bool {
	upper := strings.ToUpper(text)
	for _, mark := range secretMarks {
		if strings.Contains(upper, mark) {
			return true
		}
	}
	return false
}

// screenText refuses private keys wherever they stand, in comments too, and without repeating them. It looks at the text
// and not at the parsed file, so that it also works on a file that does not parse.
func (d *decoder) screenText(text []byte) {
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if looksSecret(line) && !strings.Contains(line, "-----END ") { // a block is reported where it begins
			d.secret("", position{number, indent(line) + 1})
		}
	}
}

// secret reports a private key, unless screenText saw it: a value may also spell one with escapes.
func (d *decoder) secret(path string, at position) {
	for _, p := range d.problems {
		if p.Rule == ruleNoSecrets && (p.Line == at.line || path != "") {
			return
		}
	}
	d.report(ruleNoSecrets, path, at, "a private key stands here",
		"remove it and replace the key, as it may have been seen; secrets belong in the bundle that \"cincbake secrets init\" makes")
}

// screenNodes refuses YAML that makes a file mean something else than it shows, and nesting that no spec has. The decoder
// never follows an alias, so an alias bomb has nothing to go off in.
func (d *decoder) screenNodes(node *yaml.Node, depth int) {
	at := position{node.Line, node.Column}
	if depth > maxDepth {
		d.report(ruleNesting, "", at, fmt.Sprintf("this is nested more than %d levels deep", maxDepth), "a spec is flat: remove it")
		return
	}
	switch {
	case node.Kind == yaml.AliasNode:
		d.report(rulePlainYAML, "", at, "an alias stands here", remedyPlainYAML)
		return // what it refers to is screened where it stands
	case node.Anchor != "":
		d.report(rulePlainYAML, "", at, "an anchor stands here", remedyPlainYAML)
	case node.Tag == "!!merge":
		d.report(rulePlainYAML, "", at, "a merge key stands here", remedyPlainYAML)
	case node.Style&yaml.TaggedStyle != 0:
		d.report(rulePlainYAML, "", at, "a tag stands here", remedyPlainYAML)
	}
	for _, child := range node.Content {
		d.screenNodes(child, depth+1)
	}
}
