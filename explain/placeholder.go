package explain

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
)

// placeholders are secrets of the right shape and no worth: what a machine would hold, each value a token that stands for
// the secret's name. Tokens are letters and digits, so that no file has to quote or encode them.
type placeholders struct {
	secrets.Scoped
	tokens []token
}

type token struct {
	text   string
	name   string
	secret bool // false: a certificate or a public key
}

func (t token) String() string {
	if t.secret {
		return "[redacted: " + t.name + "]"
	}
	return "[" + t.name + "]"
}

// newPlaceholders asks the bundle's own scoping which secrets a machine holds, and fills in tokens. Another salt gives other
// tokens.
func newPlaceholders(r *cluster.Resolved, node cluster.Node, salt string) (placeholders, error) {
	var names []string
	for _, n := range append(slices.Clone(r.Nodes), node) {
		names = append(names, n.Name, string(n.Role))
	}
	bundle := &secrets.Bundle{}
	fill(reflect.ValueOf(bundle).Elem(), names)
	bundle.Cluster = r.Name
	scoped, err := bundle.Scope(node)
	if err != nil {
		return placeholders{}, err
	}
	withoutUnused(&scoped, r)
	p := placeholders{Scoped: scoped}
	p.replace(reflect.ValueOf(&p.Scoped).Elem(), nil, salt)
	p.Cluster, p.Node = scoped.Cluster, scoped.Node
	return p, nil
}

// withoutUnused takes away what this cluster's bundle would not have.
func withoutUnused(scoped *secrets.Scoped, r *cluster.Resolved) {
	switch {
	case scoped.Backup == nil:
		return
	case r.Backup == nil:
		scoped.Backup = nil
		return
	}
	// On AWS the instance's own role opens the bucket.
	if r.Backup.S3 == nil || r.Platform == cluster.AWS {
		scoped.Backup.S3KeyID, scoped.Backup.S3KeySecret = secrets.Secret{}, secrets.Secret{}
	}
	if r.Backup.SFTP == nil {
		scoped.Backup.SFTPKey = secrets.Secret{}
	}
}

var secretType = reflect.TypeFor[secrets.Secret]()

// fill gives every field of a bundle a value; maps get one for each name.
func fill(v reflect.Value, names []string) {
	switch {
	case v.Type() == secretType:
		v.Set(reflect.ValueOf(secrets.New("placeholder")))
	case v.Kind() == reflect.String:
		v.SetString("placeholder")
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), names)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), names)
			}
		}
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, name := range names {
			value := reflect.New(v.Type().Elem()).Elem()
			fill(value, names)
			v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), value)
		}
	}
}

// replace puts a token in the place of every value that is there.
func (p *placeholders) replace(v reflect.Value, path []string, salt string) {
	switch {
	case v.Type() == secretType:
		if held, ok := v.Interface().(secrets.Secret); ok && !held.IsZero() {
			v.Set(reflect.ValueOf(secrets.New(p.token(path, true, salt))))
		}
	case v.Kind() == reflect.String:
		if v.String() != "" && len(path) > 0 {
			v.SetString(p.token(path, false, salt))
		}
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem()) // the bundle's own stays as it is
			fresh.Elem().Set(v.Elem())
			v.Set(fresh)
			p.replace(fresh.Elem(), path, salt)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			p.replace(v.Field(i), append(slices.Clone(path), v.Type().Field(i).Name), salt)
		}
	}
}

// token makes a value up. The first letters are the same in every world, so that a file which keeps only those shows a word.
func (p *placeholders) token(path []string, secret bool, salt string) string {
	sum := sha256.Sum256([]byte(salt + strings.Join(path, ".")))
	t := token{text: "redacted" + hex.EncodeToString(sum[:12]), name: say(path), secret: secret}
	if !secret && !strings.Contains(strings.ToLower(t.name), "certificate") && !strings.Contains(strings.ToLower(t.name), "public") {
		t.name += " certificate"
	}
	p.tokens = append(p.tokens, t)
	return t.text
}

// names lists the secrets, in the order of the type.
func (p placeholders) names() []string {
	names := []string{}
	for _, t := range p.tokens {
		if t.secret {
			names = append(names, t.name)
		}
	}
	return names
}

// say makes words of field names: Postgres.RestAPI is "postgres rest API".
func say(path []string) string {
	var said []string
	for _, name := range path {
		if known, ok := map[string]string{"Leaf": "machine", "OpenSearch": "OpenSearch", "Front": "client-facing"}[name]; ok {
			said = append(said, known)
			continue
		}
		for _, w := range wordsOf(acronyms.Replace(name)) {
			if len(w) > 1 && strings.ToUpper(w) == w {
				said = append(said, w)
			} else {
				said = append(said, strings.ToLower(w))
			}
		}
	}
	return strings.Join(said, " ")
}

// acronyms that run into each other are no capitals any more.
var acronyms = strings.NewReplacer("OCIDSQLRO", "OCIDSqlReadOnly", "OCIDSQL", "OCIDSql", "SQLRO", "SqlReadOnly", "SQL", "Sql")

// wordsOf splits a name before each capital that begins a word.
func wordsOf(name string) []string {
	var words []string
	start := 0
	upper := func(i int) bool { return i < len(name) && unicode.IsUpper(rune(name[i])) }
	lower := func(i int) bool { return i < len(name) && unicode.IsLower(rune(name[i])) }
	for i := 1; i < len(name); i++ {
		if upper(i) && (!upper(i-1) || lower(i+1)) {
			words = append(words, name[start:i])
			start = i
		}
	}
	return append(words, name[start:])
}

// madeFrom stands for a value that a secret went into, like a hash.
const madeFrom = "[redacted: made from a secret]"

// word is the smallest piece of a line that a value can be: hashes and encodings are words.
var word = regexp.MustCompile(`[A-Za-z0-9+/=_$.-]+`)

// redact names the tokens in a text. What differs from the same text in a world of other tokens, and is none itself, was made
// from a secret: a hash, a digest, an encoding.
func (p placeholders) redact(text, otherText string, other placeholders) string {
	text, otherText = p.named(text), other.named(otherText)
	if text == otherText {
		return text
	}
	lines, others := strings.SplitAfter(text, "\n"), strings.SplitAfter(otherText, "\n")
	if len(lines) != len(others) {
		return madeFrom + "\n"
	}
	for i := range lines {
		if lines[i] != others[i] {
			lines[i] = redactLine(lines[i], others[i])
		}
	}
	return strings.Join(lines, "")
}

func redactLine(line, other string) string {
	words := word.FindAllString(line, -1)
	others := word.FindAllString(other, -1)
	if len(words) != len(others) {
		return strings.Repeat(" ", len(line)-len(strings.TrimLeft(line, " "))) + madeFrom + "\n"
	}
	i := -1
	return word.ReplaceAllStringFunc(line, func(w string) string {
		if i++; w != others[i] {
			return madeFrom
		}
		return w
	})
}

func (p placeholders) named(text string) string {
	for _, t := range p.tokens {
		text = strings.ReplaceAll(text, t.text, t.String())
	}
	return text
}

// shown is a placeholder in an explained file.
var shown = regexp.MustCompile(`\[(?:redacted: [^\]\n]+|[A-Za-z0-9 -]*(?:certificate|public)[A-Za-z0-9 -]*)\]`)

// Placeholder returns where the first placeholder in a text begins and ends; -1 where there is none.
func Placeholder(text string) (start, end int) {
	at := shown.FindStringIndex(text)
	if at == nil {
		return -1, -1
	}
	return at[0], at[1]
}
