package cluster

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed example/*.yaml
var examples embed.FS

// Topologies lists the topologies that have an example, the smallest first.
func Topologies() []Topology { return []Topology{DatabaseOnly, Standalone, Managed, SelfHosted} }

// Platforms lists the platforms.
func Platforms() []Platform { return []Platform{OnPrem, AWS} }

// PlatformsOf lists the platforms that clusters of a topology run on.
func PlatformsOf(topology Topology) []Platform {
	if topology == DatabaseOnly {
		return []Platform{OnPrem}
	}
	return Platforms()
}

// Example returns the commented spec that "cincbake init" writes for a topology and a platform.
func Example(topology Topology, platform Platform) (string, error) {
	if !slices.Contains(Topologies(), topology) {
		return "", fmt.Errorf("topology %s: there is no such topology (use %s)", show(string(topology)), oneOf(Topologies()))
	}
	if !slices.Contains(Platforms(), platform) {
		return "", fmt.Errorf("platform %s: there is no such platform (use %s)", show(string(platform)), oneOf(Platforms()))
	}
	if !slices.Contains(PlatformsOf(topology), platform) {
		return "", fmt.Errorf("topology %s: there are no such clusters on platform %s (use platform %s)", topology, platform, OnPrem)
	}
	text, err := examples.ReadFile(fmt.Sprintf("example/%s-%s.yaml", topology, platform))
	if err != nil {
		return "", fmt.Errorf("example of a %s cluster on %s: %w", topology, platform, err)
	}
	return string(text), nil
}

// oneOf lists words as people do, like "a, b or c".
func oneOf[word ~string](words []word) string {
	var list []string
	for _, w := range words {
		list = append(list, string(w))
	}
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}
