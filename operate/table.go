package operate

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// Table draws the cluster for people: a line per node, what they say of themselves below, and whether the cluster is
// whole. It fits into 100 columns. The time is for what is left of certificates.
func Table(w io.Writer, r *cluster.Resolved, all []NodeStatus, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	// A role is its nodes' name already.
	fmt.Fprintln(table, strings.Join([]string{"NODE", "ADDRESS", "RESULT", "PHASE", "STATE", "ETCD", "CERT"}, "\t"))
	for _, s := range all {
		cells := []string{s.Node.Name, s.Node.Address.String(), "silent", none, none, none, none}
		if s.Answered() {
			copy(cells[2:], []string{string(s.Status.Result), s.Status.Phase, state(r, s), etcd(s), certificate(s, now)})
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var words strings.Builder
	for _, s := range all {
		if s.Status.Reason != "" {
			fmt.Fprintf(&words, "%s\n", fold(s.Node.Name+": "+s.Status.Reason))
		}
		if s.Status.Hint != "" {
			fmt.Fprintf(&words, "%s\n", fold("  → "+s.Status.Hint))
		}
	}
	if lacks := Whole(all); lacks == nil {
		words.WriteString("the cluster is whole\n")
	} else {
		words.WriteString("the cluster is not whole\n")
		for line := range strings.Lines(lacks.Error()) {
			fmt.Fprintf(&words, "%s\n", fold("  "+strings.TrimSpace(line)))
		}
	}
	for _, urgent := range Urgent(all, now) {
		fmt.Fprintf(&words, "%s\n", fold("urgent: "+urgent))
	}
	for _, warning := range Warnings(all, now) {
		fmt.Fprintf(&words, "%s\n", fold("warning: "+warning))
	}
	_, err := fmt.Fprintf(w, "\n%s", words.String())
	return err
}

// none stands for what a node does not have or did not say.
const none = "-"

// stateWidth is what the other columns leave at their widest.
const stateWidth = 28

// state is what a node's programs say of themselves, each in the words of its tier.
func state(r *cluster.Resolved, s NodeStatus) string {
	said := none
	switch {
	case s.Status.Database != nil:
		said = database(*s.Status.Database)
	case s.Status.Service != nil:
		said = service(*s.Status.Service)
	case s.Status.Search != nil:
		said = search(s.Node.Name, *s.Status.Search)
	case s.Status.Balancer != nil:
		said = balancer(r, *s.Status.Balancer)
	}
	if letters := []rune(said); len(letters) > stateWidth {
		said = string(letters[:stateWidth-1]) + "…"
	}
	return said
}

func database(db cluster.Database) string {
	switch {
	case db.Role == rolePrimary && db.State == running:
		return rolePrimary
	case db.State != streaming:
		return label(db.Role) + ", " + db.State
	default:
		return fmt.Sprintf("%s, lag %s", label(db.Role), size(db.LagBytes))
	}
}

func service(c cluster.Service) string {
	said := c.Status
	if len(c.Failing) > 0 {
		said += ": " + strings.Join(c.Failing, ", ")
	}
	if c.Drained {
		said += ", drained"
	}
	return said
}

func search(node string, o cluster.Search) string {
	switch {
	case o.Health == "":
		return "no cluster"
	case o.Manager == node:
		return o.Health + ", manager"
	default:
		return o.Health
	}
}

func balancer(r *cluster.Resolved, b cluster.Balancer) string {
	said := fmt.Sprintf("%d up", len(b.Up))
	if b.Degraded {
		said = "degraded"
	}
	if b.HoldsVIP && r.LB != nil {
		said = fmt.Sprintf("holds %s, %s", r.LB.VIP, said)
	}
	return said
}

// label is a shorter word for a role.
func label(role string) string {
	if role == roleSync {
		return "sync"
	}
	return role
}

func size(bytes int64) string {
	for _, unit := range []string{"B", "kB", "MB"} {
		if bytes < 1000 {
			return fmt.Sprintf("%d %s", bytes, unit)
		}
		bytes /= 1000
	}
	return fmt.Sprintf("%d GB", bytes)
}

func etcd(s NodeStatus) string {
	q := s.Status.Quorum
	switch {
	case q == nil:
		return none
	case !q.Healthy:
		return "no quorum"
	case q.Leader == s.Node.Name:
		return fmt.Sprintf("leader/%d", q.Members)
	default:
		return fmt.Sprintf("voter/%d", q.Members)
	}
}

func certificate(s NodeStatus, now time.Time) string {
	expires := s.Status.CertificateExpires
	if expires.IsZero() {
		return none
	}
	return remaining(expires, now)
}

// remaining is how long a certificate lasts.
func remaining(end, now time.Time) string {
	if !end.After(now) {
		return "EXPIRED"
	}
	return fmt.Sprintf("%d days", int(end.Sub(now).Hours()/24))
}

// columns is how wide the table may be.
const columns = 100

// fold breaks a line between words, so that it fits; what follows is indented.
func fold(line string) string {
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	var folded strings.Builder
	width := len(indent)
	folded.WriteString(indent)
	for i, word := range strings.Fields(line) {
		length := len([]rune(word))
		switch {
		case i == 0:
		case width+1+length > columns:
			folded.WriteString("\n" + indent + "    ")
			width = len(indent) + 4
		default:
			folded.WriteString(" ")
			width++
		}
		folded.WriteString(word)
		width += length
	}
	return folded.String()
}
