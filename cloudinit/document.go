// Package cloudinit is how a machine is told who it is: the node document, the NoCloud seed that carries it there, and the
// typed cloud-config and network-config that the seed is made of.
package cloudinit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/cincbake/cincbake/cluster"
)

// DocumentFormat is the format of the node document that this release writes and that its agents read.
const DocumentFormat = 1

// Where cloud-init writes a machine's two files, both 0600 and root's. They are also what later boots work from.
const (
	DocumentPath = "/etc/cincbake/node.json"
	SecretsPath  = "/etc/cincbake/secrets.json"
)

// Document is everything a machine is told about itself and its cluster, without secrets. It never changes during a
// machine's life: a changed spec makes another document, and so another instance.
type Document struct {
	Format  int              `json:"format"`
	Node    string           `json:"node"`    // name of this machine in Cluster.Nodes
	Recipe  string           `json:"recipe"`  // digest of the recipe that the image must have been baked from
	Secrets string           `json:"secrets"` // digest of the secrets file that came with it: a torn seed is found out
	Cluster cluster.Resolved `json:"cluster"`
}

// InstanceID names the machine that the document makes: cloud-init treats another id as another machine.
func (d Document) InstanceID() string {
	text, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("node document does not marshal: %v", err))
	}
	sum := sha256.Sum256(text)
	return "i-" + d.Node + "-" + hex.EncodeToString(sum[:6])
}
