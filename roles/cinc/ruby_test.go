package cinc

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestLine(t *testing.T) {
	for _, test := range []struct {
		name string
		set  setting
		want string // a line, or what the error says
	}{
		{"top level", setting{"", "topology", "standalone"}, "topology 'standalone'\n"},
		{"group", setting{"postgresql", "external", true}, "postgresql['external'] = true\n"},
		{"number", setting{"opscode_erchef", "depsolver_timeout", 10000}, "opscode_erchef['depsolver_timeout'] = 10000\n"},
		{"number of a JSON document", setting{"opscode_erchef", "depsolver_timeout", float64(10000)}, "opscode_erchef['depsolver_timeout'] = 10000\n"},
		{"symbol", setting{"bookshelf", "storage_type", symbol("sql")}, "bookshelf['storage_type'] = :sql\n"},
		{"file", setting{"a", "b", fileRead("/etc/x")}, "a['b'] = File.read('/etc/x').strip\n"},
		{"list", setting{"lb", "xmaint_allowed_ips_list", []any{"127.0.0.1", 7, true}}, "lb['xmaint_allowed_ips_list'] = ['127.0.0.1', 7, true]\n"},
		{"strings", setting{"a", "b", []string{"x", "y"}}, "a['b'] = ['x', 'y']\n"},
		{"quotes", setting{"a", "b", `it's #{1} \n "x" \`}, `a['b'] = 'it\'s #{1} \\n "x" \\'` + "\n"},
		{"nothing", setting{"a", "b", nil}, "setting a.b: a value of type <nil> has no place"},
		{"map", setting{"a", "b", map[string]any{}}, "setting a.b: a value of type map[string]interface {} has no place"},
		{"fraction", setting{"a", "b", 0.5}, "setting a.b: 0.5 is no whole number"},
		{"number beyond a float's precision", setting{"a", "b", float64(1 << 53)}, "is no whole number that survives"},
		{"line break", setting{"a", "b", "x\ny"}, `setting a.b: "x\ny" holds '\n': only printable ASCII`},
		{"umlaut", setting{"a", "b", "ä"}, "only printable ASCII"},
		{"in a list", setting{"a", "b", []any{"\x00"}}, "only printable ASCII"},
		{"name that is code", setting{"", "x; exit", true}, "names are of lower-case letters"},
		{"group that is code", setting{"a'] = b", "c", true}, "names are of lower-case letters"},
		{"no name", setting{"a", "", true}, "names are of lower-case letters"},
		{"name with a digit first", setting{"", "1a", true}, "names are of lower-case letters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.set.line()
			if err != nil {
				got = err.Error()
			}
			if wantLine := strings.HasSuffix(test.want, "\n"); wantLine && got != test.want || !wantLine && (err == nil || !strings.Contains(got, test.want)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// unquote reads a single-quoted Ruby literal by Ruby's own rule: a backslash stands for itself unless a quote or another
// backslash follows.
func unquote(literal string) (string, bool) {
	inner, ok := strings.CutPrefix(literal, "'")
	var b strings.Builder
	for i := 0; ok && i < len(inner); i++ {
		switch c := inner[i]; {
		case c == '\'':
			return b.String(), i == len(inner)-1
		case c == '\\' && i+1 < len(inner) && (inner[i+1] == '\\' || inner[i+1] == '\''):
			i++
			b.WriteByte(inner[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// Whatever a spec holds, the literal reads back as it was and ends where it should.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "plain", `\`, `'`, `\'`, `\\'`, "#{x}", "\n", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		literal, err := quote(text)
		if err != nil {
			return
		}
		if got, ok := unquote(literal); !ok || got != text {
			t.Errorf("%q became %s, which reads as %q", text, literal, got)
		}
	})
}

// Settings travel to the machine inside a JSON document.
func TestSettingsSurviveTheDocument(t *testing.T) {
	settings := map[string]map[string]any{"": {"default_orgname": "x"}, "nginx": {"keepalive_timeout": 30, "gzip": "off", "list": []any{1, "a", false}}}
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]map[string]any
	if err := json.Unmarshal(text, &decoded); err != nil {
		t.Fatal(err)
	}
	for i, s := range users(settings) {
		want, err := s.line()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := users(decoded)[i].line(); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}
