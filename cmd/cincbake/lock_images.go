package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
)

// survey is what the images say of a lock.
type survey struct {
	rows   []cluster.LockedImage // what is to be locked
	moment string
	// differences are between the lock and the newest images; notes are what a person should know besides.
	differences []string
	notes       []string
}

// survey finds the newest verified image of each role's present recipe, and what is to be locked of it.
func (f *lockFlags) survey(ctx context.Context, r *cluster.Resolved, known cluster.Lock) (survey, error) {
	roles, err := rolesOf(r, nil)
	if err != nil {
		return survey{}, err
	}
	update, err := named(r, f.update)
	if err != nil {
		return survey{}, err
	}
	release, err := named(r, f.release)
	if err != nil {
		return survey{}, err
	}
	catalogue, err := f.folder.open()
	if err != nil {
		return survey{}, err
	}
	found := survey{moment: known.Snapshot}
	for _, role := range roles {
		row, locked := known.Image(role)
		digest := r.Recipe(role).Digest()
		present := locked && row.RecipeDigest == digest
		if slices.Contains(release, role) {
			if locked {
				found.notes = append(found.notes, fmt.Sprintf("%s: not locked any more", role))
			}
			continue
		}
		entry, err := catalogue.Find(ctx, role, digest)
		switch {
		case errors.Is(err, images.ErrNotFound) && slices.Contains(update, role):
			return survey{}, exit.As(exit.Missing, err)
		case errors.Is(err, images.ErrNotFound):
			found.withoutImage(row, role, locked, present)
		case err != nil:
			return survey{}, err
		case present && !slices.Contains(update, role):
			found.keep(row, entry)
		default:
			found.take(row, entry)
		}
	}
	for _, row := range known.Images {
		if !slices.Contains(roles, row.Role) {
			found.differences = append(found.differences, fmt.Sprintf("%s: locked, and the cluster has no such machines", row.Role))
		}
	}
	switch {
	case len(found.rows) == 0:
		found.moment = ""
	case f.snapshot != "":
		found.moment = f.snapshot
	}
	found.notes = append(found.notes, disagreements(found.rows)...)
	return found, nil
}

// named are the roles that a flag names: none, some, or all of the cluster's.
func named(r *cluster.Resolved, names []string) ([]cluster.Role, error) {
	switch {
	case len(names) == 0:
		return nil, nil
	case slices.Equal(names, []string{"all"}):
		return rolesOf(r, nil)
	}
	return rolesOf(r, names)
}

// withoutImage decides on a role that there is no image of.
func (s *survey) withoutImage(row cluster.LockedImage, role cluster.Role, locked, present bool) {
	switch {
	case present: // the image is elsewhere, or gone; what it held is still what is wanted
		s.rows = append(s.rows, row)
	case locked: // with it, no image of the present recipe could ever be baked
		s.differences = append(s.differences, fmt.Sprintf("%s: locked for another recipe than the cluster's present one", role))
		s.notes = append(s.notes, fmt.Sprintf("%s: not locked any more, for its recipe is another one now: bake first", role))
	default:
		s.notes = append(s.notes, fmt.Sprintf("%s: not locked yet: bake first", role))
	}
}

// keep leaves a row as it is.
func (s *survey) keep(row cluster.LockedImage, newest images.Entry) {
	s.rows = append(s.rows, row)
	changes := changesBetween(row.Packages, lockedPackages(newest.Record))
	if len(changes) == 0 {
		return
	}
	for _, change := range changes {
		s.differences = append(s.differences, fmt.Sprintf("%s: %s", newest.ID, change))
	}
	s.notes = append(s.notes, fmt.Sprintf("%s differs from what is locked in %s: cincbake lock --update %s takes it",
		newest.ID, count(len(changes), "package"), row.Role))
}

// take makes a row of an image.
func (s *survey) take(old cluster.LockedImage, newest images.Entry) {
	row := cluster.LockedImage{Role: newest.Record.Role, RecipeDigest: newest.Record.RecipeDigest, Packages: lockedPackages(newest.Record)}
	s.rows = append(s.rows, row)
	if old.RecipeDigest == row.RecipeDigest && slices.Equal(old.Packages, row.Packages) {
		return // the lock's moment is as good as it was
	}
	s.differences = append(s.differences, fmt.Sprintf("%s: not locked, and %s is there", row.Role, newest.ID))
	// The form sorts as the moments do.
	s.moment = max(s.moment, newest.Record.Created.UTC().Format(cluster.SnapshotForm))
}

// lockedPackages are an image's packages, in the order of a lock.
func lockedPackages(r images.Record) []cluster.LockedPackage {
	list := make([]cluster.LockedPackage, len(r.Packages))
	for i, p := range r.Packages {
		list[i] = cluster.LockedPackage{Name: p.Name, Version: p.Version, Arch: p.Arch}
	}
	slices.SortFunc(list, func(a, b cluster.LockedPackage) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Arch, b.Arch))
	})
	return list
}

// changesBetween tells each package that an image holds otherwise than it is locked.
func changesBetween(locked, held []cluster.LockedPackage) []string {
	versions := func(list []cluster.LockedPackage) map[string]string {
		found := map[string]string{}
		for _, p := range list {
			found[p.Name+" "+p.Arch] = p.Version
		}
		return found
	}
	want, got := versions(locked), versions(held)
	var changes []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		switch version, ok := got[name]; {
		case !ok:
			changes = append(changes, fmt.Sprintf("%s is locked as %s, and is not there", name, want[name]))
		case version != want[name]:
			changes = append(changes, fmt.Sprintf("%s is locked as %s, and is %s", name, want[name], version))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			changes = append(changes, fmt.Sprintf("%s is not locked, and is there as %s", name, got[name]))
		}
	}
	return changes
}

// disagreements tells which packages the rows have in several versions. No moment of Debian has them all, so a bake from a
// snapshot would fail for some of the roles.
func disagreements(rows []cluster.LockedImage) []string {
	seen := map[string]map[string][]string{} // package, version, roles
	for _, row := range rows {
		for _, p := range row.Packages {
			if seen[p.Name] == nil {
				seen[p.Name] = map[string][]string{}
			}
			seen[p.Name][p.Version] = append(seen[p.Name][p.Version], string(row.Role))
		}
	}
	var notes []string
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if len(seen[name]) < 2 {
			continue
		}
		var words []string
		for _, version := range slices.Sorted(maps.Keys(seen[name])) {
			words = append(words, version+" in "+strings.Join(seen[name][version], ", "))
		}
		notes = append(notes, fmt.Sprintf("%s is locked as %s: no snapshot has both. Bake these roles again, and lock them with --update", name, strings.Join(words, " and as ")))
	}
	return notes
}
