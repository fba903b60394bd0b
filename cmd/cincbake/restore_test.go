package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/operate"
	"github.com/cincbake/cincbake/roles/pgbackrest"
	"github.com/cincbake/cincbake/secrets/store"
)

// Only backup.restore changes: comments and everything else stay as they were written.
func TestWithRestore(t *testing.T) {
	latest := point{&cluster.Restore{}}
	moment := point{&cluster.Restore{Time: time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)}}
	for _, test := range []struct {
		name, before string
		to           point
		after        string
	}{
		{"flow", "backup: {path: /mnt/backup} # a share\n", latest, "backup: {restore: {latest: true}, path: /mnt/backup} # a share\n"},
		{"flow, another point", "backup: {restore: {latest: true}, path: /mnt/backup}\n", moment, "backup: {restore: {time: 2026-11-26T08:00:00Z}, path: /mnt/backup}\n"},
		{"flow, at its end", "backup: {path: /mnt/backup, restore: {latest: true}}\n", moment, "backup: {restore: {time: 2026-11-26T08:00:00Z}, path: /mnt/backup}\n"},
		{"flow, taken away", "backup: {path: /mnt/backup, restore: {latest: true}}\n", point{}, "backup: {path: /mnt/backup}\n"},
		{"flow, taken away in front", "backup: {restore: {latest: true}, path: /mnt/backup}\n", point{}, "backup: {path: /mnt/backup}\n"},
		{"flow in lines", "backup: {\n  path: /mnt/backup,\n  restore: {latest: true},\n}\n", point{}, "backup: {\n  path: /mnt/backup,\n  }\n"},
		{"nothing to take away", "backup: {path: /mnt/backup}\n", point{}, "backup: {path: /mnt/backup}\n"},
		{
			"block", "backup: # off the machines\n  # where\n  # to\n  path: /mnt/backup # a share\n  full: 2\nopensearch: null\n", latest,
			"backup: # off the machines\n  restore: {latest: true}\n  # where\n  # to\n  path: /mnt/backup # a share\n  full: 2\nopensearch: null\n",
		},
		{"block in block", "backup:\n    path: /mnt/backup\n    restore:\n        latest: true\n", moment, "backup:\n    restore: {time: 2026-11-26T08:00:00Z}\n    path: /mnt/backup\n"},
		{"block, taken away", "backup:\n  restore: {latest: true} # after the fire\n  path: /mnt/backup\n", point{}, "backup:\n  path: /mnt/backup\n"},
		{"characters of two bytes", "backup: {path: /mnt/backup} # Größe\n", latest, "backup: {restore: {latest: true}, path: /mnt/backup} # Größe\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			head := "# Größe: clein\n" + databaseSpec
			before, after := head+strings.TrimSuffix(test.before, "opensearch: null\n"), head+strings.TrimSuffix(test.after, "opensearch: null\n")
			got, err := withRestore("cluster.yaml", []byte(before), test.to)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(after, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What cannot be changed safely is said with what to write.
func TestWithRestoreLeavesItToTheUser(t *testing.T) {
	for name, backup := range map[string]string{
		"an anchor": "backup: &b {path: /mnt/backup, restore: &r {latest: true}}\n",
		"no backup": "",
	} {
		text := databaseSpec + backup
		got, err := withRestore("cluster.yaml", []byte(text), point{&cluster.Restore{}})
		if err == nil {
			if _, perr := cluster.Parse("cluster.yaml", got); perr != nil {
				t.Errorf("%s: wrote\n%s", name, got)
			}
			continue
		}
		if exit.CodeOf(err) != exit.Invalid || !strings.Contains(err.Error(), "write {latest: true} under backup.restore in cluster.yaml by hand") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRestorePoint(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		latest bool
		moment string
		done   bool
		want   string // as it is written; "refused" for exit code 2
	}{
		{true, "", false, "{latest: true}"},
		{false, "2026-11-26T09:30:00+01:00", false, "{time: 2026-11-26T08:30:00Z}"},
		{false, "", true, ""},
		{false, "", false, "refused"},
		{true, "2026-11-26T09:30:00Z", false, "refused"},
		{false, "yesterday", false, "refused"},
		{false, "2026-11-27T00:00:00Z", false, "refused"},
	} {
		got, err := restorePoint(test.latest, test.moment, test.done, now)
		if refused := exit.CodeOf(err) == exit.Invalid; refused != (test.want == "refused") || !refused && got.yaml() != test.want {
			t.Errorf("%+v: got %q, %v", test, got.yaml(), err)
		}
	}
}

func TestRestoreNeedsTheQuorumGone(t *testing.T) {
	balancer := operate.NodeStatus{Node: cluster.Node{Name: "lb-1", Role: cluster.RoleLB}}
	said := func(why string, silence operate.Silence) operate.NodeStatus {
		return operate.NodeStatus{Node: cluster.Node{Name: "postgres-1", Role: cluster.RolePostgres}, Error: why, Silence: silence}
	}
	heartbeat := operate.NodeStatus{Node: cluster.Node{Name: "heartbeat-1", Role: cluster.RoleHeartbeat}}
	off := said("postgres-1 does not answer: no route to host", operate.SilenceGone)
	for _, row := range []struct {
		name string
		all  []operate.NodeStatus
		code exit.Code
		want string
	}{
		{"all are off", []operate.NodeStatus{balancer, off}, exit.Done, ""},
		{"one answers", []operate.NodeStatus{balancer, off, heartbeat}, exit.Unsafe, "heartbeat-1 is still there"},
		{
			"one does not know us",
			[]operate.NodeStatus{said("postgres-1 does not answer: remote error: tls: bad certificate", operate.SilenceThere)},
			exit.Unsafe, "postgres-1 is still there: a restore is for a cluster that begins anew. If its data is to be given up, " +
				"destroy the database machines and the heartbeat with their data disks, and ask again\n  " +
				"postgres-1 does not answer: remote error: tls: bad certificate\nare these its bundle, and",
		},
		{"nobody was asked", []operate.NodeStatus{said("postgres-1 does not answer: operation not permitted", operate.SilenceUnasked)}, exit.Missing, "operation not permitted"},
	} {
		t.Run(row.name, func(t *testing.T) {
			silent, err := gone(row.all)
			if exit.CodeOf(err) != row.code || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v (code %d)", err, exit.CodeOf(err))
			}
			if err == nil && (len(silent) != 1 || silent[0] != off.Error) {
				t.Errorf("taken for destroyed: %q", silent)
			}
		})
	}
}

// restoring runs a restore of a cluster whose machines are all as silent as this, and returns what it said.
func restoring(t *testing.T, silence operate.Silence, want exit.Code, args ...string) string {
	t.Helper()
	c := newRestoreAsking(func(c operate.Client, _ context.Context) []operate.NodeStatus {
		var all []operate.NodeStatus
		for _, node := range c.Cluster.Nodes {
			all = append(all, operate.NodeStatus{Node: node, Error: node.Name + " does not answer", Silence: silence})
		}
		return all
	})
	var said bytes.Buffer
	c.SetArgs(args)
	c.SetOut(&said)
	c.SetErr(&said)
	c.SilenceUsage = true
	if err := c.ExecuteContext(t.Context()); exit.CodeOf(err) != want {
		t.Fatalf("restore %v ended with %v, want code %d:\n%s", args, err, want, &said)
	}
	return said.String()
}

// From a backup's record to a spec that begins from it, and with another bundle to a refusal.
func TestRestoreCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	spec := databaseSpec + "backup:\n  path: /mnt/backup # NFS\n"
	write(t, "cluster.yaml", spec)
	mustRun(t, exit.Done, "secrets", "init")
	bundle, err := store.Load("secrets.json")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := cluster.Load("cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	record, err := keepRecord(loaded, bundle, pgbackrest.Backup{Label: "20261126-020000F", Type: pgbackrest.Full})
	if err != nil {
		t.Fatal(err)
	}
	written := read(t, "backup.json")
	if strings.Contains(written, bundle.Postgres.Superuser.Reveal()) {
		t.Error("backup.json holds a secret")
	}
	var back backupRecord
	if err := json.Unmarshal([]byte(written), &back); err != nil || back != record || back.Bundle != "secrets.json" {
		t.Errorf("reads back as %+v, %v", back, err)
	}

	if said := restoring(t, operate.SilenceThere, exit.Unsafe, "--latest"); !strings.Contains(said, "are still there") || read(t, "cluster.yaml") != spec {
		t.Errorf("with machines there it says %q and leaves\n%s", said, read(t, "cluster.yaml"))
	}
	said := restoring(t, operate.SilenceGone, exit.Done, "--latest", "--dry-run")
	if !strings.Contains(said, "would write") || !strings.Contains(said, "taken for destroyed") || !strings.Contains(said, "postgres-2 does not answer") || read(t, "cluster.yaml") != spec {
		t.Errorf("a dry run says %q and leaves\n%s", said, read(t, "cluster.yaml"))
	}
	mustRun(t, exit.Done, "secrets", "rotate", "leaves") // another file, which opens the same backup
	said = restoring(t, operate.SilenceGone, exit.Done, "--latest")
	if want := strings.Replace(spec, "backup:\n", "backup:\n  restore: {latest: true}\n", 1); read(t, "cluster.yaml") != want || !strings.Contains(said, "cincbake render") {
		t.Errorf("said %q and wrote\n%s", said, read(t, "cluster.yaml"))
	}
	if said := restoring(t, operate.SilenceThere, exit.Done, "--done", "-o", "json"); !strings.Contains(said, `"written": true`) {
		t.Errorf("done says %s", said)
	}
	if read(t, "cluster.yaml") != spec {
		t.Errorf("done leaves\n%s", read(t, "cluster.yaml"))
	}

	if err := os.Remove("secrets.json"); err != nil {
		t.Fatal(err)
	}
	mustRun(t, exit.Done, "secrets", "init")
	if said := restoring(t, operate.SilenceGone, exit.Unsafe, "--latest"); !strings.Contains(said, "is not the bundle that backup 20261126-020000F was made with") || !strings.Contains(said, record.Digest) {
		t.Errorf("another bundle: %q", said)
	}
	if read(t, "cluster.yaml") != spec {
		t.Error("it was written all the same")
	}
	mustRun(t, exit.Invalid, "backup", "--type", "half")
	write(t, "cluster.yaml", strings.Split(spec, "backup:")[0])
	mustRun(t, exit.Invalid, "backup")
	mustRun(t, exit.Invalid, "backup", "list")
	mustRun(t, exit.Invalid, "restore", "--latest")
}
