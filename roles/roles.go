// Package roles lists the roles that this release builds. Each has a folder of its own below.
package roles

import (
	"fmt"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/api"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/heartbeat"
	"github.com/cincbake/cincbake/roles/lb"
	"github.com/cincbake/cincbake/roles/opensearch"
	"github.com/cincbake/cincbake/roles/postgres"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/roles/standalone"
	"github.com/cincbake/cincbake/step"
)

// All returns every role, in the order of cluster.Roles.
func All() []role.Role {
	return []role.Role{lb.Role{}, api.Role{}, standalone.Role{}, postgres.Role{}, heartbeat.Role{}, opensearch.Role{}}
}

// Of returns the role called name.
func Of(name cluster.Role) (role.Role, error) {
	for _, r := range All() {
		if r.Name() == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("no role %q", name)
}

// Bake returns everything that a bake does at a site: what makes the machine ready for it, and then what makes it the role's.
func Bake(recipe cluster.Recipe, site cluster.Site) (open, plan step.Plan, err error) {
	r, err := Of(recipe.Role)
	if err != nil {
		return nil, nil, err
	}
	if open, err = base.Open(recipe, site); err != nil {
		return nil, nil, err
	}
	plan, err = r.Bake(recipe)
	return open, plan, err
}
