package images

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
)

// CompareLock tells every difference between what is locked for an image and what is installed in it.
func CompareLock(lock cluster.LockedImage, recipe cluster.Recipe, installed []Package) error {
	if lock.RecipeDigest != recipe.Digest() {
		return fmt.Errorf("the lock is for another recipe than %s: run \"cincbake lock\"", recipe)
	}
	type name struct{ name, arch string }
	var names []name
	locked, found := map[name]string{}, map[name]string{}
	for _, p := range lock.Packages {
		locked[name{p.Name, p.Arch}] = p.Version
		names = append(names, name{p.Name, p.Arch})
	}
	for _, p := range installed {
		found[name{p.Name, p.Arch}] = p.Version
		names = append(names, name{p.Name, p.Arch})
	}
	slices.SortFunc(names, func(a, b name) int { return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.arch, b.arch)) })
	var differences []string
	for _, n := range slices.Compact(names) {
		switch want, got := locked[n], found[n]; {
		case want == got:
		case got == "":
			differences = append(differences, fmt.Sprintf("%s %s is locked, and not installed", n.name, want))
		case want == "":
			differences = append(differences, fmt.Sprintf("%s %s is installed, and not locked", n.name, got))
		default:
			differences = append(differences, fmt.Sprintf("%s is locked at %s, and %s is installed", n.name, want, got))
		}
	}
	if len(differences) == 0 {
		return nil
	}
	return errors.New(strings.Join(differences, "; ") +
		": bake from the lock's snapshot, or let the lock follow with \"cincbake lock\"")
}
