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

// The formats of the two files that hold revealed secrets: the one this release writes is the one it reads.
const (
	bundleFormat = 1
	scopedFormat = 1
)

// The files' shapes. Secret redacts itself in JSON, so what is revealed is revealed here, field by field.
type (
	bundleFile struct {
		Format   int                 `json:"format"`
		Cluster  string              `json:"cluster"`
		CA       pairFile            `json:"ca"`
		Operator pairFile            `json:"operator"`
		Nodes    map[string]pairFile `json:"nodes"`
		Postgres postgresFile        `json:"postgres"`
	}
	scopedFile struct {
		Format   int           `json:"format"`
		Cluster  string        `json:"cluster"`
		Node     string        `json:"node"`
		CA       string        `json:"ca"`
		Leaf     pairFile      `json:"leaf"`
		Postgres *postgresFile `json:"postgres,omitempty"`
	}
	pairFile struct {
		Certificate string `json:"certificate"`
		Key         string `json:"key"`
	}
	postgresFile struct {
		Superuser   string `json:"superuser"`
		Replication string `json:"replication"`
		Rewind      string `json:"rewind"`
		Owner       string `json:"owner"`
		RestAPI     string `json:"restAPI"`
	}
)

// Encode returns the machine's secrets file: JSON with the values revealed, the same bytes for the same secrets.
func (s Scoped) Encode() ([]byte, error) {
	file := scopedFile{Format: scopedFormat, Cluster: s.Cluster, Node: s.Node, CA: s.CA, Leaf: revealPair(s.Leaf)}
	if s.Postgres != nil {
		revealed := revealPostgres(*s.Postgres)
		file.Postgres = &revealed
	}
	return encode(file)
}

// DecodeScoped reads what Encode wrote. An unknown field or format is refused: it would be a secret that nobody uses.
func DecodeScoped(data []byte) (Scoped, error) {
	var file scopedFile
	if err := decode(data, scopedFormat, &file); err != nil {
		return Scoped{}, fmt.Errorf("secrets of a machine: %w", err)
	}
	s := Scoped{Cluster: file.Cluster, Node: file.Node, CA: file.CA, Leaf: file.Leaf.hide()}
	if file.Postgres != nil {
		hidden := file.Postgres.hide()
		s.Postgres = &hidden
	}
	if s.Cluster == "" || s.Node == "" || s.CA == "" || !s.Leaf.whole() || (s.Postgres != nil && !s.Postgres.whole()) {
		return Scoped{}, errors.New("secrets of a machine: a value is missing: render the machine's seed again")
	}
	return s, nil
}

// Digest identifies an encoded secrets file: "sha256:" and 64 hexadecimal digits.
func Digest(encoded []byte) string {
	sum := sha256.Sum256(encoded)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (b *Bundle) encode() ([]byte, error) {
	file := bundleFile{
		Format:   bundleFormat,
		Cluster:  b.Cluster,
		CA:       revealPair(b.CA),
		Operator: revealPair(b.Operator),
		Nodes:    make(map[string]pairFile, len(b.Nodes)),
		Postgres: revealPostgres(b.Postgres),
	}
	for name, pair := range b.Nodes {
		file.Nodes[name] = revealPair(pair)
	}
	return encode(file)
}

// decodeBundle also proves that every key belongs to its certificate, and every certificate to the CA and to its owner:
// a file damaged by hand is found out here, not by a machine that cannot join.
func decodeBundle(data []byte) (*Bundle, error) {
	var file bundleFile
	if err := decode(data, bundleFormat, &file); err != nil {
		return nil, err
	}
	b := &Bundle{
		Cluster:  file.Cluster,
		CA:       file.CA.hide(),
		Operator: file.Operator.hide(),
		Nodes:    make(map[string]KeyPair, len(file.Nodes)),
		Postgres: file.Postgres.hide(),
	}
	if b.Cluster == "" || !b.Postgres.whole() {
		return nil, errors.New("the cluster's name or a password is missing")
	}
	ca, err := b.authority()
	if err != nil {
		return nil, err
	}
	if err := ca.vouches(b.Operator, Identity{Cluster: b.Cluster, Operator: true}); err != nil {
		return nil, fmt.Errorf("%s: %w", operatorName, err)
	}
	for name, pair := range file.Nodes {
		b.Nodes[name] = pair.hide()
		if err := ca.vouches(b.Nodes[name], Identity{Cluster: b.Cluster, Node: name}); err != nil {
			return nil, fmt.Errorf("node %s: %w", name, err)
		}
	}
	return b, nil
}

// vouches tells whether the CA signed the pair for its owner.
func (a *authority) vouches(pair KeyPair, owner Identity) error {
	parsed, err := pair.paired()
	if err != nil {
		return err
	}
	if err := parsed.Leaf.CheckSignatureFrom(a.certificate); err != nil {
		return fmt.Errorf("certificate is not from this bundle's CA: %w", err)
	}
	identity, err := IdentityOf(parsed.Leaf)
	if err != nil {
		return err
	}
	if identity != owner {
		return fmt.Errorf("certificate speaks for %s, expected %s", identity, owner)
	}
	return nil
}

func encode(file any) ([]byte, error) {
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode secrets: %w", err)
	}
	return append(text, '\n'), nil
}

// decode reads one JSON value of the expected format into file, and nothing else.
func decode(data []byte, expected int, file any) error {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return quiet(err, data)
	}
	if head.Format != expected {
		return fmt.Errorf("format %d, but this cincbake reads format %d: use the release that wrote it", head.Format, expected)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(file); err != nil {
		return quiet(err, data)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the end of the JSON object")
	}
	return nil
}

// quiet words a JSON error without the value that it is about, which may be a secret.
func quiet(err error, data []byte) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
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

func revealPostgres(p Postgres) postgresFile {
	return postgresFile{
		Superuser:   p.Superuser.Reveal(),
		Replication: p.Replication.Reveal(),
		Rewind:      p.Rewind.Reveal(),
		Owner:       p.Owner.Reveal(),
		RestAPI:     p.RestAPI.Reveal(),
	}
}

func (p postgresFile) hide() Postgres {
	return Postgres{
		Superuser:   New(p.Superuser),
		Replication: New(p.Replication),
		Rewind:      New(p.Rewind),
		Owner:       New(p.Owner),
		RestAPI:     New(p.RestAPI),
	}
}

func (p Postgres) whole() bool {
	return !p.Superuser.IsZero() && !p.Replication.IsZero() && !p.Rewind.IsZero() && !p.Owner.IsZero() && !p.RestAPI.IsZero()
}
