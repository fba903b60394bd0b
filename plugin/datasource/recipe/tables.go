package recipe

import (
	"fmt"

	"github.com/cincbake/cincbake/cluster"
)

// source is where a system's own images are on AWS.
type source struct {
	os, arch    string
	owner, name string
}

// sources is the table; another system or processor is another row.
func sources() []source {
	const debian = "136693071363" // the account that Debian publishes its images from: wiki.debian.org/Cloud/AmazonEC2Image
	return []source{
		{"debian-13", "amd64", debian, "debian-13-amd64-*"},
		{"debian-13", "arm64", debian, "debian-13-arm64-*"},
	}
}

func sourceOf(os, arch string) (source, error) {
	for _, row := range sources() {
		if row.os == os && row.arch == arch {
			return row, nil
		}
	}
	return source{}, fmt.Errorf("it is not known who publishes %s for %s on AWS", os, arch)
}

// buildType bakes where the spec names no type: two processors and 8 GiB, on either of which a bake spends minutes.
const buildType = "m6i.large"

// instanceType is that of the role's first machine, so that an image is baked on what it runs on.
func instanceType(r *cluster.Resolved, role cluster.Role) string {
	for _, n := range r.NodesOf(role) {
		if n.Placement != nil && n.Placement.InstanceType != "" {
			return n.Placement.InstanceType
		}
	}
	if r.API != nil && r.API.InstanceType != "" && (role == cluster.RoleAPI || role == cluster.RoleStandalone) {
		return r.API.InstanceType
	}
	return buildType
}

// volume is the size of a root volume in GiB: the system takes 2, the journal half of one, and the rest is the role's own
// programs and what they write beside their data volume.
func volume(role cluster.Role) int {
	switch role {
	case cluster.RoleStandalone: // Cinc Server, its database and its search index
		return 40
	case cluster.RoleAPI, cluster.RoleOpenSearch: // a large package each, and their logs
		return 20
	case cluster.RolePostgres:
		return 10
	}
	return 8
}
