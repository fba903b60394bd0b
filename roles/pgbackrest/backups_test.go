package pgbackrest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/pgbackrest"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// What pgBackRest 2.55.1 prints for a repository without the stanza.
const noStanza = `[{"archive":[],"backup":[],"cipher":"none","db":[],"name":"prod","repo":[{"cipher":"none","key":1,"status":{"code":1,"message":"missing stanza path"}}],"status":{"code":1,"lock":{"backup":{"held":false}},"message":"missing stanza path"}}]`

const twoBackups = `[{"archive":[],"backup":[
 {"archive":{"start":"000000010000000000000002","stop":"000000010000000000000003"},"backrest":{"format":5,"version":"2.55.1"},
  "database":{"id":1,"repo-key":1},"error":false,"info":{"delta":31457280,"repository":{"delta":4194304},"size":31457280},
  "label":"20261126-020000F","prior":null,"reference":null,"timestamp":{"start":1795658400,"stop":1795658407},"type":"full"},
 {"archive":{"start":"000000010000000000000005","stop":"000000010000000000000005"},"backrest":{"format":5,"version":"2.55.1"},
  "database":{"id":1,"repo-key":1},"error":true,"info":{"delta":8192,"repository":{"delta":512},"size":31465472},
  "label":"20261126-020000F_20261127-020000D","prior":"20261126-020000F","reference":["20261126-020000F"],"timestamp":{"start":1795744800,"stop":1795744802},"type":"diff"}
 ],"cipher":"aes-256-cbc","db":[],"name":"prod","status":{"code":0,"lock":{"backup":{"held":false}},"message":"ok"}}]`

// programs answers by what a command line holds.
type programs map[string]string

func (p programs) answer(c step.Command) (step.Output, error) {
	line := strings.Join(c.Argv, " ")
	for part, out := range p {
		if strings.Contains(line, part) {
			if out == "fails" {
				return step.Output{}, &step.ExitError{Argv: c.Argv, Status: 1}
			}
			return step.Output{Stdout: []byte(out)}, nil
		}
	}
	return step.Output{}, nil
}

func TestStateOf(t *testing.T) {
	at := func(second int64) time.Time { return time.Unix(second, 0).UTC() }
	both := []pgbackrest.Backup{
		{Label: "20261126-020000F", Type: pgbackrest.Full, Began: at(1795658400), Ended: at(1795658407), Bytes: 31457280, Stored: 4194304},
		{Label: "20261126-020000F_20261127-020000D", Type: pgbackrest.Differential, Began: at(1795744800), Ended: at(1795744802), Bytes: 31465472, Stored: 512, Damaged: true},
	}
	const active = "cincbake-backup@diff.service loaded activating start start cincbake: back the database up (diff)\n"
	for _, test := range []struct {
		name  string
		of    pgbackrest.Type
		runs  programs
		want  pgbackrest.State
		error string
	}{
		{"no backup yet", "", programs{"info": noStanza}, pgbackrest.State{Backups: []pgbackrest.Backup{}}, ""},
		{"two", "", programs{"info": twoBackups}, pgbackrest.State{Backups: both}, ""},
		{"one is being made", pgbackrest.Differential, programs{"info": twoBackups, "list-units": active}, pgbackrest.State{Running: true, Backups: both}, ""},
		{
			"it failed", pgbackrest.Full,
			programs{"info": noStanza, "cincbake-backup@full.service": "failed\n", "journalctl": "ERROR: [055]: no such share\n"},
			pgbackrest.State{Failed: "ERROR: [055]: no such share", Backups: []pgbackrest.Backup{}},
			"",
		},
		{"another type's failure", pgbackrest.Full, programs{"info": noStanza, "cincbake-backup@diff.service": "failed\n"}, pgbackrest.State{Backups: []pgbackrest.Backup{}}, ""},
		{
			"a repository that is out of order", "",
			programs{"info": `[{"name":"prod","status":{"code":99,"message":"other"},"backup":[]}]`},
			pgbackrest.State{},
			"the repository: other",
		},
		{"a repository that cannot be reached", "", programs{"info": "fails"}, pgbackrest.State{}, "exit status 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := step.NewRecorder()
			host.Answer = func(c step.Command) (step.Output, error) {
				if c.Argv[0] == "journalctl" { // its unit's name would match, too
					return programs{"journalctl": test.runs["journalctl"]}.answer(c)
				}
				return test.runs.answer(c)
			}
			got, err := pgbackrest.StateOf(context.Background(), host, &cluster.Resolved{Name: "prod"}, test.of)
			if test.error != "" {
				if err == nil || !strings.Contains(err.Error(), test.error) {
					t.Fatalf("got %v, want %q", err, test.error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	for _, test := range []struct {
		name    string
		of      pgbackrest.Type
		runs    programs
		refused string
		started bool
	}{
		{"a full one", pgbackrest.Full, nil, "", true},
		{"after a failure", pgbackrest.Incremental, programs{"reset-failed": "fails"}, "", true},
		{"while another is made", pgbackrest.Full, programs{"list-units": "cincbake-backup@diff.service loaded activating\n"}, "already", false},
		{"of no known type", "half", nil, "half", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := step.NewRecorder()
			host.Answer = test.runs.answer
			err := pgbackrest.Order(context.Background(), host, test.of)
			var refusal *role.Refusal
			if errors.As(err, &refusal) != (test.refused != "") || refusal != nil && !strings.Contains(refusal.Reason, test.refused) || refusal == nil && err != nil {
				t.Fatalf("got %v, want a refusal about %q", err, test.refused)
			}
			started := false
			for _, c := range host.Ran {
				started = started || strings.Join(c.Argv, " ") == "systemctl start --no-block cincbake-backup@"+string(test.of)+".service"
			}
			if started != test.started {
				t.Errorf("started: %v; ran %v", started, host.Ran)
			}
		})
	}
}
