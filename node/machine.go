// Package node is the boot agent's library: what a machine does, from the files that cloud-init wrote to a ready member of
// its cluster, and what it answers its peers and the operator.
package node

import (
	"fmt"
	"strings"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// Machine is what this machine was told about itself.
type Machine struct {
	Document cloudinit.Document
	Self     cluster.Node
	Role     role.Role
	Secrets  secrets.Scoped
	found    Discovery // the platform's; nil: the document has every address
}

// Load reads the machine's two files and checks that they belong together and to the image.
func Load(files step.Files) (Machine, error) {
	text, err := read(files, cloudinit.DocumentPath)
	if err != nil {
		return Machine{}, err
	}
	document, err := cloudinit.DecodeDocument(text)
	if err != nil { // trying again reads the same
		return Machine{}, &role.Refusal{
			Reason: fmt.Sprintf("%s: %v", cloudinit.DocumentPath, err),
			Hint:   "render the seed with the release of cincbake that baked the image, or bake the image with the one that rendered it, and boot a fresh machine",
		}
	}
	m := Machine{Document: document}
	if m.Self, err = document.Cluster.Node(document.Node); err != nil {
		return Machine{}, err
	}
	if m.Role, err = roles.Of(m.Self.Role); err != nil {
		return Machine{}, err
	}
	if err := m.checkImage(files); err != nil {
		return Machine{}, err
	}
	return m, m.loadSecrets(files)
}

// checkImage refuses an image that was baked from another recipe, such as one with another PostgreSQL major.
func (m Machine) checkImage(files step.Files) error {
	text, err := read(files, role.RecipeFile)
	if err != nil {
		return err
	}
	recipe, err := cluster.DecodeRecipe(text)
	if err != nil {
		return fmt.Errorf("%s: %w", role.RecipeFile, err)
	}
	if recipe.Digest() != m.Document.Recipe {
		return &role.Refusal{
			Reason: fmt.Sprintf("the image was baked as %s, and this machine is to be %s", recipe, m.Document.Cluster.Recipe(m.Self.Role)),
			Hint:   "boot the image of the right role, baked from this cluster's spec: cincbake images list",
		}
	}
	return nil
}

func (m *Machine) loadSecrets(files step.Files) error {
	text, err := read(files, cloudinit.SecretsPath)
	if err != nil {
		return err
	}
	// What the machine fetched itself, from the store that the document names, came without a digest.
	if digest := secrets.Digest(text); m.Document.SecretStore == nil && digest != m.Document.Secrets {
		known, err := delivered(files, digest)
		if err != nil {
			return err
		}
		if !known {
			return &role.Refusal{
				Reason: "the secrets on this machine are not the ones that its node document was rendered with, nor were they delivered by its operator",
				Hint:   "the seed is torn: render it again and boot a fresh machine from it",
			}
		}
	}
	if m.Secrets, err = secrets.DecodeScoped(text); err != nil {
		return &role.Refusal{
			Reason: fmt.Sprintf("%s: %v", cloudinit.SecretsPath, err),
			Hint:   "render the seed with the release of cincbake that baked the image, and boot a fresh machine from it",
		}
	}
	if m.Secrets.Node != m.Self.Name || m.Secrets.Cluster != m.Document.Cluster.Name {
		return &role.Refusal{
			Reason: fmt.Sprintf("the secrets are %s's of cluster %s", m.Secrets.Node, m.Secrets.Cluster),
			Hint:   "render the seed of " + m.Self.Name + " again and boot a fresh machine from it",
		}
	}
	return nil
}

func read(files step.Files, path string) ([]byte, error) {
	entry, err := files.Read(path)
	if err != nil {
		return nil, err
	}
	return entry.Content, nil
}

// inputs is what the role may know, without peers.
func (m Machine) inputs(facts cluster.Facts) role.Inputs {
	return role.Inputs{Cluster: &m.Document.Cluster, Self: m.Self, Facts: facts, Secrets: m.Secrets}
}

// Observe is what this machine tells its peers about its own state.
func (m Machine) Observe(files step.Files) (cluster.Observation, error) {
	return m.Role.Observe(files, m.Self)
}

// instance is the name under which cloud-init knows this machine.
func (m Machine) instance() string { return m.Document.InstanceID() }

// describe is the machine in one line.
func (m Machine) describe() string {
	var others []string
	for _, n := range m.Document.Cluster.Nodes {
		if n.Name != m.Self.Name {
			others = append(others, n.Name)
		}
	}
	return fmt.Sprintf("%s of cluster %s, with %s", m.Self.Name, m.Document.Cluster.Name, strings.Join(others, ", "))
}
