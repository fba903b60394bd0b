package cluster

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// smallest is a spec with nothing in it that could be left out.
const smallest = `apiVersion: cincbake/v1
kind: Cluster
name: small
platform: onprem
network: {prefix: 10.20.0.0/24}
postgres: {nodes: [10.20.0.31, 10.20.0.32], disk: /dev/vdb}
heartbeat: 10.20.0.33
`

func TestLoadFailsOnTheFileItself(t *testing.T) {
	var problems Problems
	_, err := Load(filepath.Join(t.TempDir(), "cluster.yaml"))
	if !errors.Is(err, fs.ErrNotExist) || errors.As(err, &problems) || !strings.Contains(err.Error(), "cincbake init") {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Load(t.TempDir()); err == nil || errors.As(err, &problems) {
		t.Errorf("a folder: %v", err)
	}
}

func TestLoadReportsUnderTheNameItWasGiven(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("prod.yaml", []byte(strings.Replace(smallest, "small", "Small", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load("prod.yaml")
	if err == nil || !strings.HasPrefix(err.Error(), "prod.yaml:3:7: name: ") {
		t.Errorf("got %v", err)
	}
}

func TestParseTakesWhatEditorsWrite(t *testing.T) {
	for name, text := range map[string]string{
		"byte order mark":  "\ufeff" + smallest,
		"carriage returns": strings.ReplaceAll(smallest, "\n", "\r\n"),
		"document markers": "---\n" + smallest + "...\n",
		"no last line end": strings.TrimSuffix(smallest, "\n"),
		"quotes":           strings.Replace(smallest, "10.20.0.33", `"10.20.0.33"`, 1),
		"JSON":             `{"apiVersion":"cincbake/v1","kind":"Cluster","name":"small","platform":"onprem","network":{"prefix":"10.20.0.0/24"},"postgres":{"nodes":["10.20.0.31","10.20.0.32"],"disk":"/dev/vdb"},"heartbeat":"10.20.0.33"}`,
	} {
		if _, err := Parse("cluster.yaml", []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestColumnsCountCharacters(t *testing.T) {
	problems := parseBroken(t, "cluster.yaml", []byte(smallest+"access: {ssh: [\"ä€😀\", x]}\n"))
	want := []position{{8, 16}, {8, 23}}
	var got []position
	for _, p := range problems {
		got = append(got, position{p.Line, p.Column})
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(position{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestProblemsAsJSON(t *testing.T) {
	_, err := Parse("cluster.yaml", []byte(strings.Replace(smallest, "10.20.0.33", "10.20.1.33", 1)))
	got, marshalErr := json.Marshal(err)
	if marshalErr != nil {
		t.Fatal(marshalErr)
	}
	const want = `[{"file":"cluster.yaml","line":7,"column":12,"path":"heartbeat","rule":"address-in-network",` +
		`"message":"10.20.1.33 is outside network.prefix, 10.20.0.0/24","remedy":"use an address in it"}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestSecretsAreNotRepeated plants every kind of private key as every value, as a key and in a comment, and expects a
// refusal that holds nothing of it.
func TestSecretsAreNotRepeated(t *testing.T) {
	const payload = "PLANTED7PAYLOAD"
	example, err := Example(SelfHosted, OnPrem)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(example, "\n")
	for _, secret := range []string{
		"-----BEGIN PRIVATE KEY-----" + payload,
		"-----BEGIN OPENSSH PRIVATE KEY-----" + payload,
		"-----BEGIN PGP PRIVATE KEY BLOCK-----" + payload,
		"b3BlbnNzaC1rZXktdjE" + payload,
		"PuTTY-User-Key-File-3: " + payload,
		"AGE-SECRET-KEY-1" + payload,
		"age-secret-key-1" + payload,
	} {
		for i, line := range lines {
			key, _, isKey := strings.Cut(line, ":")
			for _, planted := range []string{
				key + `: "` + secret + "\"\n",
				key + ": [\"" + secret + "\"]\n",
				key + ": {\"" + secret + "\": 1}\n",
				strings.TrimSuffix(line, "\n") + " # " + secret + "\n",
				line + "'" + secret + "': 1\n",
				line + secret + "\n",
			} {
				if !isKey || strings.HasPrefix(strings.TrimSpace(line), "#") {
					continue
				}
				text := strings.Join(lines[:i], "") + planted + strings.Join(lines[i+1:], "")
				problems := parseBroken(t, "cluster.yaml", []byte(text))
				refused := false
				for _, p := range problems {
					refused = refused || p.Rule == ruleNoSecrets
				}
				if !refused {
					t.Errorf("not refused: %q", planted)
				}
				if strings.Contains(problems.Error(), payload) {
					t.Errorf("%q is repeated:\n%v", planted, problems)
				}
			}
		}
	}
}

func TestSecretSpeltWithEscapes(t *testing.T) {
	text := strings.Replace(smallest, "name: small", `name: "AGE-SECRET\x2dKEY-1NOT"`, 1)
	problems := parseBroken(t, "cluster.yaml", []byte(text))
	if len(problems) != 1 || problems[0].Rule != ruleNoSecrets || problems[0].Path != "name" {
		t.Errorf("got %v", problems)
	}
}

// TestHostileFiles: what a stranger may send ends in a report. FuzzParse looks for more of them, but not for large ones.
func TestHostileFiles(t *testing.T) {
	repeat := func(s string) string { return strings.Repeat(s, maxBytes/len(s)) }
	for name, text := range map[string]string{
		"deep lists":         repeat("["),
		"deep mappings":      repeat("{a: "),
		"deep items":         repeat("- "),
		"deep keys":          repeat("? "),
		"wide list":          "postgres: {nodes: [" + strings.Repeat("1,", 30000) + "]}",
		"documents":          repeat("---\n"),
		"one key, often":     repeat("name: x\n"),
		"anchors":            "a: [" + strings.Repeat("&a x,", 13000) + "]",
		"aliases":            "a: &a x\nb: [" + strings.Repeat("*a,", 20000) + "]",
		"long, then no YAML": "[\n" + strings.Repeat("a,\n", 20000), // too long to search for the line
	} {
		t.Run(name, func(t *testing.T) { _ = parseBroken(t, "cluster.yaml", []byte(text)) })
	}
}

func TestNearest(t *testing.T) {
	known := []string{"prefix", "gateway", "dns", "ntp", "interface"}
	for word, want := range map[string]string{
		"prefx":                          "prefix", // a letter lost
		"perfix":                         "prefix", // two swapped
		"Gateway":                        "gateway",
		"gate-wayy":                      "gateway", // two slips in a long word
		"dsn":                            "dns",
		"dnss":                           "dns",
		"tnp":                            "ntp",
		"vip":                            "",
		"dxs1":                           "", // two slips in a short word
		"":                               "",
		strings.Repeat("interface", 100): "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
