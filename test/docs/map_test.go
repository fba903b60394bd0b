package docs

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/node"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// source is where a file of a machine comes from.
type source struct{ Package, Phase string }

// TestArchitectureMapsEveryFile holds the map of docs/architecture.md against the seeds and plans that the code makes.
func TestArchitectureMapsEveryFile(t *testing.T) {
	written := map[string]source{
		// These four are written by code and not by a plan.
		node.StatusFile:                  {"node", "every"},
		role.DataDir + "/cincbake.json":  {"node", "disk"},
		etcd.RecordFile:                  {"roles/etcd", "join"},
		"/etc/cloud/cloud-init.disabled": {"node", "scrub"},
	}
	r, bundle := sample(t)
	for _, n := range r.Nodes {
		scoped, err := bundle.Scope(n)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range seedFiles(t, r, n, scoped) {
			written[path] = source{"cloudinit", "cloud-init"}
		}
		for _, path := range planFiles(t, role.Inputs{Cluster: r, Self: n, Secrets: scoped}) {
			written[path.file] = source{path.by, "apply"}
		}
	}
	if diff := cmp.Diff(written, documented(t)); diff != "" {
		t.Errorf("files that a boot writes (-code +docs/architecture.md):\n%s", diff)
	}
}

// sample is a cluster that uses every key of the spec, and its secrets.
func sample(t *testing.T) (*cluster.Resolved, *secrets.Bundle) {
	t.Helper()
	text, err := cluster.Example(cluster.SelfHosted, cluster.OnPrem)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := secrets.Generate(r, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return r, bundle
}

func seedFiles(t *testing.T, r *cluster.Resolved, n cluster.Node, scoped secrets.Scoped) []string {
	t.Helper()
	seed, err := cloudinit.Render(r, n, scoped)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		WriteFiles []struct{ Path string } `yaml:"write_files"`
	}
	if err := yaml.Unmarshal(seed.UserData, &config); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, file := range config.WriteFiles {
		paths = append(paths, file.Path)
	}
	return paths
}

type planned struct{ file, by string }

// planFiles lists the files of the machine's boot plan, those of a rescue among them, by the package that makes the step.
func planFiles(t *testing.T, in role.Inputs) []planned {
	t.Helper()
	in.Joined.Etcd.Rescue = true
	kind, err := roles.Of(in.Self.Role)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := kind.Boot(in)
	if err != nil {
		t.Fatal(err)
	}
	shared := []struct {
		by   string
		plan step.Plan
	}{{"roles/base", base.Boot(in)}, {"roles/etcd", etcd.Boot(in)}}

	var found []planned
	for _, path := range filesOf(plan) {
		by := "roles/" + string(in.Self.Role)
		for _, s := range shared {
			if slices.Contains(filesOf(s.plan), path) {
				by = s.by
			}
		}
		found = append(found, planned{path, by})
	}
	return found
}

func filesOf(plan step.Plan) []string {
	var paths []string
	for _, s := range plan {
		if file, ok := s.Action.(step.File); ok {
			paths = append(paths, file.Path)
		}
	}
	return paths
}

// documented reads the map's table.
func documented(t *testing.T) map[string]source {
	t.Helper()
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	table := make(map[string]source)
	for _, row := range regexp.MustCompile("(?m)^\\| `(/[^`]+)` \\| ([^|]+) \\| `([^`]+)` \\| ([^|]+) \\|$").FindAllStringSubmatch(string(text), -1) {
		if _, twice := table[row[1]]; twice {
			t.Errorf("%s is in the map twice", row[1])
		}
		table[row[1]] = source{row[3], strings.TrimSpace(row[4])}
	}
	return table
}
