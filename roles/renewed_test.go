package roles_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// A machine that runs is booted again with new certificates. What is done to its programs decides whether anybody notices: a
// database that is restarted takes its clients with it.
func TestWhatRenewedCertificatesDoToPrograms(t *testing.T) {
	top, whole := topologies()[0], shapes()[0].cluster
	database, witness := inputs(top, top.nodes[0]), inputs(top, top.nodes[2])
	search, balancer := inputsOf(whole, whole.NodesOf(cluster.RoleOpenSearch)[0]), inputsOf(whole, whole.NodesOf(cluster.RoleLB)[0])
	leaf := func(s *secrets.Scoped) {
		s.Leaf = secrets.KeyPair{Certificate: "FAKE-CERTIFICATE-2\n", Key: fake("KEY-2\n")}
	}
	authority := func(s *secrets.Scoped) { s.CA = "FAKE-CA-2\n" }
	password := func(s *secrets.Scoped) { s.Postgres.RestAPI = fake("restapi-2") }
	for _, test := range []struct {
		name  string
		in    role.Inputs
		renew func(*secrets.Scoped)
		want  []string
	}{
		{"a database's certificate", database, leaf, []string{"reload-or-restart patroni.service"}},
		{"Patroni's password", database, password, []string{"reload-or-restart patroni.service"}},
		{"a database's CA", database, authority, []string{"restart --no-block etcd.service", "reload-or-restart patroni.service"}},
		{"the heartbeat's certificate", witness, leaf, nil},
		{"the heartbeat's CA", witness, authority, []string{"restart --no-block etcd.service"}},
		{"a search node's certificate", search, leaf, []string{"restart --no-block opensearch.service"}},
		{"a search node's CA", search, authority, []string{"restart --no-block opensearch.service"}},
		{"a balancer's certificate", balancer, leaf, nil},
		{"a balancer's CA", balancer, authority, []string{"reload-or-restart haproxy.service"}},
		{"nothing", database, func(*secrets.Scoped) {}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := step.NewRecorder()
			host.Answer = func(c step.Command) (step.Output, error) {
				if slices.Contains(c.Argv, "--property=ActiveState") {
					return step.Output{Stdout: []byte("active\n")}, nil
				}
				return step.Output{}, nil
			}
			in := test.in
			bootUnits(t, host, in)
			host.Ran = nil
			if in.Secrets.Postgres != nil {
				passwords := *in.Secrets.Postgres
				in.Secrets.Postgres = &passwords
			}
			test.renew(&in.Secrets)
			bootUnits(t, host, in)
			var got []string
			for _, c := range host.Ran {
				if verb := c.Argv[1]; c.Argv[0] == "systemctl" && verb != "show" && verb != "is-enabled" {
					got = append(got, strings.Join(c.Argv[1:], " "))
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// bootUnits applies files and units of the boot's plan: the rest asks other machines.
func bootUnits(t *testing.T, host step.Host, in role.Inputs) {
	t.Helper()
	r, err := roles.Of(in.Self.Role)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := r.Boot(in)
	if err != nil {
		t.Fatal(err)
	}
	var wiring step.Plan
	for _, s := range plan {
		switch s.Action.(type) {
		case step.File, step.Directory, step.Symlink, step.Unit:
			wiring = append(wiring, s)
		}
	}
	if _, err := wiring.Apply(context.Background(), host, nil); err != nil {
		t.Fatal(err)
	}
}
