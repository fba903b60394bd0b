package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
)

const (
	poolSize = 50
	clusters = 1000 / poolSize
)

// BenchmarkThousandSeeds does what `render` does, for 20 clusters with a pool of 50 API nodes each: every seed is rendered, held
// against cloud-init's schema and written. The goals are a second and 100 MB on two cores; a slow file system takes
// longer for 5,000 new files and folders than the work does.
func BenchmarkThousandSeeds(b *testing.B) {
	for _, format := range []string{formatDir, formatISO} {
		b.Run(format, func(b *testing.B) {
			r, bundle := largePool(b)
			nodes := r.NodesOf(cluster.RoleAPI)
			var heap uint64
			for i := 0; b.Loop(); i++ {
				out := filepath.Join(b.TempDir(), fmt.Sprint(i))
				for c := range clusters {
					f := renderFlags{resolved: r, format: format, out: filepath.Join(out, fmt.Sprint(c))}
					if _, err := f.write(nodes, bundle); err != nil {
						b.Fatal(err)
					}
				}
				var memory runtime.MemStats
				runtime.ReadMemStats(&memory)
				heap = max(heap, memory.HeapSys)
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/1000-seeds")
			b.ReportMetric(float64(heap)/1e6, "heap-MB")
		})
	}
}

// BenchmarkThousandImages packs seeds that are rendered already, which is all that cloud-localds does.
func BenchmarkThousandImages(b *testing.B) {
	r, bundle := largePool(b)
	nodes := r.NodesOf(cluster.RoleAPI)
	seeds, err := seedsOf(r, nodes, bundle)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		out := filepath.Join(b.TempDir(), fmt.Sprint(i))
		err := forEach(clusters*poolSize, func(n int) error {
			name := nodes[n%poolSize].Name
			return cloudinit.WriteISO(seeds[name], filepath.Join(out, fmt.Sprint(n/poolSize), name+".iso"))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/1000-seeds")
}

// largePool is the example with more API nodes, and its secrets.
func largePool(b *testing.B) (*cluster.Resolved, *secrets.Bundle) {
	b.Helper()
	text, err := cluster.Example(cluster.SelfHosted, cluster.OnPrem)
	if err != nil {
		b.Fatal(err)
	}
	text = strings.NewReplacer("10.20.0.20-10.20.0.29", "10.20.0.100-10.20.0.149", "nodes: 2 ", fmt.Sprintf("nodes: %d ", poolSize)).Replace(text)
	r := resolve(b, text)
	if n := len(r.NodesOf(cluster.RoleAPI)); n != poolSize {
		b.Fatalf("%d API nodes: has the example changed?", n)
	}
	bundle, err := secrets.Generate(r, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	return r, bundle
}

func resolve(tb testing.TB, text string) *cluster.Resolved {
	tb.Helper()
	spec, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	r, err := spec.Resolve()
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// BenchmarkFiveRoles reads, checks, resolves and renders a whole cluster of five roles and ten machines. The goal is 5 ms.
func BenchmarkFiveRoles(b *testing.B) {
	text, err := cluster.Example(cluster.SelfHosted, cluster.OnPrem)
	if err != nil {
		b.Fatal(err)
	}
	r := resolve(b, text)
	bundle, err := secrets.Generate(r, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r := resolve(b, text)
		if _, err := seedsOf(r, r.Nodes, bundle); err != nil {
			b.Fatal(err)
		}
	}
}
