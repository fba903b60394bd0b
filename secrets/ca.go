package secrets

import (
	"fmt"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// CAStage is how far one CA has replaced the other. A machine trusts what its seed told it, so a new CA must be trusted
// everywhere before it signs anything, and the old one may go only when nothing that it signed is in use: three steps,
// with all machines given theirs, one at a time, after each of the first two.
type CAStage string

// The stages of a CA's replacement.
const (
	CASteady     CAStage = "steady"     // one CA
	CAIntroduced CAStage = "introduced" // machines learn to trust the next CA; the old one signs
	CASwitched   CAStage = "switched"   // the new CA signs; machines still trust the previous one
)

// CAStage returns where the bundle stands.
func (b *Bundle) CAStage() CAStage {
	switch {
	case b.NextCA != nil:
		return CAIntroduced
	case b.PreviousCA != "":
		return CASwitched
	}
	return CASteady
}

// next says what an operator does at a stage that is not the last.
func (s CAStage) next() string {
	const proceed = "have every machine take its part over with cincbake secrets rotate --apply (or replace it with its new seed), then run cincbake secrets rotate ca --continue"
	switch s {
	case CAIntroduced:
		return "give clients that trust the CA the next one as well (cincbake secrets show --reveal nextCA.certificate), " + proceed
	case CASwitched:
		return proceed
	case CASteady:
	}
	return ""
}

// RotateCA takes the next step of replacing the CA and returns what is to be done before the step after it, nothing after
// the last. What it did is not to be saved when it fails. Going on with
// a replacement that is under way must be said, since nothing here can know whether the machines were replaced: going on
// too soon cuts the cluster apart.
func (b *Bundle) RotateCA(r *cluster.Resolved, proceed bool, now time.Time) (next string, err error) {
	if err := b.belongsTo(r); err != nil {
		return "", err
	}
	stage := b.CAStage()
	switch {
	case stage != CASteady && !proceed:
		return "", exit.Errorf(exit.Unsafe, "the CA is being replaced already: %s", stage.next())
	case stage == CASteady && proceed:
		return "", exit.Errorf(exit.Invalid, "no replacement of the CA is under way: leave out --continue to begin one")
	case stage == CASteady:
		present, err := b.CA.X509()
		if err != nil {
			return "", err
		}
		ca, err := newAuthority(b.Cluster, present.Subject.SerialNumber, now)
		if err != nil {
			return "", err
		}
		if err := b.resignMachines(r, now); err != nil {
			return "", err
		}
		b.NextCA = &ca
	case stage == CAIntroduced:
		if err := b.switchCA(r, now); err != nil {
			return "", err
		}
	case stage == CASwitched:
		if err := b.retireCA(r, now); err != nil {
			return "", err
		}
	}
	return b.CAStage().next(), nil
}

// switchCA makes the next CA the one that signs, and has it sign everything anew.
func (b *Bundle) switchCA(r *cluster.Resolved, now time.Time) error {
	renew := append(b.leaves(r), operatorName) // before the switch: which CA signed what clients see matters
	b.PreviousCA, b.CA, b.NextCA = b.CA.Certificate, *b.NextCA, nil
	for _, name := range renew {
		if err := b.resign(r, name, now); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// resignMachines has the CA sign every machine's certificate anew. Programs look at their CAs again when their certificate
// is another one: Patroni's REST API goes by its serial number.
func (b *Bundle) resignMachines(r *cluster.Resolved, now time.Time) error {
	for _, node := range machines(r) {
		if err := b.resign(r, "nodes."+node.Name, now); err != nil {
			return fmt.Errorf("%s: %w", node.Name, err)
		}
	}
	return nil
}

// retireCA forgets the previous CA, and with it what only that one signed: certificates of nodes that left before the
// switch, and of a domain that the cluster no longer has.
func (b *Bundle) retireCA(r *cluster.Resolved, now time.Time) error {
	ownFront := b.Front != nil && !b.importedFront()
	b.PreviousCA = ""
	if ownFront && b.importedFront() {
		b.Front = nil
	}
	for name, pair := range b.Nodes {
		if certificate, err := pair.X509(); err != nil || !b.signed(certificate) {
			delete(b.Nodes, name)
		}
	}
	if err := b.Check(r, now); err != nil {
		return fmt.Errorf("the previous CA is still needed: %w", err)
	}
	return b.resignMachines(r, now)
}
