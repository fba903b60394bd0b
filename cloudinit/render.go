package cloudinit

import (
	"errors"
	"fmt"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
)

// Seed is what cloud-init's NoCloud data source reads on one machine. It holds the machine's secrets, so it prints as its
// instance id.
type Seed struct {
	Node          string
	InstanceID    string
	MetaData      []byte
	UserData      []byte
	NetworkConfig []byte
}

// Format prints the instance id under every verb.
func (s Seed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.InstanceID)) }

// MarshalText stands in for the seed in logs, JSON and YAML.
func (s Seed) MarshalText() ([]byte, error) { return []byte(s.InstanceID), nil }

type metaData struct {
	InstanceID    text `yaml:"instance-id"`
	LocalHostname text `yaml:"local-hostname"`
}

// Render makes the seed of one node of an on-premises cluster, or of a slot of its API pool that is not launched yet: the
// same bytes for the same cluster, node and secrets.
func Render(r *cluster.Resolved, node cluster.Node, scoped secrets.Scoped) (Seed, error) {
	seed, err := render(r, node, scoped)
	if err != nil {
		return Seed{}, fmt.Errorf("seed of %s: %w", node.Name, err)
	}
	return seed, nil
}

func render(r *cluster.Resolved, node cluster.Node, scoped secrets.Scoped) (Seed, error) {
	if r.Platform != cluster.OnPrem {
		return Seed{}, exit.Errorf(exit.Invalid, "machines of cluster %s start on %s from launch templates, where a seed's secrets could be read: render user-data", r.Name, r.Platform)
	}
	document, err := NewDocument(r, node)
	if err != nil {
		return Seed{}, err
	}
	if scoped.Cluster != r.Name || scoped.Node != node.Name {
		return Seed{}, fmt.Errorf("the secrets are those of %s in cluster %s", scoped.Node, scoped.Cluster)
	}
	encodedSecrets, err := scoped.Encode()
	if err != nil {
		return Seed{}, err
	}
	document.Secrets = secrets.Digest(encodedSecrets)
	id, encodedDocument, err := document.encode()
	if err != nil {
		return Seed{}, err
	}

	// The secrets come last: where they are, the document is too.
	config := newCloudConfig(r, node, private(DocumentPath, encodedDocument), private(SecretsPath, encodedSecrets))
	seed := Seed{Node: node.Name, InstanceID: id}
	var metaErr, networkErr, userErr error
	seed.MetaData, metaErr = marshal(metaData{text(seed.InstanceID), text(node.Name)})
	seed.NetworkConfig, networkErr = marshal(newNetworkConfig(r, node))
	seed.UserData, userErr = config.encode("It holds secrets of the machine.")
	return seed, errors.Join(metaErr, networkErr, userErr)
}
