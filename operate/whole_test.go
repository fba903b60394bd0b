package operate

import (
	"testing"

	"github.com/cincbake/cincbake/cluster"
)

func TestWhole(t *testing.T) {
	// Each row breaks one thing of a whole cluster.
	for _, row := range []struct {
		name  string
		spoil func(one, two, heartbeat *NodeStatus)
		want  string
	}{
		{"nothing", func(_, _, _ *NodeStatus) {}, ""},
		{"a silent node", func(_, _, h *NodeStatus) { h.Error = "heartbeat-1 does not answer" }, "heartbeat-1 does not answer"},
		{"a failed node", func(_, _, h *NodeStatus) {
			h.Status.Result, h.Status.Phase, h.Status.Reason = cluster.ResultFailed, "apply", "no space"
		}, "heartbeat-1 is failed in phase apply: no space"},
		{"no primary", func(one, _, _ *NodeStatus) { one.Status.Database = standby() }, "no database node is primary"},
		{
			"two primaries", func(_, two, _ *NodeStatus) { two.Status.Database = primary() },
			"2 database nodes say that they are primary: postgres-1, postgres-2\nno database node is a synchronous standby",
		},
		{"a primary that starts", func(one, _, _ *NodeStatus) { one.Status.Database.State = "starting" }, "the primary postgres-1 is starting"},
		{"an asynchronous standby", func(_, two, _ *NodeStatus) { two.Status.Database.Role = "replica" }, "no database node is a synchronous standby"},
		{
			"a standby that does not stream", func(_, two, _ *NodeStatus) { two.Status.Database.State = "running" },
			"postgres-2 is a sync_standby, and running instead of streaming",
		},
		{
			"no database", func(_, two, _ *NodeStatus) { two.Status.Database = nil },
			"postgres-2 runs no database\nno database node is a synchronous standby",
		},
		{"two timelines", func(_, two, _ *NodeStatus) { two.Status.Database.Timeline = 1 }, "the database nodes are not on one timeline"},
		{"no etcd", func(_, _, h *NodeStatus) { h.Status.Quorum = nil }, "heartbeat-1 runs no etcd"},
		{"no quorum", func(_, _, h *NodeStatus) { h.Status.Quorum = &cluster.Quorum{} }, "heartbeat-1 sees no healthy quorum"},
		{"a missing member", func(_, _, h *NodeStatus) { h.Status.Quorum.Members = 2 }, "heartbeat-1 sees a quorum of 2 members instead of 3"},
		{"two clusters", func(_, _, h *NodeStatus) { h.Status.Quorum.ClusterID = "c2" }, "the voters are in different etcd clusters"},
		{"two leaders", func(_, _, h *NodeStatus) { h.Status.Quorum.Leader = "postgres-1" }, "the voters do not agree on etcd's leader"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := testCluster()
			all := []NodeStatus{
				{Node: c.Nodes[0], Status: ready(primary())},
				{Node: c.Nodes[1], Status: ready(standby())},
				{Node: c.Nodes[2], Status: ready(nil)},
			}
			row.spoil(&all[0], &all[1], &all[2])
			got := ""
			if err := Whole(all); err != nil {
				got = err.Error()
			}
			if got != row.want {
				t.Errorf("got  %q\nwant %q", got, row.want)
			}
		})
	}
}
