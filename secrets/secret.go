// Package secrets makes, keeps and hands out a cluster's secrets: the bundle that an operator owns, and the part of it
// that each machine may hold.
package secrets

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
)

// Redacted is what a Secret shows to everything but Reveal.
const Redacted = "[redacted]"

// Secret is a value that prints, formats, logs and marshals as Redacted. Reveal is the only way to its value, so a search
// for Reveal finds every place where a secret leaves the type. Compare with Equal; == does not compile.
//
// The value lies in a closure because fmt, and the programs that print differences of values, read the unexported fields
// of a struct without asking their methods: of a function they see an address.
type Secret struct{ reveal func() string }

// New wraps a value.
func New(value string) Secret { return Secret{func() string { return value }} }

// Reveal returns the value itself.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero tells whether there is no value.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Equal compares values, in a time that does not tell where they differ.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String redacts.
func (s Secret) String() string { return Redacted }

// Format redacts under every verb, %#v and %x among them.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// MarshalText redacts for every encoder that honours it, YAML's and JSON's map keys among them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON redacts.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(Redacted) }

// MarshalYAML redacts.
func (s Secret) MarshalYAML() (any, error) { return Redacted, nil }

// LogValue redacts.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }
