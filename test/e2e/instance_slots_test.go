//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// TestInstancesSelfHosted is TestInstances' account with a cluster whose search is its own, too: every machine of it is
// replaced by the one command that people type, while clients write.
func TestInstancesSelfHosted(t *testing.T) {
	c := newCloud(t, "heartbeat-1", "postgres-1", "postgres-2", "opensearch-1", "opensearch-2", "opensearch-3", "api")
	c.writeSpec(t, 2, ownDatabase, c.ownSearch)
	c.tell(t, []chapter{
		{"AMIs are baked, recorded and promoted", testCloudBake},
		{"groups launch machines that get ready", testCloudLaunch},
		{"the machines are a cluster", testCloudWhole},
		{"every machine is replaced, role by role, and clients go on", testCloudReplaceAll},
		{"no secret is where none may be", testCloudSecrets},
	})
}

// ownSearch is one of the cluster's own.
func (c *cloud) ownSearch(t *testing.T, subnets []string) string {
	t.Helper()
	_, search := c.standins(t)
	var nodes []string
	for _, subnet := range subnets {
		nodes = append(nodes, "{subnet: "+subnet+"}")
	}
	return fmt.Sprintf("opensearch: {version: 1.3.20, package: {file: %s}, instanceType: r6i.large, volume: {size: 8}, nodes: [%s]}", search, strings.Join(nodes, ", "))
}

// slot is what stays of a slot when its machine goes, and the machine.
type slot struct{ Volume, Address, Instance, Image string }

func (c *cloud) slots() map[string]slot {
	all := map[string]slot{}
	for _, m := range c.running() {
		if name := m.name(); m.instance.Tags[cluster.TagNode] != "" {
			all[name] = slot{m.volume, m.card.Address.String(), m.instance.ID, m.instance.Image}
		}
	}
	return all
}

// testCloudReplaceAll has the databases' image exchanged and every other machine become a larger one: both are versions of
// launch templates, which launch rollout makes true.
func testCloudReplaceAll(t *testing.T, c *cloud) {
	ami := c.bakeChanged(t, "postgres", "changed")
	c.write(t, "cluster.yaml", strings.NewReplacer("m6i.large", "m6i.xlarge", "r6i.large", "r6i.xlarge").Replace(c.text(t, "cluster.yaml")))
	c.must(t, 3*time.Minute, "launch", "apply")
	before, primary := c.slots(), c.primary(t)
	stop := c.clients(t, 5*time.Second)
	began := time.Now()
	said, err := c.operator(t, 20*time.Minute, "launch", "rollout", "--wait", "4m")
	took := time.Since(began)
	stop("every machine replaced")
	if err != nil {
		for _, m := range c.running() {
			t.Log(m.diagnosis(c.host))
		}
		t.Fatalf("%v\n%s", err, said)
	}
	c.figure(t, "%d machines replaced in %.1f s", len(c.running()), took.Seconds())
	for name, now := range c.slots() {
		was := before[name]
		if now.Instance == was.Instance {
			t.Errorf("%s is the machine of before", name)
		}
		same(t, "what stays of "+name, []string{now.Volume, now.Address}, []string{was.Volume, was.Address})
		if strings.HasPrefix(name, "postgres-") {
			same(t, "the image of "+name, now.Image, ami)
		}
	}
	same(t, "the pool's machines", len(c.pool(t)), 2)
	var roles, names []string
	machines := c.running()
	slices.SortFunc(machines, func(a, b *cloudMachine) int { return a.began.Compare(b.began) })
	for _, m := range machines {
		roles, names = append(roles, m.instance.Tags[cluster.TagRole]), append(names, m.name())
	}
	same(t, "the order of roles", slices.Compact(roles), []string{"heartbeat", "postgres", "opensearch", "api"})
	same(t, "the place of the old primary", slices.Index(names, primary), 2)
	if said, err := c.operator(t, time.Minute, "launch", "status"); err != nil {
		t.Errorf("launch status: %v\n%s", err, said)
	}
	same(t, "what was written before", c.sql(t, "select value from kept"), "42")
}
