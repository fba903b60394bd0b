package iam

import (
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// Role is something that people, CI or machines are at AWS.
type Role struct {
	Name    string       `json:"name"`
	What    string       `json:"what"`
	Machine cluster.Role `json:"-"` // whose machines have it; empty: people or CI
}

// The roles of people and CI. A machine's is called by its own role.
const (
	Bake    = "bake"
	Promote = "promote"
	Secrets = "secrets"
	Launch  = "launch"
	Operate = "operate"
)

// Roles lists the roles of a cluster: those of people and CI, then its machines'.
func Roles(r *cluster.Resolved) []Role {
	all := []Role{
		{Name: Bake, What: "bakes images by Packer, and records them"},
		{Name: Promote, What: "decides which images are used: channels, copies, protection, removal"},
		{Name: Secrets, What: "puts what each machine may know into Secrets Manager"},
		{Name: Launch, What: "makes launch templates, autoscaling groups, network interfaces and volumes"},
		{Name: Operate, What: "replaces machines: rollouts and rollbacks"},
	}
	for _, role := range MachineRoles(r) {
		all = append(all, Role{Name: string(role), What: "is on the " + string(role) + " machines, by their instance profile", Machine: role})
	}
	return all
}

// Find returns a role of the cluster. Another name is exit.Invalid.
func Find(r *cluster.Resolved, name string) (Role, error) {
	var names []string
	for _, role := range Roles(r) {
		if role.Name == name {
			return role, nil
		}
		names = append(names, role.Name)
	}
	return Role{}, exit.Errorf(exit.Invalid, "%q is not a role of cluster %s, which has: %s", name, r.Name, strings.Join(names, ", "))
}

// For returns what a role may do.
func For(r *cluster.Resolved, role Role, at Place) Document {
	p := parts{r, at}
	var statements []Statement
	switch role.Name {
	case Bake:
		statements = p.bake()
	case Promote:
		statements = p.promote()
	case Secrets:
		statements = p.pushSecrets()
	case Launch:
		statements = p.launch()
	case Operate:
		statements = p.operate()
	default:
		statements = p.machine(role.Machine)
	}
	return Document{Version: version, Statement: slices.Clip(statements)}
}
