package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/roles/pgbackrest"
	"github.com/cincbake/cincbake/secrets"
)

var (
	oldBackup = pgbackrest.Backup{Label: "20261126-020000F", Type: pgbackrest.Full, Bytes: 1 << 20}
	newBackup = pgbackrest.Backup{Label: "20261126-020000F_20261126-120000D", Type: pgbackrest.Differential, Bytes: 2 << 20}
)

// copying is a primary that answers GET /v1/backup with one state after the other, the last one for ever, and takes orders.
func copying(ordered *string, states ...pgbackrest.State) http.Handler {
	var asked atomic.Int32
	mux := http.NewServeMux()
	mux.Handle("GET /v1/status", saying(ready(primary())))
	mux.HandleFunc("GET /v1/backup", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(states[min(int(asked.Add(1))-1, len(states)-1)])
	})
	mux.HandleFunc("POST /v1/backup", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*ordered = string(body)
		_, _ = io.WriteString(w, `{"ordered":"diff"}`)
	})
	return mux
}

func list(backups ...pgbackrest.Backup) []pgbackrest.Backup { return backups }

func TestBackup(t *testing.T) {
	broken := newBackup
	broken.Damaged = true
	running := pgbackrest.State{Running: true, Backups: list(oldBackup)}
	for _, row := range []struct {
		name   string
		states []pgbackrest.State
		within time.Duration
		want   pgbackrest.Backup
		err    string
		code   exit.Code
	}{
		{"made", []pgbackrest.State{{Backups: list(oldBackup)}, running, {Backups: list(oldBackup, newBackup)}}, time.Minute, newBackup, "", exit.Done},
		{"made, with the oldest dropped for it", []pgbackrest.State{{Backups: list(oldBackup)}, {Backups: list(newBackup)}}, time.Minute, newBackup, "", exit.Done},
		{"it failed", []pgbackrest.State{{Backups: list(oldBackup)}, running, {Failed: "no such share", Backups: list(oldBackup)}}, time.Minute, pgbackrest.Backup{}, "the backup on postgres-1 failed:\nno such share", exit.Failed},
		{"broken pages", []pgbackrest.State{{}, {Backups: list(broken)}}, time.Minute, broken, "checksums are wrong", exit.Failed},
		{"it takes too long", []pgbackrest.State{{}, running}, 1500 * time.Millisecond, pgbackrest.Backup{}, "goes on without us", exit.TimedOut},
	} {
		t.Run(row.name, func(t *testing.T) {
			var ordered string
			c := agents(t, map[string]http.Handler{"postgres-1": copying(&ordered, row.states...), "postgres-2": saying(ready(standby()))})
			c.Cluster.Backup = &cluster.Backup{Path: "/mnt/backup"}
			ctx, cancel := context.WithTimeout(t.Context(), row.within)
			defer cancel()
			got, err := c.Backup(ctx, pgbackrest.Differential)
			if ordered != `{"type":"diff"}` {
				t.Errorf("ordered %q", ordered)
			}
			if exit.CodeOf(err) != row.code || err != nil && !strings.Contains(err.Error(), row.err) {
				t.Errorf("got %v (code %d), want %q", err, exit.CodeOf(err), row.err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBackupsAsksWhoAnswers(t *testing.T) {
	var ordered string
	c := agents(t, map[string]http.Handler{"postgres-2": copying(&ordered, pgbackrest.State{Backups: list(oldBackup)})})
	if _, err := c.Backups(t.Context()); exit.CodeOf(err) != exit.Invalid {
		t.Errorf("without a repository: %v", err)
	}
	c.Cluster.Backup = &cluster.Backup{Path: "/mnt/backup"}
	got, err := c.Backups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list(oldBackup), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// holding answers GET /v1/secrets with what lasts of a bundle.
func holding(t *testing.T, bundle *secrets.Bundle, node cluster.Node) http.Handler {
	t.Helper()
	scoped, err := bundle.Scope(node)
	if err != nil {
		t.Fatal(err)
	}
	lasting, err := scoped.LastingDigest()
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"digest":"x","lasting":%q}`, lasting) })
}

func TestBelongs(t *testing.T) {
	r := pooled()
	spare := Client{Cluster: r}.spares()[0]
	generate := func() *secrets.Bundle {
		bundle, err := secrets.Generate(r, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return bundle
	}
	own, other := generate(), generate()
	own.Postgres, other.Postgres = &secrets.Postgres{Owner: secrets.New("own")}, &secrets.Postgres{Owner: secrets.New("other")}
	for _, row := range []struct {
		name     string
		handlers map[string]http.Handler
		code     exit.Code
		want     string
	}{
		{"it does", map[string]http.Handler{"postgres-1": holding(t, own, r.Nodes[1]), "postgres-2": holding(t, own, r.Nodes[2])}, exit.Done, ""},
		{"one has another", map[string]http.Handler{"postgres-1": holding(t, own, r.Nodes[1]), "postgres-2": holding(t, other, r.Nodes[2])}, exit.Unsafe, "postgres-2 run with other secrets"},
		{
			"one of the pool has another",
			map[string]http.Handler{"postgres-1": holding(t, own, r.Nodes[1]), "postgres-2": holding(t, own, r.Nodes[2]), "api-2": holding(t, other, spare)},
			exit.Unsafe, "api-2 run with other secrets",
		},
		{"a database does not answer", map[string]http.Handler{"postgres-1": holding(t, own, r.Nodes[1])}, exit.Failed, "postgres-2 does not answer"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := agentsOf(t, r, row.handlers).Belongs(t.Context(), own)
			if exit.CodeOf(err) != row.code || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v (code %d)", err, exit.CodeOf(err))
			}
		})
	}
}
