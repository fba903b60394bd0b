package secrets

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// Rotated is what a rotation did, and what it leaves to do.
type Rotated struct {
	Replaced []string // names of secrets, without .certificate and .key
	Then     []string // what is to be done now, in words
	Left     []string // what passwords leaves alone, since it would cost an outage or cannot be replaced
}

// Rotate replaces the secrets that words name: leaves, operator, passwords, or a secret by its name. Nothing is replaced
// unless everything can be. What costs an outage is replaced only when that is allowed. For the CA there is RotateCA.
func (b *Bundle) Rotate(r *cluster.Resolved, words []string, allowOutage bool, now time.Time) (Rotated, error) {
	if err := b.belongsTo(r); err != nil {
		return Rotated{}, err
	}
	var (
		done     Rotated
		targets  []string
		problems []error
	)
	for _, word := range words {
		switch word {
		case WordLeaves:
			targets = append(targets, b.leaves(r)...)
		case WordPasswords:
			chosen, left := b.passwords(r, allowOutage)
			targets, done.Left = append(targets, chosen...), left
		case WordCA:
			problems = append(problems, exit.Errorf(exit.Invalid, "ca: is replaced alone, in steps of its own"))
		default:
			name, err := b.rotatable(r, word, allowOutage)
			problems = append(problems, err)
			targets = append(targets, name)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return Rotated{}, err
	}
	for _, name := range targets {
		if slices.Contains(done.Replaced, name) {
			continue
		}
		if err := b.replace(r, name, now); err != nil {
			return Rotated{}, fmt.Errorf("%s: %w", name, err)
		}
		done.Replaced = append(done.Replaced, name)
		row, _ := RotationOf(itemOf(name))
		if !slices.Contains(done.Then, row.How) {
			done.Then = append(done.Then, row.How)
		}
	}
	if b.Cinc != nil {
		b.addLogins(r)
	}
	return done, nil
}

// RotateOnline is Rotate for what running machines take over at once, without an outage: of passwords it chooses these and
// leaves the others, and another secret is refused by name.
func (b *Bundle) RotateOnline(r *cluster.Resolved, words []string, now time.Time) (Rotated, error) {
	var (
		online, left []string
		problems     []error
	)
	for _, word := range words {
		if word == WordPasswords {
			chosen, _ := b.passwords(r, true)
			for _, name := range chosen {
				if Online(name) {
					online = append(online, name)
				} else {
					left = append(left, name)
				}
			}
			continue
		}
		name, _ := strings.CutSuffix(word, ".key")
		row, ok := RotationOf(itemOf(name))
		if ok && !row.Online && row.Word != WordOperator && row.Cost != CostNever {
			problems = append(problems, exit.Errorf(exit.Unsafe, "%s: a running machine does not take it over: rotate it without --apply, and then: %s", word, row.How))
			continue
		}
		online = append(online, word)
	}
	if err := errors.Join(problems...); err != nil {
		return Rotated{}, err
	}
	done, err := b.Rotate(r, online, false, now)
	done.Left = append(done.Left, left...)
	return done, err
}

// isPair tells whether a target stands for a certificate and its key.
func isPair(name string) bool {
	return name == operatorName || name == "front" || strings.HasPrefix(name, "nodes.")
}

// itemOf returns the name that a target has among Items.
func itemOf(target string) string {
	if isPair(target) {
		return target + ".certificate"
	}
	return target
}

func (b *Bundle) leaves(r *cluster.Resolved) []string {
	var names []string
	for _, node := range machines(r) {
		names = append(names, "nodes."+node.Name)
	}
	if b.Front != nil && !b.importedFront() && needsFront(r) {
		names = append(names, "front")
	}
	return names
}

// passwords chooses what can be replaced among all that is no certificate.
func (b *Bundle) passwords(r *cluster.Resolved, allowOutage bool) (chosen, left []string) {
	for _, item := range b.Items() {
		if item.Kind == KindCertificate || item.Kind == KindPublicKey || strings.HasSuffix(item.Name, ".key") || b.follows(r, item.Name) != "" {
			continue
		}
		if _, err := b.rotatable(r, item.Name, allowOutage); err != nil {
			left = append(left, item.Name)
			continue
		}
		chosen = append(chosen, item.Name)
	}
	return chosen, left
}

// follows returns the secret that another is made from or is a copy of; empty where it stands for itself.
func (b *Bundle) follows(r *cluster.Resolved, name string) string {
	switch name {
	case "openSearch.adminHash":
		return "openSearch.admin"
	case "openSearch.cincHash":
		return "openSearch.cinc"
	case "cinc.superuserPublicKey":
		return "cinc.superuserKey"
	case "cinc.webuiPublicKey":
		return "cinc.webuiKey"
	}
	if b.Cinc != nil {
		for _, l := range b.logins(r) {
			if l.name == name && l.tier != nil && !l.external {
				return l.source
			}
		}
	}
	return ""
}

// rotatable tells whether the secret that a word names can be replaced, and returns its name as a target.
func (b *Bundle) rotatable(r *cluster.Resolved, word string, allowOutage bool) (string, error) {
	name := word
	for _, half := range []string{".certificate", ".key"} {
		if whole, ok := strings.CutSuffix(word, half); ok && isPair(whole) {
			name = whole
		}
	}
	if !slices.ContainsFunc(b.Items(), func(i Item) bool { return i.Name == itemOf(name) }) {
		return "", exit.Errorf(exit.Invalid, "%s: no such secret; cincbake secrets show lists them", word)
	}
	if source := b.follows(r, name); source != "" {
		return "", exit.Errorf(exit.Invalid, "%s: it follows %s, rotate that", word, source)
	}
	for _, i := range Importables() {
		if i.Name == name && i.wanted(r) {
			return "", exit.Errorf(exit.Unsafe, "%s: it is not drawn here: %s", word, i.Remedy())
		}
	}
	if name == "front" && b.importedFront() {
		return "", exit.Errorf(exit.Unsafe, "front: it is your own: put the new one where tls points, and run cincbake secrets init")
	}
	if node, ok := strings.CutPrefix(name, "nodes."); ok && !slices.ContainsFunc(machines(r), func(n cluster.Node) bool { return n.Name == node }) {
		return "", exit.Errorf(exit.Invalid, "%s: cluster %s has no such machine any more", word, r.Name)
	}
	row, ok := RotationOf(itemOf(name))
	switch {
	case !ok || row.Word == WordCA:
		return "", exit.Errorf(exit.Invalid, "%s: it is part of the CA, which is replaced with cincbake secrets rotate ca", word)
	case row.Cost == CostNever:
		return "", exit.Errorf(exit.Unsafe, "%s cannot be rotated: %s", word, row.How)
	case row.Cost == CostOutage && !allowOutage:
		return "", exit.Errorf(exit.Unsafe, "%s cannot be rotated without an outage: %s. If that is what you want, add --allow-outage", word, row.How)
	}
	return name, nil
}

// replace makes one secret anew.
func (b *Bundle) replace(r *cluster.Resolved, name string, now time.Time) (err error) {
	if isPair(name) {
		return b.resign(r, name, now)
	}
	switch name {
	case "cinc.webuiKey":
		b.Cinc.WebUI, err = newRSA()
		return err
	case "cinc.databaseOwner", "cinc.search": // of a server whose database and search are inside
		*b.importTo(name) = newPassword()
		return nil
	case "openSearch.admin":
		b.OpenSearch.Admin, b.OpenSearch.AdminHash = newPassword(), Secret{}
		_, err = b.addOpenSearch()
		return err
	case "openSearch.cinc":
		b.OpenSearch.Cinc, b.OpenSearch.CincHash = newPassword(), Secret{}
		_, err = b.addOpenSearch()
		return err
	}
	section, field, _ := strings.Cut(name, ".")
	for _, f := range b.section(section) {
		if f.name == field && f.draw != nil {
			*f.secret = f.draw()
			return nil
		}
	}
	return errors.New("nothing here can make it")
}

// resign signs a new certificate for a machine, the domain or the operator, with a new key.
func (b *Bundle) resign(r *cluster.Resolved, name string, now time.Time) error {
	ca, err := b.authority()
	if err != nil {
		return err
	}
	switch name {
	case operatorName:
		b.Operator, err = ca.operator(now)
		return err
	case "front":
		front, err := ca.front(r.Domain, now)
		if err == nil {
			b.Front = &front
		}
		return err
	}
	wanted := strings.TrimPrefix(name, "nodes.")
	for _, node := range machines(r) {
		if node.Name == wanted {
			b.Nodes[node.Name], err = ca.node(node, now)
			return err
		}
	}
	return fmt.Errorf("cluster %s has no such machine", r.Name)
}
