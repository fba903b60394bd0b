package secrets

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// field is one value of a group of secrets, under the name that it has in files and on the command line.
type field struct {
	name   string
	secret *Secret
	public *string       // instead of secret: the public half of a key
	draw   func() Secret // how a new value is drawn; nil: it comes from elsewhere
	// optional marks a value that a cluster may do without.
	optional bool
}

func (f field) value() string {
	if f.public != nil {
		return *f.public
	}
	return f.secret.Reveal()
}

func (f field) set(value string) {
	if f.public != nil {
		*f.public = value
		return
	}
	*f.secret = New(value)
}

// group is what belongs together and is written as one object. The one table of its fields serves drawing, encoding,
// decoding and listing, so no field can be forgotten in one of them.
type group []field

// whole tells whether nothing is missing.
func (g group) whole() bool {
	for _, f := range g {
		if f.value() == "" && !f.optional {
			return false
		}
	}
	return true
}

// fill draws what is missing and can be drawn.
func (g group) fill() (drawn bool) {
	for _, f := range g {
		if f.draw != nil && f.secret.IsZero() {
			*f.secret = f.draw()
			drawn = true
		}
	}
	return drawn
}

// reveal writes the group as a JSON object, in the order of its table.
func (g group) reveal() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for _, f := range g {
		if f.optional && f.value() == "" {
			continue
		}
		value, err := json.Marshal(f.value())
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", f.name, err)
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%q:%s", f.name, value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// hide reads what reveal wrote. A name that is not in the table is refused.
func (g group) hide(data []byte) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(data, &values); err != nil {
		return err
	}
	for _, f := range g {
		raw, ok := values[f.name]
		if !ok {
			continue
		}
		delete(values, f.name)
		var value string
		if err := json.Unmarshal(raw, &value); err != nil {
			return &json.UnmarshalTypeError{Field: f.name}
		}
		f.set(value)
	}
	if len(values) > 0 {
		return fmt.Errorf("json: unknown field %q", slices.Min(slices.Collect(maps.Keys(values))))
	}
	return nil
}

// The groups' forms in files: Secret redacts itself in JSON, so what is revealed is revealed here.
type (
	postgresFile   Postgres
	cincFile       Cinc
	openSearchFile OpenSearch
	backupFile     Backup
)

func (p *postgresFile) MarshalJSON() ([]byte, error)   { return (*Postgres)(p).fields().reveal() }
func (c *cincFile) MarshalJSON() ([]byte, error)       { return (*Cinc)(c).fields().reveal() }
func (o *openSearchFile) MarshalJSON() ([]byte, error) { return (*OpenSearch)(o).fields().reveal() }
func (b *backupFile) MarshalJSON() ([]byte, error)     { return (*Backup)(b).fields().reveal() }

func (p *postgresFile) UnmarshalJSON(data []byte) error { return (*Postgres)(p).fields().hide(data) }
func (c *cincFile) UnmarshalJSON(data []byte) error     { return (*Cinc)(c).fields().hide(data) }
func (o *openSearchFile) UnmarshalJSON(data []byte) error {
	return (*OpenSearch)(o).fields().hide(data)
}
func (b *backupFile) UnmarshalJSON(data []byte) error { return (*Backup)(b).fields().hide(data) }
