package explain

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
)

// What is assumed of a machine that nobody has described.
const (
	assumedMemory = 8 << 30
	assumedCPUs   = 4
)

// Assume is what to take for known that only a running machine knows.
type Assume struct {
	// Facts are the machine's; nil: 8 GiB of memory, 4 CPUs, and addresses of the cluster's network where the spec has none.
	Facts *cluster.Facts
	// Join takes a cluster that is formed already; otherwise it is the first formation.
	Join bool
}

// world is one answer to everything that the spec leaves open. Two worlds that differ in one thing show what depends on it.
type world struct {
	resolved *cluster.Resolved  // the whole cluster
	document cloudinit.Document // what the machine is told of it
	cluster  *cluster.Resolved  // that, every slot with an address
	self     cluster.Node
	found    cluster.Facts
	join     bool
	// incarnation ends the random id of every data directory.
	incarnation string
	// salt makes the secrets' placeholders others.
	salt string
}

func newWorld(r *cluster.Resolved, node cluster.Node, a Assume) (world, error) {
	document, err := cloudinit.NewDocument(r, node)
	if err != nil {
		return world{}, err
	}
	w := world{resolved: r, document: document, cluster: &document.Cluster, self: node, join: a.Join}
	if discovered(r) {
		w.cluster, w.self.Address = located(&document.Cluster, node)
		w.self.Found = true
	}
	w.found = cluster.Facts{Hostname: node.Name, MemoryBytes: assumedMemory, CPUs: assumedCPUs, Addresses: []netip.Addr{w.self.Address}, BootID: "known-at-boot"}
	if a.Facts != nil {
		w.found = *a.Facts
		if discovered(r) && len(a.Facts.Addresses) > 0 {
			w.at(a.Facts.Addresses[0])
		}
	}
	return w, nil
}

// at gives the machine another address, which the spec leaves open.
func (w *world) at(address netip.Addr) {
	w.self.Address = address
	w.found.Addresses = []netip.Addr{address}
	r := *w.cluster
	r.Nodes = slices.Clone(r.Nodes)
	for i := range r.Nodes {
		if r.Nodes[i].Name == w.self.Name && r.Nodes[i].Slot > 0 {
			r.Nodes[i].Address = address
		}
	}
	w.cluster = &r
}

// firstHost is where assumed addresses begin in the network's prefix.
const firstHost = 10

// located gives every slot an address, and the machine itself: on AWS they are discovered, here the network's first ones are
// taken. A group has no address of its own.
func located(r *cluster.Resolved, self cluster.Node) (*cluster.Resolved, netip.Addr) {
	copied := *r
	copied.Nodes = slices.Clone(r.Nodes)
	address := r.Network.Prefix.Masked().Addr()
	for range firstHost {
		address = address.Next()
	}
	own := address
	for i, n := range copied.Nodes {
		if n.Name == self.Name {
			own = address
		}
		if n.Slot > 0 {
			copied.Nodes[i].Address, copied.Nodes[i].Found = address, true
		}
		address = address.Next()
	}
	return &copied, own
}

// discovered tells whether the spec leaves the machine's address open.
func discovered(r *cluster.Resolved) bool { return r.Platform == cluster.AWS }

// facts lists what is taken for known.
func (w world) facts() []Fact {
	facts := []Fact{
		{factMemory, gibibytes(w.found.MemoryBytes)},
		{factCPUs, fmt.Sprint(w.found.CPUs)},
		{factHostname, w.found.Hostname},
	}
	if discovered(w.cluster) {
		facts = append(facts, Fact{factAddress, w.self.Address.String()})
		for _, n := range w.cluster.Nodes {
			if n.Name != w.self.Name && n.Slot > 0 {
				facts = append(facts, Fact{factPeers, n.Name + " " + n.Address.String()})
			}
		}
	}
	return facts
}

func (a Assume) sentences(w world) []string {
	var said []string
	if a.Facts == nil {
		said = append(said, fmt.Sprintf("the machine has %s of memory and %d CPUs (--facts FILE describes another)", gibibytes(assumedMemory), assumedCPUs))
	}
	if discovered(w.cluster) {
		said = append(said, "addresses are the network's first ones: the real ones are discovered at boot")
	}
	if a.Join {
		return append(said, "the cluster is formed, and this machine is new in it")
	}
	said = append(said, "the cluster forms for the first time (--join shows a machine that joins a formed one)")
	if w.self.Role == cluster.RoleAPI && w.bootstraps() {
		said = append(said, "of all API nodes it is this one that makes the databases: a lock decides that at boot")
	}
	return said
}

// Names of facts, as marks and people say them.
const (
	factMemory      = "memory"
	factCPUs        = "CPUs"
	factHostname    = "host name"
	factAddress     = "address"
	factPeers       = "peers' addresses"
	factBoot        = "boot id"
	factIncarnation = "data directories' random ids"
)

// variant is a world in which one fact is another.
type variant struct {
	fact  string
	world world
}

// variants are the worlds to compare with: for every fact, a few values on both sides of whatever bounds the roles' rules have.
func (w world) variants() []variant {
	var all []variant
	add := func(fact string, change func(*world)) {
		other := w
		change(&other)
		all = append(all, variant{fact, other})
	}
	for _, gib := range []uint64{1, 2, 3, 6, 12, 24, 48, 96, 384} {
		add(factMemory, func(o *world) { o.found.MemoryBytes = gib << 30 })
	}
	for _, cpus := range []int{1, 2, 3, 6, 12, 48} {
		add(factCPUs, func(o *world) { o.found.CPUs = cpus })
	}
	add(factHostname, func(o *world) { o.found.Hostname = "another-name" })
	add(factBoot, func(o *world) { o.found.BootID = "another-boot" })
	add(factIncarnation, func(o *world) { o.incarnation = "-other" })
	if discovered(w.cluster) {
		add(factAddress, func(o *world) { o.at(w.self.Address.Next().Next().Next()) })
		add(factPeers, func(o *world) {
			moved := *w.cluster
			moved.Nodes = slices.Clone(moved.Nodes)
			for i := range moved.Nodes {
				if moved.Nodes[i].Name != w.self.Name && moved.Nodes[i].Slot > 0 {
					moved.Nodes[i].Address = netip.MustParseAddr("198.51.100.7") // of a network that is nobody's
				}
			}
			o.cluster = &moved
		})
	}
	return all
}

// marks finds the lines that follow from facts: those that another world does not have.
func (w world) marks(drawn drawing) (map[string][]Mark, error) {
	byLine := map[string]map[int][]string{}
	for _, v := range w.variants() {
		other, err := v.world.draw()
		if err != nil {
			return nil, fmt.Errorf("with another %s: %w", v.fact, err)
		}
		for path, file := range drawn.files {
			for _, i := range missing(rows(string(file.Content)), rows(string(other.files[path].Content))) {
				if byLine[path] == nil {
					byLine[path] = map[int][]string{}
				}
				if !slices.Contains(byLine[path][i], v.fact) {
					byLine[path][i] = append(byLine[path][i], v.fact)
				}
			}
		}
	}
	marks := map[string][]Mark{}
	for path, lines := range byLine {
		for _, i := range slices.Sorted(maps.Keys(lines)) {
			marks[path] = append(marks[path], Mark{Line: i + 1, Facts: lines[i]})
		}
	}
	return marks, nil
}

func gibibytes(bytes uint64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(bytes)/(1<<30)), ".0") + " GiB"
}
