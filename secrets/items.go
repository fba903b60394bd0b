package secrets

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kind is what an Item is.
type Kind string

// The kinds of items.
const (
	KindCertificate Kind = "certificate" // no secret
	KindKey         Kind = "key"
	KindPublicKey   Kind = "public key" // no secret
	KindPassword    Kind = "password"   // whatever is one word, hashes among them
)

// Item is one thing that a bundle holds, under the name that it has in the bundle's file.
type Item struct {
	Name  string
	Kind  Kind
	Value Secret
	// Ends is when a certificate ends; zero for what lasts until it is rotated.
	Ends time.Time
	// Fingerprint tells two values apart without showing either: of a certificate the usual SHA-256, of a secret that was
	// drawn here the first digits of its own. Nobody can guess what was drawn; a password that somebody chose could be
	// guessed from a fingerprint, so what can be imported has none.
	Fingerprint string
}

// Items lists everything in the bundle, in the order of its file.
func (b *Bundle) Items() []Item {
	var l itemList
	l.pair("ca", b.CA, false)
	if b.NextCA != nil {
		l.pair("nextCA", *b.NextCA, false)
	}
	if b.PreviousCA != "" {
		l.certificate("previousCA.certificate", b.PreviousCA)
	}
	l.pair("operator", b.Operator, false)
	for _, name := range slices.Sorted(maps.Keys(b.Nodes)) {
		l.pair("nodes."+name, b.Nodes[name], false)
	}
	for _, section := range []string{"postgres", "cinc", "openSearch"} {
		l.group(section, b.section(section))
	}
	if b.Front != nil {
		l.pair("front", *b.Front, b.importedFront())
	}
	l.group("backup", b.section("backup"))
	return l
}

type itemList []Item

func (l *itemList) certificate(name, text string) {
	item := Item{Name: name, Kind: KindCertificate, Value: New(text)}
	if certificate, err := (KeyPair{Certificate: text}).X509(); err == nil {
		item.Ends = certificate.NotAfter
		sum := sha256.Sum256(certificate.Raw)
		item.Fingerprint = "sha256:" + hex.EncodeToString(sum[:])
	}
	*l = append(*l, item)
}

func (l *itemList) pair(name string, pair KeyPair, imported bool) {
	l.certificate(name+".certificate", pair.Certificate)
	*l = append(*l, Item{Name: name + ".key", Kind: KindKey, Value: pair.Key, Fingerprint: fingerprint(pair.Key, imported)})
}

func (l *itemList) group(section string, g group) {
	for _, f := range g {
		if f.value() == "" {
			continue
		}
		item := Item{Name: section + "." + f.name, Kind: KindPassword, Value: New(f.value())}
		switch {
		case f.public != nil:
			item.Kind = KindPublicKey
		case strings.HasPrefix(f.value(), "-----BEGIN "):
			item.Kind = KindKey
		}
		chosen := slices.ContainsFunc(Importables(), func(i Importable) bool { return i.Name == item.Name })
		item.Fingerprint = fingerprint(item.Value, chosen)
		*l = append(*l, item)
	}
}

func fingerprint(value Secret, imported bool) string {
	if imported {
		return ""
	}
	sum := sha256.Sum256([]byte(value.Reveal()))
	return "sha256:" + hex.EncodeToString(sum[:6])
}
