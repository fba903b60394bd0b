package secrets

import (
	"fmt"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// nodeProblem says why a pair does not serve the node at that time; empty when it does.
func nodeProblem(pair KeyPair, node cluster.Node, at time.Time) string {
	if problem := certificateProblem(pair, at); problem != "" {
		return problem
	}
	name := node.Name
	if node.Address.IsValid() {
		name = node.Address.String()
	}
	certificate, err := pair.X509()
	if err == nil {
		err = certificate.VerifyHostname(name)
	}
	if err != nil {
		return fmt.Sprintf("has a certificate for another address than %s", name)
	}
	return ""
}

// frontProblem says why a pair does not serve the domain at that time; empty when it does.
func frontProblem(pair *KeyPair, domain string, at time.Time) string {
	if pair == nil {
		return certificateProblem(KeyPair{}, at)
	}
	if problem := certificateProblem(*pair, at); problem != "" {
		return problem
	}
	certificate, err := pair.X509()
	if err == nil {
		err = certificate.VerifyHostname(domain)
	}
	if err != nil {
		return "has a certificate for another name"
	}
	return ""
}

func certificateProblem(pair KeyPair, at time.Time) string {
	if pair.Certificate == "" {
		return "has no certificate"
	}
	certificate, err := pair.X509()
	switch {
	case err != nil:
		return fmt.Sprintf("has a broken certificate (%v)", err)
	case at.After(certificate.NotAfter):
		return "has a certificate that ended on " + date(certificate.NotAfter)
	default:
		return ""
	}
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }
