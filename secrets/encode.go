package secrets

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The formats of the two files that hold revealed secrets. A file is written in the first format that has all that is in
// it: one of a cluster that is a database and nothing else is the same as before there were other tiers, so that agents
// in older images read it.
const (
	formatDatabase = 1 // certificates and the database's passwords
	formatTiers    = 2 // the other tiers, a CA that is being replaced, age recipients
)

// The files' shapes. Secret redacts itself in JSON, so what is revealed is revealed here and in field.go.
type (
	bundleFile struct {
		Format     int                 `json:"format"`
		Cluster    string              `json:"cluster"`
		Recipients []string            `json:"recipients,omitempty"`
		CA         pairFile            `json:"ca"`
		NextCA     *pairFile           `json:"nextCA,omitempty"`
		PreviousCA string              `json:"previousCA,omitempty"`
		Operator   pairFile            `json:"operator"`
		Nodes      map[string]pairFile `json:"nodes"`
		Postgres   *postgresFile       `json:"postgres,omitempty"`
		tiersFile
	}
	scopedFile struct {
		Format   int           `json:"format"`
		Cluster  string        `json:"cluster"`
		Node     string        `json:"node"`
		CA       string        `json:"ca"`
		Leaf     pairFile      `json:"leaf"`
		Postgres *postgresFile `json:"postgres,omitempty"`
		tiersFile
	}
	// tiersFile is what formatTiers has of the tiers.
	tiersFile struct {
		Cinc       *cincFile       `json:"cinc,omitempty"`
		OpenSearch *openSearchFile `json:"openSearch,omitempty"`
		Front      *pairFile       `json:"front,omitempty"`
		Backup     *backupFile     `json:"backup,omitempty"`
	}
	pairFile struct {
		Certificate string `json:"certificate"`
		Key         string `json:"key"`
	}
)

func tiersOf(c *Cinc, o *OpenSearch, front *KeyPair, b *Backup) tiersFile {
	return tiersFile{(*cincFile)(c), (*openSearchFile)(o), revealOptional(front), (*backupFile)(b)}
}

// whole tells whether no tier lacks a value.
func (t tiersFile) whole() bool {
	return (t.Cinc == nil || (*Cinc)(t.Cinc).fields().whole()) &&
		(t.OpenSearch == nil || (*OpenSearch)(t.OpenSearch).fields().whole()) &&
		(t.Front == nil || t.Front.hide().whole()) &&
		(t.Backup == nil || (*Backup)(t.Backup).whole())
}

// Encode returns the machine's secrets file: JSON with the values revealed, the same bytes for the same secrets.
func (s Scoped) Encode() ([]byte, error) {
	file := scopedFile{
		Format: formatDatabase, Cluster: s.Cluster, Node: s.Node, CA: s.CA, Leaf: revealPair(s.Leaf),
		Postgres: (*postgresFile)(s.Postgres), tiersFile: tiersOf(s.Cinc, s.OpenSearch, s.Front, s.Backup),
	}
	if file.tiersFile != (tiersFile{}) {
		file.Format = formatTiers
	}
	return encode(file)
}

// DecodeScoped reads what Encode wrote. An unknown field or format is refused: it would be a secret that nobody uses.
func DecodeScoped(data []byte) (Scoped, error) {
	var file scopedFile
	format, err := decode(data, &file)
	if err != nil {
		return Scoped{}, fmt.Errorf("secrets of a machine: %w", err)
	}
	if format == formatDatabase && file.tiersFile != (tiersFile{}) {
		return Scoped{}, fmt.Errorf("secrets of a machine: format %d has no such tiers", format)
	}
	s := Scoped{
		Cluster: file.Cluster, Node: file.Node, CA: file.CA, Leaf: file.Leaf.hide(), Postgres: (*Postgres)(file.Postgres),
		Cinc: (*Cinc)(file.Cinc), OpenSearch: (*OpenSearch)(file.OpenSearch), Front: file.Front.hideOptional(), Backup: (*Backup)(file.Backup),
	}
	if s.Cluster == "" || s.Node == "" || s.CA == "" || !s.Leaf.whole() || (s.Postgres != nil && !s.Postgres.fields().whole()) || !file.whole() {
		return Scoped{}, errors.New("secrets of a machine: a value is missing: render the machine's seed again")
	}
	return s, nil
}

// Digest identifies an encoded secrets file: "sha256:" and 64 hexadecimal digits.
func Digest(encoded []byte) string {
	sum := sha256.Sum256(encoded)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func encode(file any) ([]byte, error) {
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode secrets: %w", err)
	}
	return append(text, '\n'), nil
}

// decode reads one JSON value of a known format into file, and nothing else.
func decode(data []byte, file any) (format int, err error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return 0, quiet(err, data)
	}
	if head.Format < formatDatabase || head.Format > formatTiers {
		return 0, fmt.Errorf("format %d, but this cincbake reads format %d and %d: use the release that wrote it", head.Format, formatDatabase, formatTiers)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(file); err != nil {
		return 0, quiet(err, data)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return 0, errors.New("something follows the end of the JSON object")
	}
	return head.Format, nil
}

// quiet words a JSON error without the value that it is about, which may be a secret.
func quiet(err error, data []byte) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType) && wrongType.Offset == 0: // from inside a group, which does not know where it stands
		return fmt.Errorf("wrong type of value at %q", wrongType.Field)
	case errors.As(err, &wrongType):
		return fmt.Errorf("line %d: wrong type of value at %q", line(data, wrongType.Offset), wrongType.Field)
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: not JSON", line(data, syntax.Offset))
	default:
		return err
	}
}

func line(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n"))
}

func revealPair(p KeyPair) pairFile { return pairFile{p.Certificate, p.Key.Reveal()} }

func (p pairFile) hide() KeyPair { return KeyPair{p.Certificate, New(p.Key)} }

func (p KeyPair) whole() bool { return p.Certificate != "" && !p.Key.IsZero() }

func revealOptional(p *KeyPair) *pairFile {
	if p == nil {
		return nil
	}
	file := revealPair(*p)
	return &file
}

func (p *pairFile) hideOptional() *KeyPair {
	if p == nil {
		return nil
	}
	pair := p.hide()
	return &pair
}

// whole : a bucket's key has two halves.
func (b *Backup) whole() bool {
	return b.fields().whole() && b.S3KeyID.IsZero() == b.S3KeySecret.IsZero()
}
