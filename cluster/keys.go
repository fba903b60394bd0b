package cluster

import (
	"reflect"
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

// pathOf finds a key in the mappings below the one at path: a key with the wrong indentation. Empty: it is in none.
func pathOf(key string, mapping reflect.Type, path string) string {
	for i := range mapping.NumField() {
		field := mapping.Field(i)
		name := field.Tag.Get("yaml")
		if name == "" || field.Type.Kind() != reflect.Struct || reflect.PointerTo(field.Type).Implements(reflect.TypeFor[shorthand]()) {
			continue // a node's keys stand in too many places to guess one
		}
		for _, known := range keys(field.Type) {
			if known == key {
				return join(join(path, name), key)
			}
		}
		if deeper := pathOf(key, field.Type, join(path, name)); deeper != "" {
			return deeper
		}
	}
	return ""
}

// nearest returns the known word that a person probably meant, or nothing: two slips in a word of six letters or more,
// one in a shorter one, and upper and lower case are the same.
func nearest(word string, known []string) string {
	best, distance := "", 3
	if len(word) < 6 {
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
