// Package roles lists the roles that this release builds. Each has a folder of its own below.
package roles

import (
	"fmt"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/heartbeat"
	"github.com/cincbake/cincbake/roles/postgres"
	"github.com/cincbake/cincbake/roles/role"
)

// All returns every role, in the order of cluster.Roles.
func All() []role.Role { return []role.Role{postgres.Role{}, heartbeat.Role{}} }

// Of returns the role called name.
func Of(name cluster.Role) (role.Role, error) {
	for _, r := range All() {
		if r.Name() == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("no role %q", name)
}
