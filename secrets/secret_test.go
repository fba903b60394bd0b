package secrets

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

const marker = "FAKE-MARKER-7f3a"

// holders are the shapes in which a secret travels. fmt reaches into unexported fields without asking their methods.
type hidden struct{ secret Secret }

func holders() map[string]any {
	s := New(marker)
	return map[string]any{
		"itself":     s,
		"pointer":    &s,
		"slice":      []Secret{s},
		"map":        map[string]Secret{"k": s},
		"key pair":   KeyPair{Certificate: "public", Key: s},
		"scoped":     Scoped{Leaf: KeyPair{Key: s}, Postgres: &Postgres{Superuser: s, RestAPI: s}},
		"bundle":     &Bundle{CA: KeyPair{Key: s}, Nodes: map[string]KeyPair{"postgres-1": {Key: s}}, Postgres: &Postgres{Owner: s}},
		"unexported": hidden{s},
		"deeper":     &struct{ inner []hidden }{[]hidden{{s}}},
	}
}

func TestSecretShowsItselfToNobody(t *testing.T) {
	outputs := map[string]func(any) string{
		"json": func(v any) string { out, _ := json.Marshal(v); return string(out) },
		"yaml": func(v any) string { out, _ := yaml.Marshal(v); return string(out) },
		"slog text": func(v any) string {
			var out bytes.Buffer
			slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
			return out.String()
		},
		"slog json": func(v any) string {
			var out bytes.Buffer
			slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
			return out.String()
		},
		"error": func(v any) string { return fmt.Errorf("wrapped: %v", v).Error() },
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%e", "%c", "%U", "%p", "%T", "%20s", "%.3s"} {
		outputs[verb] = func(v any) string { return fmt.Sprintf(verb, v) }
	}
	raw := []string{marker, fmt.Sprintf("%x", marker), fmt.Sprintf("%X", marker), fmt.Sprintf("% x", marker), fmt.Sprintf("%d", []byte(marker))}
	for output, print := range outputs {
		for holder, value := range holders() {
			shown := print(value)
			for _, form := range raw {
				if strings.Contains(shown, form) {
					t.Errorf("%s of %s shows the secret: %s", output, holder, shown)
				}
			}
		}
	}
}

func TestSecretRedactsRatherThanVanishes(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, New(marker)); got != Redacted {
			t.Errorf("%s: got %q, want %q", verb, got, Redacted)
		}
	}
	out, err := json.Marshal(struct{ Password Secret }{New(marker)})
	if want := `{"Password":"[redacted]"}`; err != nil || string(out) != want {
		t.Errorf("json: got %s, %v, want %s", out, err, want)
	}
}

func TestSecretEqual(t *testing.T) {
	if !New("a").Equal(New("a")) || New("a").Equal(New("b")) || !(Secret{}).Equal(New("")) {
		t.Error("Equal does not compare values")
	}
	if !(Secret{}).IsZero() || !New("").IsZero() || New("a").IsZero() {
		t.Error("IsZero does not tell whether there is a value")
	}
	if diff := cmp.Diff(New(marker), New("b")); diff == "" || strings.Contains(diff, marker) {
		t.Errorf("a difference of secrets must be seen, but not what they are: %q", diff)
	}
}
