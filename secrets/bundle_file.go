package secrets

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Encode returns the bundle's file: JSON with every value revealed, the same bytes for the same secrets. Who keeps it
// where, and encrypted or not, is the package store's business.
func (b *Bundle) Encode() ([]byte, error) {
	file := bundleFile{
		Format:     formatDatabase,
		Cluster:    b.Cluster,
		Recipients: b.Recipients,
		CA:         revealPair(b.CA),
		NextCA:     revealOptional(b.NextCA),
		PreviousCA: b.PreviousCA,
		Operator:   revealPair(b.Operator),
		Nodes:      make(map[string]pairFile, len(b.Nodes)),
		Postgres:   (*postgresFile)(b.Postgres),
		tiersFile:  tiersOf(b.Cinc, b.OpenSearch, b.Front, b.Backup),
	}
	for name, pair := range b.Nodes {
		file.Nodes[name] = revealPair(pair)
	}
	if file.needsTiers() {
		file.Format = formatTiers
	}
	return encode(file)
}

// needsTiers tells whether formatDatabase is not enough.
func (f bundleFile) needsTiers() bool {
	return len(f.Recipients) > 0 || f.NextCA != nil || f.PreviousCA != "" || f.Postgres == nil || f.tiersFile != (tiersFile{})
}

// DecodeBundle reads what Encode wrote. It also proves that every key belongs to its certificate, and every certificate to
// the CA and to its owner: a file damaged by hand is found out here, not by a machine that cannot join.
func DecodeBundle(data []byte) (*Bundle, error) {
	var file bundleFile
	format, err := decode(data, &file)
	if err != nil {
		return nil, err
	}
	b := &Bundle{
		Cluster:    file.Cluster,
		Recipients: file.Recipients,
		CA:         file.CA.hide(),
		NextCA:     file.NextCA.hideOptional(),
		PreviousCA: file.PreviousCA,
		Operator:   file.Operator.hide(),
		Nodes:      make(map[string]KeyPair, len(file.Nodes)),
		Postgres:   (*Postgres)(file.Postgres),
		Cinc:       (*Cinc)(file.Cinc),
		OpenSearch: (*OpenSearch)(file.OpenSearch),
		Front:      file.Front.hideOptional(),
		Backup:     (*Backup)(file.Backup),
	}
	for name, pair := range file.Nodes {
		b.Nodes[name] = pair.hide()
	}
	switch {
	case b.Cluster == "" || (b.Postgres != nil && !b.Postgres.fields().whole()):
		return nil, errors.New("the cluster's name or a password is missing")
	case format == formatDatabase && file.needsTiers():
		return nil, fmt.Errorf("format %d has the database's passwords and no other tier's", formatDatabase)
	case !file.whole():
		return nil, errors.New("a secret of Cinc Server, of the search cluster or of the backup is missing")
	}
	if len(b.Recipients) == 0 {
		b.Recipients = nil
	}
	return b, b.prove()
}

// prove checks all that can be checked without knowing the cluster.
func (b *Bundle) prove() error {
	ca, err := b.authority()
	if err != nil {
		return err
	}
	if !ca.certificate.IsCA {
		return errors.New("CA: the certificate is no CA's")
	}
	if err := b.proveOtherCA(); err != nil {
		return err
	}
	if err := b.vouches(b.Operator, Identity{Cluster: b.Cluster, Operator: true}); err != nil {
		return fmt.Errorf("%s: %w", operatorName, err)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Nodes)) {
		if err := b.vouches(b.Nodes[name], Identity{Cluster: b.Cluster, Node: name}); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
	}
	if b.Front != nil {
		if _, err := b.Front.paired(); err != nil {
			return fmt.Errorf("front: %w", err)
		}
	}
	if b.Cinc != nil {
		if err := b.Cinc.Superuser.check(); err != nil {
			return fmt.Errorf("cinc.superuserKey: %w", err)
		}
		if err := b.Cinc.WebUI.check(); err != nil {
			return fmt.Errorf("cinc.webuiKey: %w", err)
		}
	}
	return nil
}

func (b *Bundle) proveOtherCA() error {
	switch {
	case b.NextCA != nil && b.PreviousCA != "":
		return errors.New("both a next and a previous CA: only one may be being replaced")
	case b.NextCA != nil:
		pair, err := b.NextCA.paired()
		if err != nil {
			return fmt.Errorf("next CA: %w", err)
		}
		if !pair.Leaf.IsCA {
			return errors.New("next CA: the certificate is no CA's")
		}
	case b.PreviousCA != "":
		if _, err := (KeyPair{Certificate: b.PreviousCA}).X509(); err != nil {
			return fmt.Errorf("previous CA: %w", err)
		}
	}
	return nil
}

// vouches tells whether a CA of the bundle signed the pair for its owner.
func (b *Bundle) vouches(pair KeyPair, owner Identity) error {
	parsed, err := pair.paired()
	if err != nil {
		return err
	}
	if !b.signed(parsed.Leaf) {
		return errors.New("certificate is not from this bundle's CA")
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
