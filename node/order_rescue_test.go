package node

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/formation"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// member is postgres-1 with a new record of etcd's.
func member(t *testing.T) (*step.Recorder, Machine, formation.Record) {
	t.Helper()
	host, _, _ := seeded(t, "postgres-1")
	machine, err := Load(host)
	if err != nil {
		t.Fatal(err)
	}
	record, err := etcd.Home.Prepare(host)
	if err != nil {
		t.Fatal(err)
	}
	return host, machine, record
}

// voter is postgres-1 with its data disk, and a record of etcd's that says so much.
func voter(t *testing.T, state cluster.Formation) (*step.Recorder, Machine) {
	t.Helper()
	host, machine, record := member(t)
	record.Formation = state
	if err := errors.Join(etcd.Home.Write(host, record), placeDisk(host)); err != nil {
		t.Fatal(err)
	}
	return host, machine
}

// A rescue is refused by whoever keeps no such data, keeps none of a formed cluster, or has a peer that may hold the majority.
func TestRescueIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		who       []cluster.Role
		formation cluster.Formation
		says      string
	}{
		"another role's data":     {[]cluster.Role{cluster.RoleOpenSearch}, cluster.FormationFormed, "postgres-1 keeps none of it"},
		"nothing was formed":      {[]cluster.Role{cluster.RolePostgres}, cluster.FormationEmpty, "holds no data of a formed cluster"},
		"the peers do not answer": {[]cluster.Role{cluster.RolePostgres}, cluster.FormationFormed, "does not answer"},
	} {
		host, machine := voter(t, test.formation)
		host.Answer = func(c step.Command) (step.Output, error) {
			t.Errorf("%s: it ran %v", name, c.Argv)
			return step.Output{}, nil
		}
		e := &endpoint{host: host, machine: machine, in: machine.inputs(cluster.Facts{})}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the peers are silent at once
		what := rescuable{test.who, "it", "it", func(context.Context) error { t.Errorf("%s: ordered", name); return nil }}
		_, err := e.rescue(httptest.NewRequestWithContext(ctx, http.MethodPost, "/", http.NoBody), what)
		var refusal *role.Refusal
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, test.says) || refusal.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// deadlines is a host on which everything is run before some time, and by somebody who is still there.
type deadlines struct {
	*step.Recorder
	t *testing.T
}

func (d deadlines) Run(ctx context.Context, c step.Command) (step.Output, error) {
	if _, limited := ctx.Deadline(); ctx.Err() != nil || !limited {
		d.t.Errorf("%v is run until %v, limited: %v", c.Argv, ctx.Err(), limited)
	}
	return d.Recorder.Run(ctx, c)
}

// A rescue that is ordered is also begun, though the operator's connection is cut: some other day it would not be safe.
func TestRescueDoesNotEndWithTheConnection(t *testing.T) {
	host, machine := voter(t, cluster.FormationFormed)
	e := &endpoint{host: deadlines{host, t}, machine: machine, in: machine.inputs(cluster.Facts{})}
	alone := *e.in.Cluster
	alone.Nodes = []cluster.Node{machine.Self} // so that no peer must answer
	e.in.Cluster = &alone
	ctx, cut := context.WithCancel(t.Context())
	ordered := false
	what := rescuable{[]cluster.Role{cluster.RolePostgres}, "it", "it", func(ctx context.Context) error {
		ordered = ctx.Err() == nil
		cut()
		return nil
	}}
	_, err := e.rescue(httptest.NewRequestWithContext(ctx, http.MethodPost, "/", http.NoBody), what)
	if err != nil || !ordered || len(host.Ran) != 1 || strings.Join(host.Ran[0].Argv, " ") != "systemctl restart --no-block cincbake-boot.service" {
		t.Errorf("ordered: %v; ran %v; %v", ordered, host.Ran, err)
	}
}
