package machine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCutScript(t *testing.T) {
	heal := []string{"add table bridge cut_node1", "delete table bridge cut_node1"}
	if diff := cmp.Diff(heal, healScript("node1")); diff != "" {
		t.Error(diff)
	}
	begin := append(heal[:2:2],
		"add table bridge cut_node1",
		"add chain bridge cut_node1 forward { type filter hook forward priority 0; policy accept; }",
	)
	for name, row := range map[string]struct{ with, want []string }{
		"alone": {nil, []string{
			`add rule bridge cut_node1 forward iifname "node1" drop`,
			`add rule bridge cut_node1 forward oifname "node1" drop`,
		}},
		"with others": {[]string{"node2", "node5"}, []string{
			`add rule bridge cut_node1 forward iifname "node1" oifname != { "node2", "node5" } drop`,
			`add rule bridge cut_node1 forward oifname "node1" iifname != { "node2", "node5" } drop`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(append(begin[:4:4], row.want...), cutScript("node1", row.with)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadCuts(t *testing.T) {
	got := readCuts("table bridge cut_node3\ntable bridge filter\ntable bridge cut_node1\n\n")
	if diff := cmp.Diff([]string{"node1", "node3"}, got); diff != "" {
		t.Error(diff)
	}
	if got := readCuts(""); got != nil {
		t.Errorf("nothing is cut, and it reads %q", got)
	}
}
