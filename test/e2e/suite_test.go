//go:build e2e

// Package e2e drives the built programs as a user would: it bakes the images, boots a cluster from them, breaks it in
// every way that the promise covers, and looks for secrets where none may be.
package e2e

import (
	"strings"
	"testing"
)

// TestCluster is one story in order: each part goes on from what the one before it left. A part that fails ends the story,
// since nothing after it would mean anything.
func TestCluster(t *testing.T) {
	b := newBench(t)
	t.Cleanup(func() { t.Logf("figures:\n  %s", strings.Join(b.figures, "\n  ")) })

	for _, part := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		// From a file to images.
		{"a spec is written, checked and rendered", testSpec},
		{"both images are baked", testBake},
		{"an unchanged role has the same content", testBakeAgain},
		{"a changed file is another content", testBakeChanged},
		{"a bake that is stopped leaves nothing", testBakeStopped},

		// From images to a cluster.
		{"three machines form a cluster", testUp},
		{"cloud-init in the image accepts the seed", testSeedSchema},
		{"every file of the map is on the machines", testMap},
		{"two machines of one image are not the same", testClones},
		{"the failover settings are in effect", testSettings},

		// What it survives.
		{"the primary loses power", testPowerOff},
		{"a planned switchover", testSwitchover},
		{"PostgreSQL and Patroni are killed", testKill},
		{"a machine boots without its seed", testNoSeed},
		{"each machine is replaced with an empty disk", testReplace},
		{"two empty machines form nothing while the third is down", testTwoEmpty},

		// What it keeps to itself.
		{"no secret is where none may be", testSecrets},
		{"down leaves nothing behind", testDown},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, b) }) {
			t.Fatalf("the story ends here")
		}
	}
}
