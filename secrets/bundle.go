package secrets

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// Bundle is every secret of a cluster. It belongs to the operator: machines get their Scope of it.
type Bundle struct {
	Cluster  string
	CA       KeyPair
	Operator KeyPair            // dials the agents; see Scoped.ServerTLS
	Nodes    map[string]KeyPair // a leaf per node, by the node's name
	Postgres Postgres
}

// remedy is what mends a bundle that lacks something.
const remedy = "run cincbake secrets init again, it adds what is missing and keeps everything else"

// Generate makes the secrets of a cluster: new ones, every time.
func Generate(r *cluster.Resolved, now time.Time) (*Bundle, error) {
	ca, err := newAuthority(r.Name, now)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Cluster: r.Name, CA: ca, Nodes: map[string]KeyPair{}, Postgres: newPostgres()}
	if _, err := b.AddMissing(r, now); err != nil {
		return nil, err
	}
	return b, nil
}

// AddMissing makes a certificate for every node whose own is missing, names another address, or ends within RenewBefore;
// likewise for the operator. It keeps everything else, certificates of nodes that left the cluster included, and returns
// what it made: names of nodes in the cluster's order, then "operator".
func (b *Bundle) AddMissing(r *cluster.Resolved, now time.Time) (added []string, err error) {
	if err := b.belongsTo(r); err != nil {
		return nil, err
	}
	ca, err := b.authority()
	if err != nil {
		return nil, err
	}
	if now.After(ca.certificate.NotAfter) {
		return nil, exit.Errorf(exit.Missing, "the CA of cluster %s ended on %s: move its secrets away and make new ones", b.Cluster, date(ca.certificate.NotAfter))
	}
	for _, node := range r.Nodes {
		if problem := nodeProblem(b.Nodes[node.Name], node, now.Add(RenewBefore)); problem == "" {
			continue
		}
		if b.Nodes[node.Name], err = ca.node(node, now); err != nil {
			return added, err
		}
		added = append(added, node.Name)
	}
	if certificateProblem(b.Operator, now.Add(RenewBefore)) != "" {
		if b.Operator, err = ca.operator(now); err != nil {
			return added, err
		}
		added = append(added, operatorName)
	}
	return added, nil
}

// Check tells whether every machine of the cluster can be given secrets that work now: all problems at once, each with
// its remedy.
func (b *Bundle) Check(r *cluster.Resolved, now time.Time) error {
	if err := b.belongsTo(r); err != nil {
		return err
	}
	var problems []error
	for _, node := range r.Nodes {
		if problem := nodeProblem(b.Nodes[node.Name], node, now); problem != "" {
			problems = append(problems, fmt.Errorf("%s %s: %s", node.Name, problem, remedy))
		}
	}
	if problem := certificateProblem(b.Operator, now); problem != "" {
		problems = append(problems, fmt.Errorf("%s %s: %s", operatorName, problem, remedy))
	}
	return exit.As(exit.Missing, errors.Join(problems...))
}

// Expiry is a certificate that ends soon, or has ended.
type Expiry struct {
	Name string // a node's name, "operator" or "CA"
	Ends time.Time
}

const (
	operatorName = "operator"
	caName       = "CA"
)

// Expiring lists the certificates that end within RenewBefore, by name.
func (b *Bundle) Expiring(now time.Time) []Expiry {
	pairs := maps.Clone(b.Nodes)
	pairs[operatorName] = b.Operator
	pairs[caName] = b.CA
	var expiring []Expiry
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		certificate, err := pairs[name].X509()
		if err == nil && now.Add(RenewBefore).After(certificate.NotAfter) {
			expiring = append(expiring, Expiry{name, certificate.NotAfter})
		}
	}
	return expiring
}

func (b *Bundle) belongsTo(r *cluster.Resolved) error {
	if b.Cluster != r.Name {
		return exit.Errorf(exit.Invalid, "these are the secrets of cluster %s, not of %s: name the right file under secrets.file", b.Cluster, r.Name)
	}
	return nil
}

// nodeProblem says why a pair does not serve the node at that time; empty when it does.
func nodeProblem(pair KeyPair, node cluster.Node, at time.Time) string {
	if problem := certificateProblem(pair, at); problem != "" {
		return problem
	}
	certificate, err := pair.X509()
	if err == nil {
		err = certificate.VerifyHostname(node.Address.String())
	}
	if err != nil {
		return fmt.Sprintf("has a certificate for another address than %s", node.Address)
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
