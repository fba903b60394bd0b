package cloudinit_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
)

// BenchmarkThousandSeeds writes the seeds of a pool of 1,000 API nodes as folders. The goal is a second and 100 MB on two cores.
func BenchmarkThousandSeeds(b *testing.B) {
	r := selfHosted()
	r.API.Pool, r.Nodes = pool("10.20.4.0", 1000), slices.DeleteFunc(r.Nodes, func(n cluster.Node) bool { return n.Role == cluster.RoleAPI && n.Slot > 1 })
	r.Nodes[2].Address = r.API.Pool[0]
	for i := 0; b.Loop(); i++ {
		out := filepath.Join(b.TempDir(), fmt.Sprint(i))
		for slot := 1; slot <= len(r.API.Pool); slot++ {
			node, err := r.PoolNode(slot)
			if err != nil {
				b.Fatal(err)
			}
			if err := cloudinit.WriteDir(render(b, r, node), filepath.Join(out, node.Name)); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Seconds())/float64(b.N), "s/1000-seeds")
}
