package cluster

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"unicode"
)

// oddVoters keeps the etcd quorum odd and of three at least: the voters are the database nodes and the heartbeat.
func (c *checker) oddVoters() {
	const nodesPath = "postgres.nodes"
	heartbeat := c.spec.Heartbeat != nil || c.spec.written("heartbeat") || c.broken["heartbeat"]
	if !c.own("postgres") || c.broken[nodesPath] {
		return
	}
	nodes := len(c.spec.Postgres.Nodes)
	const shapes = "list two nodes and a heartbeat, or three nodes, or five"
	switch {
	case nodes == 0:
		c.report(nodesPath, "there is no database node", shapes)
	case nodes == 1:
		c.report(nodesPath, "one database node has none to fail over to", shapes)
	case nodes == 2 && !heartbeat:
		c.report(nodesPath, "two database nodes cannot outvote each other", "add a heartbeat, a small third machine that breaks the tie, like heartbeat: 10.20.0.33")
	case nodes == 3 && heartbeat, nodes == 5 && heartbeat:
		c.report("heartbeat", fmt.Sprintf("%d database nodes are an odd number of voters, and a heartbeat makes it even", nodes), "remove the heartbeat")
	case nodes == 4 || nodes > 5:
		c.report(nodesPath, fmt.Sprintf("%d database nodes do not make a quorum of three or five voters", nodes), shapes)
	}
}

func (c *checker) diskRequired() {
	const (
		why  = "the database must outlive the root disk, which goes with the image"
		path = "postgres.disk"
	)
	if c.spec.Platform == AWS {
		return
	}
	if api := c.spec.API; c.spec.Standalone() && api.Disk == "" && !c.broken["api"] && !c.broken["api.disk"] {
		c.report("api.disk", "the key is missing: "+why, "add it, like disk: /dev/vdb")
	}
	postgres := c.spec.Postgres
	if !c.own("postgres") || postgres.Disk != "" || c.broken[path] {
		return
	}
	var without []string
	own := false // some node has a disk of its own
	for i, node := range postgres.Nodes {
		switch nodePath := index("postgres.nodes", i); {
		case c.broken[nodePath]:
		case node.Disk != "" || c.broken[join(nodePath, "disk")]:
			own = true
		default:
			without = append(without, nodePath)
		}
	}
	if !own {
		c.report(path, "the key is missing: "+why, "add it, like disk: /dev/vdb")
		return
	}
	for _, nodePath := range without {
		c.report(nodePath, "this node has no data disk: "+why,
			"write {address: …, disk: /dev/vdb}, or give postgres a disk for all nodes")
	}
}

// diskPath looks at every key called disk.
func (c *checker) diskPath() {
	c.spec.walk(func(k key) bool {
		if k.field.Tag.Get("yaml") == "disk" {
			c.diskPathAt(k.path, k.value.String())
		}
		return true
	})
}

func (c *checker) diskPathAt(at, disk string) {
	const allowed = letters + upperCase + digits + "/._:@+=-"
	if disk != "" && (!strings.HasPrefix(disk, "/dev/") || path.Clean(disk) != disk || !madeOf(disk, allowed)) {
		c.report(at, show(disk)+" is not the path of a disk", "write its whole path in the machine, like /dev/vdb or /dev/disk/by-id/…")
	}
}

func (c *checker) sshKey() {
	for i, line := range c.spec.Access.SSH {
		if line == "" { // reported already
			continue
		}
		if err := checkAuthorizedKey(line); err != nil {
			c.report(index("access.ssh", i), err.Error(), "give one line of a .pub file, like ssh-ed25519 AAAA… name")
		}
	}
}

func (c *checker) secretsFile() {
	const at = "secrets.file"
	file := c.spec.Secrets.File
	ext := filepath.Ext(file)
	if file != "" && (ext != ".json" && ext != ageExt || strings.HasPrefix(file, "~") || strings.ContainsFunc(file, unicode.IsControl)) {
		c.report(at, show(file)+" is not the path of a bundle",
			"name a .json or .age file, relative to this file's folder or from the root, like "+defaultSecretsFile)
	}
}

// ageExt ends the name of a bundle that is encrypted.
const ageExt = ".age"
