package cloudinit

import (
	"errors"
	"fmt"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
)

// Seed is what cloud-init's NoCloud data source reads on one machine. It holds the machine's secrets, so it prints as its
// instance id.
type Seed struct {
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

// Render makes the seed of one node of the cluster: the same bytes for the same cluster, node and secrets.
func Render(r *cluster.Resolved, node cluster.Node, scoped secrets.Scoped) (Seed, error) {
	seed, err := render(r, node, scoped)
	if err != nil {
		return Seed{}, fmt.Errorf("seed of %s: %w", node.Name, err)
	}
	return seed, nil
}

func render(r *cluster.Resolved, node cluster.Node, scoped secrets.Scoped) (Seed, error) {
	known, err := r.Node(node.Name)
	if err != nil {
		return Seed{}, err
	}
	if known != node {
		return Seed{}, fmt.Errorf("cluster %s has another node of that name", r.Name)
	}
	if scoped.Cluster != r.Name || scoped.Node != node.Name {
		return Seed{}, fmt.Errorf("the secrets are those of %s in cluster %s", scoped.Node, scoped.Cluster)
	}
	encodedSecrets, err := scoped.Encode()
	if err != nil {
		return Seed{}, err
	}
	document := Document{
		Format:  DocumentFormat,
		Node:    node.Name,
		Recipe:  r.Recipe(node.Role).Digest(),
		Secrets: secrets.Digest(encodedSecrets),
		Cluster: *r,
	}
	encodedDocument, err := document.Encode()
	if err != nil {
		return Seed{}, err
	}

	seed := Seed{InstanceID: document.InstanceID()}
	var metaErr, networkErr, userErr error
	seed.MetaData, metaErr = marshal(metaData{text(seed.InstanceID), text(node.Name)})
	seed.NetworkConfig, networkErr = marshal(newNetworkConfig(r, node))
	seed.UserData, userErr = newCloudConfig(r, node, encodedDocument, encodedSecrets).encode()
	return seed, errors.Join(metaErr, networkErr, userErr)
}
