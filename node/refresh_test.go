package node

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/nftables"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// through is a machine whose boot is through, with the programs that answer as the test says. Its peers refuse at once.
type through struct {
	*step.Recorder
	down  []string // units that do not run
	kept  []string // units that systemd keeps from a machine like this one
	wrong string   // a program whose check fails
	disk  string   // the device of its data disk; empty: it has none
}

func (m *through) answer(c step.Command) (step.Output, error) {
	fails := step.Output{}
	exit := &step.ExitError{Argv: c.Argv, Status: 3}
	last := c.Argv[len(c.Argv)-1]
	switch {
	case c.Argv[0] == m.wrong:
		return fails, exit
	case c.Argv[0] == "findmnt" && m.disk == "":
		return fails, &step.ExitError{Argv: c.Argv, Status: 1}
	case c.Argv[0] == "findmnt":
		return step.Output{Stdout: []byte(m.disk + "\n")}, nil
	case c.Argv[0] == "systemd-analyze" && slices.Contains(m.kept, strings.TrimPrefix(last, "--unit=")):
		return step.Output{Stdout: []byte("Conditions failed.\n")}, &step.ExitError{Argv: c.Argv, Status: 1}
	case c.Argv[0] != "systemctl":
	case slices.Contains(c.Argv, "--property=MainPID"): // whatever is told to end has ended
		return step.Output{Stdout: []byte("0\n")}, nil
	case slices.Contains(m.down, last) && c.Argv[1] == "is-active":
		return fails, exit
	case slices.Contains(m.down, last):
		return step.Output{Stdout: []byte("failed\n")}, nil
	default:
		return step.Output{Stdout: []byte("active\n")}, nil
	}
	return step.Output{}, nil
}

// told are the orders to systemd since the last call.
func (m *through) told() []string {
	var told []string
	for _, c := range m.Ran {
		if c.Argv[0] == "systemctl" && (strings.Contains(c.Argv[1], "start") || strings.Contains(c.Argv[1], "reload")) {
			told = append(told, strings.Join(c.Argv[1:], " "))
		}
	}
	m.Ran = nil
	return told
}

func booted(t *testing.T, name string) *through {
	t.Helper()
	host, _, _ := seeded(t, name)
	document := host.Entries[cloudinit.DocumentPath]
	document.Content = bytes.ReplaceAll(document.Content, []byte("10.20.0."), []byte("127.0.9."))
	host.Entries[cloudinit.DocumentPath] = document
	put(t, host, StatusFile, cluster.Status{
		Format: statusFormat, BootID: "b", Result: cluster.ResultReady, Phase: "ready", Updated: time.Unix(1795658400, 0).UTC(),
	})
	decision := role.Decision{Verdict: role.Proceed, Row: "member", Reason: "the quorum has this member", Etcd: role.EtcdStart{State: "existing", Token: "t", Rescue: true}}
	if err := keepDecision(host, decision); err != nil {
		t.Fatal(err)
	}
	host.Entries["/run/cincbake"] = step.Entry{Kind: step.KindDir}
	m := &through{Recorder: host}
	host.Answer = m.answer
	return m
}

func (m *through) refresh(t *testing.T) error {
	t.Helper()
	return Agent{Host: m, Out: io.Discard}.refresh(t.Context(), cluster.Facts{BootID: "b", Hostname: "h"})
}

func (m *through) status(t *testing.T) cluster.Status {
	t.Helper()
	status, err := ReadStatus(m, "b")
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// Only what changed is read again, and what did not change is left alone.
func TestRefreshReloadsOnlyWhatChanged(t *testing.T) {
	m := booted(t, "heartbeat-1")
	if err := m.refresh(t); err != nil { // the files are not there yet: the first refresh writes them
		t.Fatal(err)
	}
	m.told()
	before := len(m.Entries)
	if err := m.refresh(t); err != nil {
		t.Fatal(err)
	}
	if told := m.told(); len(told) > 0 || len(m.Entries) != before {
		t.Errorf("nothing changed, and it told systemd: %v", told)
	}
	rules := m.Entries["/etc/cincbake/firewall.nft"]
	if rules.Content == nil {
		t.Fatal("there are no rules to spoil")
	}
	rules.Content = []byte("# spoilt\n")
	m.Entries["/etc/cincbake/firewall.nft"] = rules
	if err := m.refresh(t); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"reload-or-restart " + nftables.Unit}, m.told()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	decision, err := keptDecision(m)
	if want := (role.EtcdStart{State: "existing", Token: "t"}); err != nil || !cmp.Equal(decision.Etcd, want) {
		t.Errorf("kept %+v, %v: a rescue is done once", decision.Etcd, err)
	}
}

// A data disk that was made larger is used without a reboot; one that can't be is told, and keeps nothing else from its turn.
func TestRefreshGrowsTheDisk(t *testing.T) {
	m := booted(t, "heartbeat-1")
	m.disk, m.wrong = "/dev/vdb", "resize2fs"
	if err := m.refresh(t); err == nil || !strings.Contains(m.status(t).Refresh, "resize2fs /dev/vdb") {
		t.Errorf("got %v; the status says %q", err, m.status(t).Refresh)
	}
	if m.Entries["/etc/cincbake/firewall.nft"].Content == nil {
		t.Error("no file was written")
	}
	m.wrong = ""
	if err := m.refresh(t); err != nil || m.status(t).Refresh != "" {
		t.Errorf("got %v; the status says %q", err, m.status(t).Refresh)
	}
}

// What a program refuses is not put in place, is told, and is tried again by the next refresh.
func TestRefreshPutsNothingInPlaceThatIsRefused(t *testing.T) {
	const rules = "/etc/cincbake/firewall.nft"
	m := booted(t, "heartbeat-1")
	m.Entries[rules] = step.Entry{Kind: step.KindFile, Content: []byte("# loaded\n")}
	m.wrong = "nft"
	if err := m.refresh(t); err == nil {
		t.Fatal("a refused file is no failure")
	}
	status := m.status(t)
	if !strings.Contains(status.Refresh, "firewall") || status.Result != cluster.ResultReady || !status.Updated.Equal(time.Unix(1795658400, 0)) {
		t.Errorf("the status says %+v", status)
	}
	if told, kept := m.told(), string(m.Entries[rules].Content); len(told) > 0 || kept != "# loaded\n" {
		t.Errorf("told systemd to %v, and the rules are %q", told, kept)
	}
	m.wrong = ""
	if err := m.refresh(t); err != nil {
		t.Fatal(err)
	}
	if told := m.told(); !slices.Contains(told, "reload-or-restart "+nftables.Unit) {
		t.Errorf("the rules are written and were never loaded: %v", told)
	}
	if status := m.status(t); status.Refresh != "" {
		t.Errorf("it is right again, and the status says %q", status.Refresh)
	}
	m.told()
	if err := m.refresh(t); err != nil || len(m.told()) > 0 {
		t.Errorf("they were loaded, and are loaded again: %v", err)
	}
}

// What is down is told and not started: only a boot looks whether the data below it is what it should be. Nor does a
// database machine wait for its quorum, or drop what it takes for unfinished.
func TestRefreshStartsNothing(t *testing.T) {
	m := booted(t, "postgres-1")
	m.down = []string{"etcd.service", "patroni.service"}
	err := m.refresh(t)
	if err == nil || !strings.Contains(err.Error(), "etcd.service, patroni.service") {
		t.Errorf("got %v, want the names of what is down", err)
	}
	for _, order := range m.told() {
		if strings.Contains(order, "etcd") || strings.Contains(order, "patroni") {
			t.Errorf("it told systemd: %s", order)
		}
	}
}

// What systemd itself keeps from the machine is not missed, as chrony in a container.
func TestRefreshMissesNothingThatIsKeptAway(t *testing.T) {
	m := booted(t, "heartbeat-1")
	m.down, m.kept = []string{"etcd.service"}, []string{"etcd.service"}
	if err := m.refresh(t); err != nil {
		t.Error(err)
	}
	for _, order := range m.told() {
		if strings.Contains(order, "etcd") {
			t.Errorf("it told systemd: %s", order)
		}
	}
	m.kept = nil
	if err := m.refresh(t); err == nil || !strings.Contains(err.Error(), "etcd.service") {
		t.Errorf("got %v, want the name of what is down", err)
	}
}

func TestRefreshLeavesAlone(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, *through){
		"a boot that waits": func(t *testing.T, m *through) {
			t.Helper()
			put(t, m.Recorder, StatusFile, cluster.Status{Format: statusFormat, BootID: "b", Result: cluster.ResultWaiting, Phase: "join"})
		},
		"a status of another boot": func(t *testing.T, m *through) {
			t.Helper()
			put(t, m.Recorder, StatusFile, cluster.Status{Format: statusFormat, BootID: "a", Result: cluster.ResultReady})
		},
		"a machine that joined nobody knows how": func(_ *testing.T, m *through) { delete(m.Entries, decisionFile) },
	} {
		t.Run(name, func(t *testing.T) {
			m := booted(t, "heartbeat-1")
			spoil(t, m)
			before := len(m.Entries)
			err := m.refresh(t)
			if _, kept := m.Entries[decisionFile]; kept == (err != nil) {
				t.Errorf("got %v", err)
			}
			if told := m.told(); len(told) > 0 || len(m.Entries) != before {
				t.Errorf("it told systemd: %v; %d files and before %d", told, len(m.Entries), before)
			}
		})
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "lock")
	release, err := tryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryLock(path); !errors.Is(err, errBusy) {
		t.Errorf("a second holder: %v", err)
	}
	got := make(chan error)
	go func() {
		release, err := awaitLock(t.Context(), path)
		if err == nil {
			release()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
