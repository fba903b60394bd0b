package secrets

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Online tells whether a running machine takes a new value of the secret over from its operator. What it does not take, it
// learns when it is replaced.
func Online(name string) bool {
	row, ok := RotationOf(name)
	return ok && row.Online
}

// Succeed tells whether a machine that runs with s, at this address, may go on with next: the same machine of the same
// cluster, with a certificate that everybody accepts who trusts what s trusts, while those whose certificates come from
// s's CA are accepted too. So no delivery cuts a machine off from those that have not had theirs yet.
func (s Scoped) Succeed(next Scoped, address netip.Addr, now time.Time) error {
	if next.Cluster != s.Cluster || next.Node != s.Node {
		return fmt.Errorf("these are the secrets of %s of cluster %s", next.Node, next.Cluster)
	}
	pair, err := next.Leaf.paired()
	if err != nil {
		return fmt.Errorf("certificate and key: %w", err)
	}
	identity, err := IdentityOf(pair.Leaf)
	if err != nil {
		return err
	}
	if wanted := (Identity{Cluster: s.Cluster, Node: s.Node}); identity != wanted {
		return fmt.Errorf("the certificate speaks for %s, not for %s", identity, wanted)
	}
	if address.IsValid() {
		if err := pair.Leaf.VerifyHostname(address.String()); err != nil {
			return err
		}
	}
	if err := signedBy(s.CA, pair.Leaf, now); err != nil {
		return fmt.Errorf("the machines do not trust who signed the new certificate: %w", err)
	}
	if err := signedBy(next.CA, pair.Leaf, now); err != nil {
		return fmt.Errorf("the new CA is not who signed the new certificate: %w", err)
	}
	present, err := s.Leaf.X509()
	if err != nil {
		return err
	}
	// At a time when it was good: one that has ended is what a new one is for.
	if err := signedBy(next.CA, present, present.NotBefore); err != nil {
		return fmt.Errorf("the machines' present certificates would not be trusted any more: %w", err)
	}
	if next.Front != nil {
		if _, err := next.Front.paired(); err != nil {
			return fmt.Errorf("certificate and key that clients see: %w", err)
		}
	}
	return nil
}

// signedBy verifies a certificate against the CAs, for whatever use.
func signedBy(authorities string, certificate *x509.Certificate, at time.Time) error {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(authorities)) {
		return errors.New("the CA is not a PEM certificate")
	}
	_, err := certificate.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// Changed names what differs in next, as Items does.
func (s Scoped) Changed(next Scoped) []string {
	var names []string
	add := func(differs bool, name string) {
		if differs {
			names = append(names, name)
		}
	}
	add(!sameAuthorities(s.CA, next.CA), "ca.certificate")
	add(!samePair(&s.Leaf, &next.Leaf), "nodes."+s.Node+".certificate")
	add(!samePair(s.Front, next.Front), "front.certificate")
	for _, g := range []struct {
		section   string
		have, get group
	}{
		{"postgres", fieldsOf(s.Postgres, (*Postgres).fields), fieldsOf(next.Postgres, (*Postgres).fields)},
		{"cinc", fieldsOf(s.Cinc, (*Cinc).fields), fieldsOf(next.Cinc, (*Cinc).fields)},
		{"openSearch", fieldsOf(s.OpenSearch, (*OpenSearch).fields), fieldsOf(next.OpenSearch, (*OpenSearch).fields)},
		{"backup", fieldsOf(s.Backup, (*Backup).fields), fieldsOf(next.Backup, (*Backup).fields)},
	} {
		for i, f := range g.have {
			add(f.value() != g.get[i].value(), g.section+"."+f.name)
		}
	}
	return names
}

// fieldsOf returns a group's fields; those of a group that is not there are empty.
func fieldsOf[T any](values *T, fields func(*T) group) group {
	if values == nil {
		values = new(T)
	}
	return fields(values)
}

func samePair(a, b *KeyPair) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Certificate == b.Certificate && a.Key.Equal(b.Key)
}

// sameAuthorities compares without their order: which CA signs is no news to who trusts both.
func sameAuthorities(a, b string) bool { return slices.Equal(authorities(a), authorities(b)) }

func authorities(text string) []string {
	var found []string
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			slices.Sort(found)
			return found
		}
		found = append(found, string(block.Bytes))
	}
}

// ClusterID tells clusters of one name apart whose secrets were made anew. It is the same for all machines of a cluster and stays
// through every rotation; empty for secrets from before there was one.
func (s Scoped) ClusterID() (string, error) {
	for _, der := range authorities(s.CA) {
		ca, err := x509.ParseCertificate([]byte(der))
		if err != nil {
			return "", fmt.Errorf("CA: %w", err)
		}
		if id := ca.Subject.SerialNumber; id != "" {
			return id, nil
		}
	}
	return "", nil
}

// LastingDigest identifies the part of the machine's secrets that what is on data disks and in backups depends on. It stays
// when certificates are renewed, or logins to somewhere else.
func (s Scoped) LastingDigest() (string, error) {
	s.CA, s.Leaf, s.Front = "", KeyPair{}, nil
	s.Postgres, s.Backup = lasting(s.Postgres, s.Backup)
	encoded, err := s.Encode()
	return Digest(encoded), err
}

// LastingDigest is the same for the whole cluster: two bundles that share it open the same backup.
func (b *Bundle) LastingDigest() (string, error) {
	kept := Bundle{Cluster: b.Cluster, Cinc: b.Cinc, OpenSearch: b.OpenSearch}
	kept.Postgres, kept.Backup = lasting(b.Postgres, b.Backup)
	encoded, err := kept.Encode()
	return Digest(encoded), err
}

func lasting(p *Postgres, b *Backup) (*Postgres, *Backup) {
	p, b = clone(p), clone(b)
	if p != nil {
		p.RestAPI = Secret{}
	}
	if b != nil {
		*b = Backup{Cipher: b.Cipher}
	}
	return p, b
}
