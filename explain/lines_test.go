package explain

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMissing(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want []int
	}{
		{"", "", nil},
		{"a b c", "a b c", nil},
		{"a b c", "a x c", []int{1}},
		{"a b c", "", []int{0, 1, 2}},
		{"", "a", nil},
		{"a b c d", "a c d", []int{1}},
		{"a c d", "a b c d", nil},
		{"x a a y", "x a y", []int{2}},
		{"a b c d e", "c d a b e", []int{2, 3}},
	} {
		if diff := cmp.Diff(test.want, missing(strings.Fields(test.a), strings.Fields(test.b))); diff != "" {
			t.Errorf("missing(%q, %q) (-want +got):\n%s", test.a, test.b, diff)
		}
	}
}

func TestSay(t *testing.T) {
	for _, test := range []struct {
		path []string
		want string
	}{
		{[]string{"Postgres", "RestAPI"}, "postgres rest API"},
		{[]string{"Backup", "S3KeyID"}, "backup S3 key ID"},
		{[]string{"Cinc", "OCIDKeyBase"}, "cinc OCID key base"},
		{[]string{"Cinc", "OCIDSQLRO"}, "cinc OCID sql read only"},
		{[]string{"Cinc", "WebUI", "Private"}, "cinc web UI private"},
		{[]string{"Leaf", "Key"}, "machine key"},
		{[]string{"OpenSearch", "CincHash"}, "OpenSearch cinc hash"},
	} {
		if got := say(test.path); got != test.want {
			t.Errorf("say(%v) = %q, want %q", test.path, got, test.want)
		}
	}
}

// What differs between two worlds of placeholders was made from one, wherever it stands.
func TestRedact(t *testing.T) {
	p := placeholders{tokens: []token{{"redacted01", "postgres owner", true}, {"redacted02", "CA certificate", false}}}
	other := placeholders{tokens: []token{{"redactedF1", "postgres owner", true}, {"redactedF2", "CA certificate", false}}}
	for _, test := range []struct{ text, other, want string }{
		{"password: redacted01\n", "password: redactedF1\n", "password: [redacted: postgres owner]\n"},
		{"redacted02\nx\n", "redactedF2\nx\n", "[CA certificate]\nx\n"},
		{"PASSWORD 'md5aa11';\n", "PASSWORD 'md5bb22';\n", "PASSWORD '" + madeFrom + "';\n"},
		{"a = redacted01, hash aa\n", "a = redactedF1, hash bb\n", "a = [redacted: postgres owner], hash " + madeFrom + "\n"},
		{"  one two\n", "  one\n", "  " + madeFrom + "\n"},
		{"one\ntwo\n", "one\n", madeFrom + "\n"},
		{"public\n", "public\n", "public\n"},
	} {
		if got := p.redact(test.text, test.other, other); got != test.want {
			t.Errorf("redact(%q, %q) = %q, want %q", test.text, test.other, got, test.want)
		}
	}
}
