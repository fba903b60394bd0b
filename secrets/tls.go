package secrets

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ServerTLS returns the configuration of the node's own servers: they speak to the cluster's nodes and its operator,
// and to nobody else. Who dials is IdentityOf the connection's first peer certificate.
func (s Scoped) ServerTLS() (*tls.Config, error) {
	config, pool, err := mutual(s.CA, s.Leaf)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", s.Node, err)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.ClientCAs = pool
	config.VerifyConnection = expect(s.Cluster, func(Identity) bool { return true })
	return config, nil
}

// ClientTLS returns the configuration with which the node dials others of its cluster. The one that answers must be a
// node, and hold a certificate for the address that was dialed.
func (s Scoped) ClientTLS() (*tls.Config, error) {
	config, err := dialing(s.Cluster, s.CA, s.Leaf)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", s.Node, err)
	}
	return config, nil
}

// OperatorTLS returns the configuration with which an operator dials the nodes' agents.
func (b *Bundle) OperatorTLS() (*tls.Config, error) {
	config, err := dialing(b.Cluster, b.Trusted(), b.Operator)
	if err != nil {
		return nil, fmt.Errorf("certificate of the operator: %w", err)
	}
	return config, nil
}

func dialing(cluster, ca string, own KeyPair) (*tls.Config, error) {
	config, pool, err := mutual(ca, own)
	if err != nil {
		return nil, err
	}
	config.RootCAs = pool
	config.VerifyConnection = expect(cluster, func(peer Identity) bool { return !peer.Operator })
	return config, nil
}

func mutual(ca string, own KeyPair) (*tls.Config, *x509.CertPool, error) {
	pair, err := own.paired()
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(ca)) {
		return nil, nil, errors.New("the CA is not a PEM certificate")
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}, pool, nil
}

// expect runs after the chain and the address were verified, on resumed connections too.
func expect(cluster string, admitted func(Identity) bool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		peer, err := IdentityOf(state.PeerCertificates[0])
		if err != nil {
			return err
		}
		if peer.Cluster != cluster || !admitted(peer) {
			return fmt.Errorf("%s has no part in this connection of cluster %s", peer, cluster)
		}
		return nil
	}
}

// paired returns the certificate with its key, and fails when they do not belong together. Its errors hold no part of the key.
func (p KeyPair) paired() (tls.Certificate, error) {
	return tls.X509KeyPair([]byte(p.Certificate), []byte(p.Key.Reveal()))
}
