package main

import (
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/launch"
	"github.com/cincbake/cincbake/operate"
)

func TestLaunchStatusJudges(t *testing.T) {
	green := launch.Status{Cluster: "prod", Groups: []launch.GroupStatus{{Name: "cincbake-prod-heartbeat"}}}
	red := launch.Status{Cluster: "prod", Groups: []launch.GroupStatus{{Name: "cincbake-prod-heartbeat", Missing: true}}}
	machine := func(name string, result cluster.Result, silence string) operate.NodeStatus {
		return operate.NodeStatus{
			Node:   cluster.Node{Name: name, Role: cluster.RoleAPI},
			Status: cluster.Status{Node: name, Result: result, Phase: "join", Service: &cluster.Service{Status: "pong"}},
			Error:  silence,
		}
	}
	ready, waits, off := machine("a", cluster.ResultReady, ""), machine("b", cluster.ResultWaiting, ""), machine("c", "", "c at 10.0.0.3: connection refused")
	tests := []struct {
		name   string
		status launch.Status
		nodes  []operate.NodeStatus
		want   string // in the error; "": all is well
	}{
		{"groups, no machine asked", green, nil, ""},
		{"a group is missing", red, []operate.NodeStatus{ready}, "not as its groups are to be"},
		{"machines ready", green, []operate.NodeStatus{ready}, ""},
		{"one waits", green, []operate.NodeStatus{ready, waits}, "b is waiting"},
		{"one is silent", green, []operate.NodeStatus{ready, off}, "connection refused"},
		{"all are silent, as from outside the network", green, []operate.NodeStatus{off, off}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := launchStatus{Status: test.status, Nodes: test.nodes}
			err := s.judge()
			if s.Green != (test.want == "") || (err == nil) != s.Green || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("green %v, %v", s.Green, err)
			}
		})
	}
}
