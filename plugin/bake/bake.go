// Package bake is what the plugin's components agree on: what is baked (Job), what comes back from the baked machine
// (Results), and how that becomes an image of the catalogue (Publish).
package bake

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cincbake/cincbake/cluster"
)

// Job is a bake of one role: everything that the cluster's file says about it.
type Job struct {
	Cluster *cluster.Resolved
	Recipe  cluster.Recipe
	Site    cluster.Site
	// PackageFile is the file on this host that holds the recipe's package, where the spec names a file.
	PackageFile string
	// Locked is what the image must hold, where the lock file says so.
	Locked *cluster.LockedImage
}

// Load returns the job of a role of the cluster in the file spec. With snapshot, Debian is taken as it was at the lock's
// moment. Templates are checked by it, also those of a cluster whose official packages nobody has looked up yet: what bakes
// asks for Recipe.Complete before it does anything.
func Load(spec, role string, snapshot bool) (Job, error) {
	var problems []error
	if !slices.Contains(cluster.Roles(), cluster.Role(role)) {
		problems = append(problems, fmt.Errorf("role: %q is none of %v", role, cluster.Roles()))
	}
	if spec == "" {
		problems = append(problems, errors.New("spec: name the cluster's file, like cluster.yaml"))
	}
	if err := errors.Join(problems...); err != nil {
		return Job{}, err
	}
	loaded, err := cluster.Load(spec)
	if err != nil {
		return Job{}, err
	}
	resolved, err := loaded.Resolve()
	if err != nil {
		return Job{}, err
	}
	if len(resolved.NodesOf(cluster.Role(role))) == 0 {
		return Job{}, fmt.Errorf("role: cluster %s has no %s machines", resolved.Name, role)
	}
	job := Job{Cluster: resolved, Recipe: resolved.Recipe(cluster.Role(role)), Site: resolved.Site(), PackageFile: resolved.PackageFile(cluster.Role(role))}
	if locked, ok := resolved.Lock.Image(cluster.Role(role)); ok {
		if locked.RecipeDigest != job.Recipe.Digest() {
			return Job{}, fmt.Errorf("the lock file's %s image is for another recipe than %s: run \"cincbake lock\" once an image of this one is there, or remove its row", role, job.Recipe)
		}
		job.Locked = &locked
	}
	if snapshot {
		if resolved.Lock.Snapshot == "" {
			return Job{}, errors.New("snapshot: the lock file names no moment: run \"cincbake lock\" first")
		}
		job.Site.Snapshot = resolved.Lock.Snapshot
	}
	return job, nil
}
