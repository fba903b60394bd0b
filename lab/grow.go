package lab

import (
	"context"
	"fmt"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab/machine"
)

// ReplaceFrom is Replace whose new machine boots another image of the node's recipe, as when a cluster is moved to newer
// images one node after the other; the old machine may end in good order. The recipe is the cluster file's: the lab's record does not say which packages it names.
func (l *Lab) ReplaceFrom(ctx context.Context, of *cluster.Resolved, node string, image images.Entry, report func(Event)) error {
	return l.exclusively(ctx, func(host machine.Host) error {
		r, err := l.load()
		if err != nil {
			return err
		}
		slot, err := l.slotOf(r, node)
		if err != nil {
			return err
		}
		n := r.nodes()[slot]
		if err := l.madeFrom(r, of); err != nil {
			return err
		}
		if image.Record.Role != n.Role {
			return exit.Errorf(exit.Invalid, "%s is a machine of role %s, and image %s is for %s", node, n.Role, image.ID, image.Record.Role)
		}
		if err := fits(image.Record, of.Recipe(n.Role)); err != nil {
			return exit.Errorf(exit.Missing, "image %s: %w", image.ID, err)
		}
		// While it is unpacked the old machine goes on.
		if err := l.unpack(ctx, []images.Entry{image}, report); err != nil {
			return err
		}
		if err := l.machine(r, slot).Shutdown(ctx, host); err != nil {
			return err
		}
		r.setImage(n, image.Record.ContentDigest)
		if err := l.save(r); err != nil {
			return err
		}
		m := l.machine(r, slot)
		if err := m.Renew(); err != nil {
			return err
		}
		return m.Start(ctx, host)
	})
}

// Add launches a further node of the API pool from its seed. No other machine is touched or told. The node is the lab's
// from then on: it can be struck and replaced like any other, and Up boots it again.
func (l *Lab) Add(ctx context.Context, of *cluster.Resolved, node cluster.Node, seed cloudinit.Seed) error {
	return l.exclusively(ctx, func(host machine.Host) error {
		r, err := l.load()
		if err != nil {
			return err
		}
		if err := l.madeFrom(r, of); err != nil {
			return err
		}
		if _, err := l.slotOf(r, node.Name); err == nil {
			return exit.Errorf(exit.Invalid, "lab %s has %s already: cincbake lab start boots it", l.name, node.Name)
		}
		if pooled, err := r.Cluster.PoolNode(node.Slot); err != nil || pooled.Name != node.Name || pooled.Address != node.Address {
			return exit.Errorf(exit.Invalid, "%s is no node of the API pool: only those may come and go", node.Name)
		}
		if r.Images[node.Role] == "" {
			return exit.Errorf(exit.Missing, "lab %s has no image of role %s, since it began without any such machine", l.name, node.Role)
		}
		r.Added = append(r.Added, node)
		if err := l.save(r); err != nil {
			return err
		}
		if _, err := bootNode(ctx, host, l.machine(r, len(r.nodes())-1), seed); err != nil {
			return fmt.Errorf("%w: when that is mended, cincbake lab up boots it", err)
		}
		return nil
	})
}

// madeFrom refuses a cluster file that the lab was not made from: what it says of a machine, the others do not know.
func (l *Lab) madeFrom(r record, of *cluster.Resolved) error {
	same, err := equal(record{Cluster: r.Cluster}, record{Cluster: *of})
	if err != nil {
		return err
	}
	if !same {
		return exit.Errorf(exit.Unsafe, "lab %s was made from another cluster file: put it back, or cincbake lab down first, which discards the lab's data", l.name)
	}
	return nil
}
