package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/operate"
)

// looking is a look at one Cinc Server that is ready from a round on, and a way to stop it after a number of rounds.
func looking(t *testing.T, readyAt, stopAt int) (statusLook, *bytes.Buffer, context.Context) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	var out bytes.Buffer
	round := 0
	return statusLook{
		cluster: &cluster.Resolved{},
		w:       &out,
		pause:   time.Millisecond,
		ask: func(context.Context) []operate.NodeStatus {
			round++
			if round == stopAt {
				stop()
			}
			status := cluster.Status{Result: cluster.ResultReady, Phase: "ready", Service: &cluster.Service{Status: "pong"}}
			if round < readyAt {
				status.Result, status.Phase = cluster.ResultRunning, "apply"
			}
			return []operate.NodeStatus{{Node: cluster.Node{Name: "standalone-1", Role: cluster.RoleStandalone}, Status: status}}
		},
	}, &out, ctx
}

const never = 1 << 30

func TestStatusLooks(t *testing.T) {
	for _, row := range []struct {
		name            string
		readyAt, stopAt int
		set             func(*statusLook)
		tables, wholes  int
		err             string
		code            exit.Code
	}{
		{"once, whole", 1, never, func(*statusLook) {}, 1, 1, "", exit.Done},
		{"once, not whole", never, never, func(*statusLook) {}, 1, 0, errTold.Error(), exit.Failed},
		{"watched until stopped", 2, 4, func(l *statusLook) { l.watch = true }, 3, 2, "", exit.Done},
		{"until whole", 3, never, func(l *statusLook) { l.within = time.Minute }, 1, 1, "", exit.Done},
		{"watched until whole", 3, never, func(l *statusLook) { l.watch, l.within = true, time.Minute }, 3, 1, "", exit.Done},
		{
			"never whole", never, never, func(l *statusLook) { l.within = time.Second },
			1, 0, "the cluster is not whole after 1s", exit.TimedOut,
		},
		{"stopped before it is whole", never, 2, func(l *statusLook) { l.within = time.Minute }, 0, 0, "context canceled", exit.Failed},
	} {
		t.Run(row.name, func(t *testing.T) {
			look, out, ctx := looking(t, row.readyAt, row.stopAt)
			row.set(&look)
			err := look.run(ctx)
			if exit.CodeOf(err) != row.code || err != nil && err.Error() != row.err {
				t.Errorf("got %v (exit code %d)", err, exit.CodeOf(err))
			}
			if got := strings.Count(out.String(), "NODE"); got != row.tables {
				t.Errorf("%d tables instead of %d:\n%s", got, row.tables, out)
			}
			if got := strings.Count(out.String(), "the cluster is whole"); got != row.wholes {
				t.Errorf("%d of them whole instead of %d:\n%s", got, row.wholes, out)
			}
			if strings.Contains(out.String(), "\x1b") {
				t.Error("a terminal's commands where there is none")
			}
		})
	}
}

// A cluster whose certificates are in their last days is whole, and not well. Waiting for a whole one ends all the same: what
// renews them needs one.
func TestStatusOfLastDays(t *testing.T) {
	for _, row := range []struct {
		left   time.Duration
		within time.Duration
		code   exit.Code
		want   string
	}{
		{7*24*time.Hour + time.Minute, 0, exit.Done, "warning: certificates end soon: standalone-1 (7 days)"},
		{7*24*time.Hour - time.Minute, 0, exit.Failed, "urgent: certificates end within days: standalone-1 (6 days)"},
		{7*24*time.Hour - time.Minute, time.Minute, exit.Done, "urgent: certificates end within days"},
	} {
		look, out, ctx := looking(t, 1, never)
		look.within = row.within
		ask := look.ask
		look.ask = func(ctx context.Context) []operate.NodeStatus {
			all := ask(ctx)
			all[0].Status.CertificateExpires = time.Now().Add(row.left)
			return all
		}
		if err := look.run(ctx); exit.CodeOf(err) != row.code || !strings.Contains(out.String(), "the cluster is whole\n"+row.want) {
			t.Errorf("%v left: %v, and it says\n%s", row.left, err, out)
		}
	}
}

func TestStatusNobodyAskedInTime(t *testing.T) {
	look, out, ctx := looking(t, never, never)
	look.within = time.Millisecond
	ask := look.ask
	look.ask = func(ctx context.Context) []operate.NodeStatus {
		<-ctx.Done()
		return ask(ctx)
	}
	if err := look.run(ctx); exit.CodeOf(err) != exit.TimedOut || out.Len() > 0 {
		t.Errorf("printed %q, and ended with %v", out, err)
	}
}

func TestStatusOnATerminal(t *testing.T) {
	look, out, ctx := looking(t, 1, 3)
	look.watch, look.clear = true, true
	if err := look.run(ctx); err != nil {
		t.Fatal(err)
	}
	const wipe = "\x1b[H\x1b[2J"
	if !strings.HasPrefix(out.String(), wipe) || strings.Count(out.String(), wipe) != 2 {
		t.Errorf("not drawn over itself twice: %q", out)
	}
}

func TestStatusPrintsADocumentPerLook(t *testing.T) {
	look, out, ctx := looking(t, 2, never)
	look.watch, look.within, look.json, look.clear = true, time.Minute, true, true
	if err := look.run(ctx); err != nil {
		t.Fatal(err)
	}
	var lacks [][]string
	decoder := json.NewDecoder(out)
	for {
		var report clusterStatus
		if err := decoder.Decode(&report); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if report.Whole != (len(report.Lacks) == 0) || report.Warnings == nil || report.Urgent == nil || len(report.Nodes) != 1 {
			t.Errorf("got %+v", report)
		}
		lacks = append(lacks, report.Lacks)
	}
	if diff := cmp.Diff([][]string{{"standalone-1 is running in phase apply"}, {}}, lacks); diff != "" {
		t.Error(diff)
	}
}
