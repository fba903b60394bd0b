// Package bake is what the plugin's builder and provisioner agree on.
package bake

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cincbake/cincbake/cluster"
)

// ReportPath is the name under which the builder tells provisioners, among the data of a build, where it wants the boot
// agent's report.
const ReportPath = "CincbakeReport"

// Recipe returns what an image of the role must be made from for the cluster in the file spec.
func Recipe(spec, role string) (cluster.Recipe, error) {
	var problems []error
	if !slices.Contains(cluster.Roles(), cluster.Role(role)) {
		problems = append(problems, fmt.Errorf("role: %q is none of %v", role, cluster.Roles()))
	}
	if spec == "" {
		problems = append(problems, errors.New("spec: name the cluster's file, like cluster.yaml"))
	}
	if err := errors.Join(problems...); err != nil {
		return cluster.Recipe{}, err
	}
	loaded, err := cluster.Load(spec)
	if err != nil {
		return cluster.Recipe{}, err
	}
	resolved, err := loaded.Resolve()
	if err != nil {
		return cluster.Recipe{}, err
	}
	if len(resolved.NodesOf(cluster.Role(role))) == 0 {
		return cluster.Recipe{}, fmt.Errorf("role: cluster %s has no %s machines", resolved.Name, role)
	}
	return resolved.Recipe(cluster.Role(role)), nil
}
