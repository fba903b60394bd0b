package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab/machine"
)

// Config is what a lab is made of.
type Config struct {
	Cluster *cluster.Resolved
	Images  map[cluster.Role]images.Entry
	// Seed returns a node's seed.
	Seed func(node string) (cloudinit.Seed, error)
	// DiskBytes is the size of a data disk; 0 is DefaultDiskBytes. It takes only the room that is written to.
	DiskBytes int64
}

// DefaultDiskBytes is the size of a node's data disk where nobody asks for another.
const DefaultDiskBytes = 8 << 30

// Event is a step of Up that is done.
type Event struct {
	Subject string // a node, a role's image, or the network
	What    string
	Took    time.Duration
}

// Up makes the lab and boots every machine that does not run. What is there already stays as it is, so Up also goes on
// where another was interrupted, and starts machines again after the host's reboot. It returns when the machines boot, not
// when the cluster is ready. Report hears of each step, never two at once.
func (l *Lab) Up(ctx context.Context, config Config, report func(Event)) error {
	return l.exclusively(ctx, func(host machine.Host) error {
		r, err := l.settle(config)
		if err != nil {
			return err
		}
		if err := l.unpack(ctx, slices.Collect(maps.Values(config.Images)), report); err != nil {
			return err
		}
		began := time.Now()
		if err := (machine.Network{Path: l.networkFile(), Gateway: bridgeAddress(config.Cluster)}).Up(ctx); err != nil {
			return err
		}
		report(Event{Subject: "network", What: "up", Took: time.Since(began)})

		var (
			reporting sync.Mutex
			working   sync.WaitGroup
			failures  = make([]error, len(r.nodes()))
		)
		for slot, node := range r.nodes() {
			working.Go(func() {
				began := time.Now()
				seed, err := config.Seed(node.Name)
				if err != nil {
					failures[slot] = err
					return
				}
				what, err := bootNode(ctx, host, l.machine(r, slot), seed)
				if err != nil {
					failures[slot] = err
					return
				}
				reporting.Lock()
				defer reporting.Unlock()
				report(Event{Subject: node.Name, What: what, Took: time.Since(began)})
			})
		}
		working.Wait()
		return errors.Join(failures...)
	})
}

// bootNode boots one node and returns what it came to.
func bootNode(ctx context.Context, host machine.Host, m machine.Machine, seed cloudinit.Seed) (string, error) {
	err := m.Prepare(func(dir string) error { return cloudinit.WriteDir(seed, dir) })
	if errors.Is(err, machine.ErrOtherSeed) {
		return "", exit.Errorf(exit.Unsafe, "%w: cincbake lab down first, which discards the data", err)
	}
	if err != nil {
		return "", err
	}
	running, err := m.Running(host)
	if err != nil || running {
		return "runs already", err
	}
	return "started", m.Start(ctx, host)
}

// settle checks the config and writes down what the lab is made of, unless that is written down already.
func (l *Lab) settle(config Config) (record, error) {
	wanted := record{
		Format:    recordFormat,
		Created:   time.Now().UTC().Truncate(time.Second),
		Cluster:   *config.Cluster,
		Images:    map[cluster.Role]string{},
		DiskBytes: config.DiskBytes,
	}
	if wanted.DiskBytes == 0 {
		wanted.DiskBytes = DefaultDiskBytes
	}
	for _, node := range config.Cluster.Nodes {
		entry, ok := config.Images[node.Role]
		if !ok {
			return record{}, exit.Errorf(exit.Missing, "%s has no image: cincbake bake %s", node.Name, node.Role)
		}
		if err := fits(entry.Record, config.Cluster.Recipe(node.Role)); err != nil {
			return record{}, exit.Errorf(exit.Missing, "image %s: %w", entry.ID, err)
		}
		wanted.Images[node.Role] = entry.Record.ContentDigest
	}
	kept, err := l.load()
	if errors.Is(err, ErrNoLab) {
		return wanted, l.save(wanted)
	}
	if err != nil {
		return record{}, err
	}
	// What befell the lab since is no other lab: nodes that were added, or replaced from newer images.
	wanted.Created, wanted.NodeImages, wanted.Added = kept.Created, kept.NodeImages, kept.Added
	for role, digest := range wanted.Images {
		if kept.boots(role, digest) {
			wanted.Images[role] = kept.Images[role]
		}
	}
	if same, err := equal(kept, wanted); err != nil {
		return record{}, err
	} else if !same {
		return record{}, exit.Errorf(exit.Unsafe,
			"lab %s was made from another cluster file or from other images: cincbake lab down first, which discards its data", l.name)
	}
	return kept, nil
}

func equal(a, b record) (bool, error) {
	one, err := a.text()
	if err != nil {
		return false, err
	}
	other, err := b.text()
	return bytes.Equal(one, other), err
}

// fits tells why a cluster's machine can't boot from an image, if it can't.
func fits(image images.Record, recipe cluster.Recipe) error {
	if image.RecipeDigest != recipe.Digest() {
		return fmt.Errorf("it was baked from another recipe: cincbake bake %s", recipe.Role)
	}
	return bootable(image)
}

// bootable tells why no machine of this release's can boot from an image.
func bootable(image images.Record) error {
	switch {
	case image.DocumentFormat != cloudinit.DocumentFormat:
		return fmt.Errorf("its agent reads node documents of format %d, this release writes %d: cincbake bake %s",
			image.DocumentFormat, cloudinit.DocumentFormat, image.Recipe.Role)
	case !image.Verified:
		return fmt.Errorf("it was never verified: cincbake bake %s", image.Recipe.Role)
	}
	return nil
}

// bridgeAddress is the address that the lab's bridge has: the gateway's, so that nodes have the default route that their
// seed says, though it leads nowhere; in a cluster without a gateway, the last address that nobody has.
func bridgeAddress(c *cluster.Resolved) netip.Prefix {
	network := c.Network.Prefix
	if c.Network.Gateway.IsValid() {
		return netip.PrefixFrom(c.Network.Gateway, network.Bits())
	}
	taken := map[netip.Addr]bool{}
	for _, node := range c.Nodes {
		taken[node.Address] = true
	}
	if c.API != nil {
		for _, address := range c.API.Pool { // nodes that may be added
			taken[address] = true
		}
	}
	if c.LB != nil {
		taken[c.LB.VIP] = true
	}
	address := lastAddress(network).Prev() // the last of all is for broadcasts
	for taken[address] {
		address = address.Prev()
	}
	return netip.PrefixFrom(address, network.Bits())
}

// lastAddress returns the network's highest address.
func lastAddress(network netip.Prefix) netip.Addr {
	bytes := network.Masked().Addr().AsSlice()
	for bit := network.Bits(); bit < 8*len(bytes); bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}
