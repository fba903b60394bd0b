package cluster

import (
	"fmt"
	"net/netip"
	"strings"
)

// has tells whether the spec has a tier, and can be asked about it.
func (c *checker) has(tier string) bool {
	if c.broken[tier] {
		return false
	}
	switch tier {
	case "api":
		return c.spec.API != nil
	case "postgres":
		return c.spec.Postgres != nil
	case "opensearch":
		return c.spec.OpenSearch != nil
	case "lb":
		return c.spec.LB != nil
	}
	return false
}

// external tells whether a tier is somebody else's.
func (c *checker) external(tier string) bool {
	if !c.has(tier) {
		return false
	}
	if tier == "postgres" {
		return c.spec.Postgres.External != nil || c.broken["postgres.external"]
	}
	return c.spec.OpenSearch.External != nil || c.broken["opensearch.external"]
}

// own tells whether a tier runs on nodes of the cluster.
func (c *checker) own(tier string) bool {
	if !c.has(tier) || c.external(tier) {
		return false
	}
	if tier == "postgres" {
		return c.spec.Postgres.Nodes != nil
	}
	return c.spec.OpenSearch.Nodes != nil
}

// standalone tells whether the spec is a server with everything inside, as far as it can be read.
func (c *checker) standalone() bool {
	return c.has("api") && c.spec.Standalone() && !c.broken["postgres"] && !c.broken["opensearch"] && !c.broken["lb"]
}

// pool tells whether the spec has a pool of API nodes.
func (c *checker) pool() bool {
	return c.has("api") && (c.meant("postgres") || c.meant("opensearch"))
}

// meant tells whether a tier stands in the file, even if it cannot be read.
func (c *checker) meant(tier string) bool { return c.has(tier) || c.broken[tier] }

// tiers refuses combinations of tiers that are no cluster.
func (c *checker) tiers() {
	const (
		database = "add it, like postgres: {nodes: [10.20.0.31, 10.20.0.32], disk: /dev/vdb}"
		search   = "add it, like opensearch: {nodes: [10.20.0.41, 10.20.0.42, 10.20.0.43], package: {official: true}}"
	)
	server := "add it, like api: {nodes: 2, addresses: 10.20.0.20-10.20.0.29}"
	if c.spec.Platform == AWS {
		server = "add it, like api: {min: 2, max: 6, instanceType: m6i.xlarge}"
	}
	hasAPI, hasPostgres, hasSearch, hasLB := c.meant("api"), c.meant("postgres"), c.meant("opensearch"), c.meant("lb")
	switch {
	case !hasAPI && !hasPostgres && !hasSearch && !hasLB:
		c.report("api", "the key is missing: there is nothing that would run", server)
	case !hasAPI && hasPostgres && !hasSearch && !hasLB: // a database tier only
		if c.spec.Platform == AWS || c.external("postgres") {
			c.report("api", "the key is missing: only a database of its own, on-prem, makes sense without API nodes", server)
		}
	case !hasAPI:
		c.report("api", "the key is missing: nothing would use the other tiers", server)
	case hasSearch && !hasPostgres:
		c.report("postgres", "the key is missing: API nodes that share a search also share a database", database)
	case hasPostgres && !hasSearch:
		c.report("opensearch", "the key is missing: API nodes that share a database also share a search", search)
	case hasLB && !hasPostgres:
		c.report("lb", "there is one server with its database inside, and nothing to balance", "remove lb, or add postgres and opensearch")
	}
	if c.broken["heartbeat"] || c.spec.Heartbeat == nil {
		return
	}
	if c.external("postgres") || !hasPostgres {
		c.report("heartbeat", "a heartbeat breaks the tie of two database nodes, and there are none", "remove it")
	}
}

// tierSource holds a tier to one source: nodes or external.
func (c *checker) tierSource() {
	for _, tier := range []string{"postgres", "opensearch"} {
		nodes := join(tier, "nodes")
		switch written := c.spec.written(nodes) || c.broken[nodes] || c.own(tier); {
		case !c.has(tier):
		case c.external(tier) && (written || c.hasNodes(tier)):
			c.report(nodes, "the tier is external, and has nodes too", "remove nodes or external")
		case !c.external(tier) && !written:
			example := nodesExample(tier, c.spec.Platform)
			c.report(nodes, "the key is missing", "add it, like nodes: "+example+", or external")
		}
	}
}

func (c *checker) hasNodes(tier string) bool {
	if tier == "postgres" {
		return len(c.spec.Postgres.Nodes) > 0
	}
	return len(c.spec.OpenSearch.Nodes) > 0
}

func nodesExample(tier string, platform Platform) string {
	switch {
	case platform == AWS:
		return "[{subnet: subnet-0a1b2c3d}, {subnet: subnet-1b2c3d4e}]"
	case tier == "postgres":
		return "[10.20.0.31, 10.20.0.32]"
	default:
		return "[10.20.0.41, 10.20.0.42, 10.20.0.43]"
	}
}

// tierKeys refuses keys that would be ignored beside external, or in a standalone server, or without an API tier.
func (c *checker) tierKeys() {
	refuse := func(reason string, paths ...string) {
		for _, path := range paths {
			if c.spec.written(path) {
				c.report(path, reason, "remove it")
			}
		}
	}
	if c.external("postgres") {
		refuse("an external database has no machines here", "postgres.disk", "postgres.instanceType", "postgres.volume")
	}
	if c.external("opensearch") {
		refuse("an external search has no machines here", "opensearch.package", "opensearch.disk", "opensearch.instanceType", "opensearch.volume")
	}
	if c.standalone() {
		refuse("a standalone server is one machine", "api.min", "api.max")
	}
	if c.pool() {
		refuse("API nodes keep nothing: their data is in the database", "api.disk", "api.volume")
	}
	if !c.meant("api") {
		refuse("it is for API nodes, and there are none", "domain", "tls", "cinc")
	}
}

// apiRequires looks for what an API tier cannot do without.
func (c *checker) apiRequires() {
	if !c.meant("api") {
		return
	}
	if c.spec.Domain == "" && !c.broken["domain"] {
		c.report("domain", "the key is missing: clients need a name to connect to", "add it, like domain: chef.example.com")
	}
	if c.spec.Cinc == nil && !c.broken["cinc"] {
		c.report("cinc", "the key is missing: the images need a Cinc Server", "add it, like cinc: {version: 15.10.91, package: {official: true}}")
	}
}

// apiSize holds the number of API nodes within what the pool and the database can take.
func (c *checker) apiSize() {
	if !c.has("api") {
		return
	}
	api := c.spec.API
	if c.standalone() {
		if api.Nodes > 1 || c.spec.written("api.nodes") && api.Nodes != 1 && !c.broken["api.nodes"] {
			c.report("api.nodes", "a standalone server is one machine", "remove it, or add postgres, opensearch and lb")
		}
		if pool := api.Addresses.expand(2); len(pool) > 1 {
			c.report(poolPath, "a standalone server has one address", "write one, or add postgres, opensearch and lb")
		}
		return
	}
	if c.spec.Platform == AWS {
		c.apiGroup(api)
		return
	}
	if c.spec.written("api.nodes") && api.Nodes < 1 && !c.broken["api.nodes"] {
		c.report("api.nodes", fmt.Sprintf("%d nodes are no API tier", api.Nodes), "write 1 at least, or remove the key")
	}
	if c.broken[poolPath] || api.Addresses == nil {
		return
	}
	switch pool := api.Addresses.expand(mostAPINodes + 1); {
	case len(api.Addresses) == 0:
		c.report(poolPath, "there is no address for an API node", "write one like 10.20.0.20 or 10.20.0.20-10.20.0.29")
	case len(pool) > mostAPINodes:
		c.report(poolPath, fmt.Sprintf("the pool has more than %d addresses, and each counts in the database's connections", mostAPINodes), "write a smaller range")
	case api.Nodes > len(pool) && !c.anyBroken(poolPath, len(api.Addresses)):
		c.report("api.nodes", fmt.Sprintf("%d nodes do not fit into a pool of %d addresses", api.Nodes, len(pool)), "give api.addresses more, or launch fewer")
	}
}

// anyBroken tells whether an element of a list could not be read.
func (c *checker) anyBroken(list string, length int) bool {
	for i := range length {
		if c.broken[index(list, i)] {
			return true
		}
	}
	return false
}

func (c *checker) apiGroup(api *APISpec) {
	const minPath, maxPath = "api.min", "api.max"
	if c.broken[minPath] || c.broken[maxPath] {
		return
	}
	switch {
	case api.Max == 0 && !c.spec.written(maxPath):
		c.report(maxPath, "the key is missing: the database is sized for as many nodes as there may be", "add it, like max: 6")
	case api.Max < 1 || api.Max > mostAPINodes:
		c.report(maxPath, fmt.Sprintf("there may be from 1 to %d API nodes, as each counts in the database's connections", mostAPINodes), "write a number between them")
	case api.Min < 0 || c.spec.written(minPath) && api.Min < 1:
		c.report(minPath, fmt.Sprintf("%d nodes are no API tier", api.Min), "write 1 at least, or remove the key")
	case api.Min > api.Max:
		c.report(minPath, fmt.Sprintf("%d is more than api.max, %d", api.Min, api.Max), "raise api.max or lower api.min")
	}
}

// addressRange refuses ranges that hold nothing.
func (c *checker) addressRange() {
	if !c.has("api") {
		return
	}
	for i, r := range c.spec.API.Addresses {
		path := poolPath
		if long := index(path, i); c.spec.written(long) {
			path = long
		}
		if r.First.IsValid() && r.Last.IsValid() && (r.First.BitLen() != r.Last.BitLen() || r.First.Compare(r.Last) > 0) {
			c.report(path, show(r.String())+" is no range from a lower to a higher address", "write one like 10.20.0.20-10.20.0.29")
		}
	}
}

// lbPlatform holds the kind of load balancer to what the platform can do.
func (c *checker) lbPlatform() {
	lb := c.spec.LB
	switch {
	case !c.has("lb"):
	case lb.Kind != "" && lb.Kind != LBNLB:
		c.report("lb", show(string(lb.Kind))+" is not a load balancer", "write nlb on AWS, or the keys vip and nodes")
	case lb.Kind == LBNLB && c.spec.Platform == OnPrem:
		c.report("lb", "nlb is AWS's, and this is onprem", "write {vip: 10.20.0.10, nodes: [10.20.0.11, 10.20.0.12]}")
	case lb.Kind == "" && c.spec.Platform == AWS:
		c.report("lb", "VRRP cannot move an address on AWS, so machines of your own cannot balance there", "write lb: nlb")
	}
}

// lbNodes holds the load balancers to a pair with a VRRP group of their own.
func (c *checker) lbNodes() {
	lb := c.spec.LB
	if !c.has("lb") || lb.Kind != "" || c.spec.Platform == AWS {
		return
	}
	if nodes := len(lb.Nodes); nodes != 2 && lb.Nodes != nil && !c.broken["lb.nodes"] {
		c.report("lb.nodes", fmt.Sprintf("a pair shares the VIP, and this lists %d", nodes), "list two")
	}
	const most = 255 // RFC 9568 §5.2.3
	if id := lb.RouterID; id < 0 || id > most || id == 0 && c.spec.written("lb.routerId") && !c.broken["lb.routerId"] {
		c.report("lb.routerId", fmt.Sprintf("%d is no VRRP router id", id), fmt.Sprintf("write a number from 1 to %d that no other pair in the network uses", most))
	}
}

// The longest name that Cinc Server's programs take.
const longestDomain = 64

func (c *checker) domain() {
	domain := c.spec.Domain
	if domain == "" {
		return
	}
	switch {
	case isAddress(domain):
		c.report("domain", "this is an address", "write a name that resolves to it: certificates and Cinc Server's links are made for a name")
	case strings.ToLower(domain) != domain:
		c.report("domain", show(domain)+" has upper-case letters, and Cinc Server compares names letter by letter", "write it in lower case")
	case len(domain) > longestDomain:
		c.report("domain", fmt.Sprintf("the name has %d characters, and Cinc Server takes %d", len(domain), longestDomain), "use a shorter one")
	case !isHostName(domain) || !strings.Contains(domain, "."):
		c.report("domain", show(domain)+" is not a full name", "write one like chef.example.com")
	}
}

// isAddress tells whether a text is an IP address, in brackets too.
func isAddress(text string) bool {
	_, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return err == nil
}

// isHostName tells whether a text is a name of labels, in lower case.
func isHostName(text string) bool {
	const longest, longestLabel = 253, 63
	labels := strings.Split(text, ".")
	for _, label := range labels {
		if label == "" || len(label) > longestLabel || !madeOf(label, letters+digits+"-") || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return len(text) <= longest && !madeOf(labels[len(labels)-1], digits)
}
