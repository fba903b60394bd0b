package cinc

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/step"
)

func TestReindexState(t *testing.T) {
	for _, test := range []struct {
		name, shown string
		want        Reindexing
	}{
		{"never", "LoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\n", Reindexing{}},
		{"at work", "LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\n", Reindexing{Running: true, Result: "success"}},
		{"through", "LoadState=loaded\nActiveState=active\nSubState=exited\nResult=success\n", Reindexing{Result: "success"}},
		{"failed", "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\n", Reindexing{Result: "exit-code", Said: "no search"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := step.NewRecorder()
			host.Answer = func(c step.Command) (step.Output, error) {
				if c.Argv[0] == "journalctl" {
					return step.Output{Stdout: []byte("no search\n")}, nil
				}
				return step.Output{Stdout: []byte(test.shown)}, nil
			}
			got, err := ReindexState(t.Context(), host)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if err := OrderReindex(t.Context(), host); err != nil {
				t.Fatal(err)
			}
			last := strings.Join(host.Ran[len(host.Ran)-1].Argv, " ")
			if began := strings.HasSuffix(last, "cincbake-node reindex"); began == test.want.Running {
				t.Errorf("an order began one: %v; the last command was %s", began, last)
			}
		})
	}
}

func TestDrained(t *testing.T) {
	host := step.NewRecorder()
	for _, want := range []bool{true, false, false, true} {
		if err := Drain(host, want); err != nil {
			t.Fatal(err)
		}
		if got, err := Drained(host); err != nil || got != want {
			t.Errorf("drained: %v, %v", got, err)
		}
	}
}
