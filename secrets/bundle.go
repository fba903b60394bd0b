package secrets

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// Bundle is every secret of a cluster. It belongs to the operator: machines get their Scope of it. It holds what the
// cluster's tiers need; what belongs to a tier that the cluster does not have is nil.
type Bundle struct {
	Cluster string
	CA      KeyPair // signs
	// NextCA and PreviousCA are the other CA while one replaces the other: machines trust both. See RotateCA.
	NextCA     *KeyPair
	PreviousCA string             // its certificate, PEM: it signs no more
	Operator   KeyPair            // dials the agents; see Scoped.ServerTLS
	Nodes      map[string]KeyPair // a leaf per node, by the node's name
	Postgres   *Postgres
	Cinc       *Cinc
	OpenSearch *OpenSearch
	Front      *KeyPair // what clients see: the user's own chain, or a leaf of the CA
	Backup     *Backup
	// Recipients are the age recipients that the bundle's file is encrypted to; none: the file is plain.
	Recipients []string
}

// remedy is what mends a bundle that lacks something.
const remedy = "run cincbake secrets init again, it adds what is missing and keeps everything else"

// NewBundle makes the secrets of a cluster with nothing but a CA in them.
func NewBundle(r *cluster.Resolved, now time.Time) (*Bundle, error) {
	ca, err := newAuthority(r.Name, rand.Text(), now)
	if err != nil {
		return nil, err
	}
	return &Bundle{Cluster: r.Name, CA: ca, Nodes: map[string]KeyPair{}}, nil
}

// Generate makes the secrets of a cluster: new ones, every time. What only the operator has (see Imports) it cannot make.
func Generate(r *cluster.Resolved, now time.Time) (*Bundle, error) {
	b, err := NewBundle(r, now)
	if err != nil {
		return nil, err
	}
	if _, err := b.AddMissing(r, now); err != nil {
		return nil, err
	}
	return b, nil
}

// AddMissing makes what the cluster needs and the bundle lacks: secrets of its tiers, and a certificate wherever one is
// missing, names something else, or ends within RenewBefore. It keeps everything else, certificates of nodes that left
// the cluster included, and returns what it made, in words.
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
	if added, err = b.addSecrets(r); err != nil {
		return added, err
	}
	for _, node := range machines(r) {
		if nodeProblem(b.Nodes[node.Name], node, now.Add(RenewBefore)) == "" {
			continue
		}
		if b.Nodes[node.Name], err = ca.node(node, now); err != nil {
			return added, err
		}
		added = append(added, "a certificate for "+node.Name)
	}
	if needsFront(r) && !b.importedFront() && frontProblem(b.Front, r.Domain, now.Add(RenewBefore)) != "" {
		front, err := ca.front(r.Domain, now)
		if err != nil {
			return added, err
		}
		b.Front = &front
		added = append(added, "a certificate for "+r.Domain)
	}
	if certificateProblem(b.Operator, now.Add(RenewBefore)) != "" {
		if b.Operator, err = ca.operator(now); err != nil {
			return added, err
		}
		added = append(added, "a certificate for the "+operatorName)
	}
	return added, nil
}

// addSecrets makes what the cluster's tiers need besides certificates.
func (b *Bundle) addSecrets(r *cluster.Resolved) (added []string, err error) {
	if needsPostgres(r) {
		if b.Postgres == nil {
			b.Postgres = &Postgres{}
		}
		if b.Postgres.fields().fill() {
			added = append(added, "the database's passwords")
		}
	}
	if needsOpenSearch(r) {
		made, err := b.addOpenSearch()
		if err != nil {
			return added, err
		}
		if made {
			added = append(added, "the search cluster's passwords")
		}
	}
	if needsCinc(r) {
		made, err := b.addCinc()
		if err != nil {
			return added, err
		}
		if b.addLogins(r) || made {
			added = append(added, "Cinc Server's secrets")
		}
	}
	if r.Backup != nil {
		if b.Backup == nil {
			b.Backup = &Backup{}
		}
		if b.Backup.fields().fill() {
			added = append(added, "the backup's passphrase")
		}
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
	report := func(what, problem, remedy string) {
		if problem != "" {
			problems = append(problems, fmt.Errorf("%s %s: %s", what, problem, remedy))
		}
	}
	for _, node := range machines(r) {
		report(node.Name, nodeProblem(b.Nodes[node.Name], node, now), remedy)
	}
	if needsFront(r) {
		mend := remedy
		if b.importedFront() {
			mend = "put a new one where tls points, and run cincbake secrets init"
		}
		report(r.Domain, frontProblem(b.Front, r.Domain, now), mend)
	}
	report(operatorName, certificateProblem(b.Operator, now), remedy)
	for _, lack := range b.lacking(r) {
		report(lack, "missing", remedy)
	}
	for _, i := range b.Unmet(r) {
		report(i.What, "missing", i.Remedy())
	}
	return exit.As(exit.Missing, errors.Join(problems...))
}

// lacking names the groups of secrets that the cluster needs and the bundle has not got, or has only in part.
func (b *Bundle) lacking(r *cluster.Resolved) []string {
	var lack []string
	if needsPostgres(r) && (b.Postgres == nil || !b.Postgres.fields().whole()) {
		lack = append(lack, "the database's passwords")
	}
	if needsOpenSearch(r) && (b.OpenSearch == nil || !b.OpenSearch.fields().whole()) {
		lack = append(lack, "the search cluster's passwords")
	}
	if needsCinc(r) && !b.cincIsWhole(r) {
		lack = append(lack, "Cinc Server's secrets")
	}
	if r.Backup != nil && (b.Backup == nil || b.Backup.Cipher.IsZero()) {
		lack = append(lack, "the backup's passphrase")
	}
	return lack
}

// Warnings tells what will be a problem one day and is none yet, each with its remedy.
func (b *Bundle) Warnings(r *cluster.Resolved, now time.Time) []string {
	var warnings []string
	soon := func(what string, pair KeyPair, before time.Duration, remedy string) {
		certificate, err := pair.X509()
		if err == nil && !now.After(certificate.NotAfter) && now.Add(before).After(certificate.NotAfter) {
			warnings = append(warnings, fmt.Sprintf("%s has a certificate that ends on %s: %s", what, date(certificate.NotAfter), remedy))
		}
	}
	const renew = "run cincbake secrets init, then replace the machine"
	for _, node := range machines(r) {
		soon(node.Name, b.Nodes[node.Name], RenewBefore, renew)
	}
	if needsFront(r) && b.Front != nil {
		mend := "run cincbake secrets init, then replace the API nodes"
		if b.importedFront() {
			mend = "put a new one where tls points, run cincbake secrets init, then replace the API nodes"
		}
		soon(r.Domain, *b.Front, RenewBefore, mend)
	}
	soon(operatorName, b.Operator, RenewBefore, "run cincbake secrets init")
	soon("the CA", b.CA, CARenewBefore, "run cincbake secrets rotate ca; no certificate outlives it")
	if stage := b.CAStage(); stage != CASteady {
		warnings = append(warnings, "the CA is being replaced: "+stage.next())
	}
	if len(slices.Compact(slices.Sorted(slices.Values(b.Recipients)))) == 1 {
		warnings = append(warnings, "the file is encrypted to one recipient, and is lost with that one's identity: list a second one under secrets.recipients, and run cincbake secrets init")
	}
	return warnings
}

const operatorName = "operator"

// section returns the fields of one of the bundle's groups, none where the bundle does not have it.
func (b *Bundle) section(name string) group {
	switch {
	case name == "postgres" && b.Postgres != nil:
		return b.Postgres.fields()
	case name == "cinc" && b.Cinc != nil:
		return b.Cinc.fields()
	case name == "openSearch" && b.OpenSearch != nil:
		return b.OpenSearch.fields()
	case name == "backup" && b.Backup != nil:
		return b.Backup.fields()
	}
	return nil
}

func (b *Bundle) belongsTo(r *cluster.Resolved) error {
	if b.Cluster != r.Name {
		return exit.Errorf(exit.Invalid, "these are the secrets of cluster %s, not of %s: name the right file under secrets.file", b.Cluster, r.Name)
	}
	return nil
}

// machines lists every machine that may be launched without new secrets: those of the cluster, and the rest of its pool.
func machines(r *cluster.Resolved) []cluster.Node {
	nodes := slices.Clone(r.Nodes)
	if r.API == nil || len(r.NodesOf(cluster.RoleStandalone)) > 0 {
		return nodes
	}
	for slot := range r.API.Pool {
		node, err := r.PoolNode(slot + 1)
		if err != nil || slices.ContainsFunc(nodes, func(n cluster.Node) bool { return n.Name == node.Name }) {
			continue
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// What the tiers of a cluster need.
func needsPostgres(r *cluster.Resolved) bool   { return len(r.NodesOf(cluster.RolePostgres)) > 0 }
func needsOpenSearch(r *cluster.Resolved) bool { return len(r.NodesOf(cluster.RoleOpenSearch)) > 0 }
func needsCinc(r *cluster.Resolved) bool {
	return len(r.NodesOf(cluster.RoleAPI, cluster.RoleStandalone)) > 0
}
func needsFront(r *cluster.Resolved) bool { return needsCinc(r) && r.Domain != "" }
