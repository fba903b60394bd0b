package cluster

import (
	"reflect"
	"slices"
	"strings"
)

// keys lists the keys of a mapping type in the order in which people write them.
func keys(mapping reflect.Type) []string {
	var list []string
	for i := range mapping.NumField() {
		if key := mapping.Field(i).Tag.Get("yaml"); key != "" {
			list = append(list, key)
		}
	}
	return list
}

// pathsOf finds a key in the mappings below the one at path.
func pathsOf(key string, mapping reflect.Type, path string) []string {
	var found []string
	for i := range mapping.NumField() {
		field := mapping.Field(i)
		name := field.Tag.Get("yaml")
		kind := plain(field.Type)
		if name == "" || kind.Kind() != reflect.Struct || kind == reflect.TypeFor[NodeSpec]() {
			continue // a node's keys stand in too many places to guess one
		}
		if slices.Contains(keys(kind), key) {
			found = append(found, join(join(path, name), key))
		}
		found = append(found, pathsOf(key, kind, join(path, name))...)
	}
	return found
}

// misplaced returns where a key with the wrong indentation was probably meant to stand: in the one mapping that takes it,
// or the one that the file has before this place. Empty: there is none, or more than one.
func (d *decoder) misplaced(key string) string {
	all := pathsOf(key, reflect.TypeFor[Spec](), "")
	if len(all) == 1 {
		return all[0]
	}
	written := slices.DeleteFunc(all, func(path string) bool { return !d.spec.written(parent(path)) })
	if len(written) == 1 {
		return written[0]
	}
	return ""
}

// plain returns a type without the pointer before it.
func plain(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// nearest returns the known word that a person probably meant, or nothing: two slips in a word of six letters or more,
// one in a shorter one, none in one of two, and upper and lower case are the same.
func nearest(word string, known []string) string {
	best, distance := "", 3
	switch {
	case len(word) < 3:
		distance = 1
	case len(word) < 6:
		distance = 2
	}
	if len(word) > longestShown {
		return ""
	}
	for _, candidate := range known {
		if slips := slips(strings.ToLower(word), strings.ToLower(candidate)); slips < distance {
			best, distance = candidate, slips
		}
	}
	return best
}

// slips counts the letters to insert, remove, replace or swap with their neighbour to turn a into b (the optimal string
// alignment distance).
func slips(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replaced := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
