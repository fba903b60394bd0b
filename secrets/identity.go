package secrets

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
)

// Identity is who a certificate of a cluster's CA speaks for: one of its nodes, or its operator. It travels as a URI in
// the certificate, cincbake://CLUSTER/node/NAME or cincbake://CLUSTER/operator.
type Identity struct {
	Cluster  string
	Node     string // the node's name; empty for the operator
	Operator bool
}

const identityScheme = "cincbake"

// IdentityOf reads the identity from a certificate, which the caller has verified against the cluster's CA: anyone can
// write any URI into a certificate of their own.
func IdentityOf(certificate *x509.Certificate) (Identity, error) {
	var found []Identity
	for _, uri := range certificate.URIs {
		if uri.Scheme != identityScheme {
			continue
		}
		identity, err := parseIdentity(uri)
		if err != nil {
			return Identity{}, err
		}
		found = append(found, identity)
	}
	if len(found) != 1 {
		return Identity{}, fmt.Errorf("certificate %q names %d cincbake identities, expected 1", certificate.Subject.CommonName, len(found))
	}
	return found[0], nil
}

// String returns the URI.
func (i Identity) String() string { return i.uri().String() }

func (i Identity) uri() *url.URL {
	path := "/operator"
	if !i.Operator {
		path = "/node/" + i.Node
	}
	return &url.URL{Scheme: identityScheme, Host: i.Cluster, Path: path}
}

// parseIdentity accepts exactly what uri writes, so that no two spellings mean one identity.
func parseIdentity(uri *url.URL) (Identity, error) {
	identity := Identity{Cluster: uri.Host, Operator: uri.Path == "/operator"}
	if !identity.Operator {
		identity.Node = strings.TrimPrefix(uri.Path, "/node/")
	}
	if identity.Cluster == "" || (!identity.Operator && identity.Node == "") || identity.String() != uri.String() {
		return Identity{}, fmt.Errorf("%q is not the identity of a node or an operator", uri)
	}
	return identity, nil
}
