package node

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// probed is a role whose probes are given.
type probed struct {
	role.Role
	probes []role.Probe
}

func (p probed) Ready(role.Inputs) []role.Probe { return p.probes }

// healthy is a doctor at a machine that lacks nothing.
func healthy(t *testing.T) (*doctor, *step.Recorder) {
	t.Helper()
	host, _, _ := seeded(t, "postgres-1")
	machine, err := Load(host)
	if err != nil {
		t.Fatal(err)
	}
	machine.Role = probed{machine.Role, []role.Probe{{Title: "database", Hint: "look at it", Run: func(context.Context, step.Host) error { return nil }}}}
	put(t, host, StatusFile, cluster.Status{BootID: "b", Result: cluster.ResultReady})
	now := time.Now()
	return &doctor{
		host: looking{host}, machine: machine, in: machine.inputs(cluster.Facts{BootID: "b"}, cluster.Observation{}),
		now:       func() time.Time { return now },
		addresses: func() ([]netip.Addr, error) { return []netip.Addr{machine.Self.Address}, nil },
		free:      func(string) (float64, error) { return 0.5, nil },
		date:      func(context.Context, cluster.Node) (time.Time, error) { return now.Truncate(time.Second), nil },
	}, host
}

func TestDoctor(t *testing.T) {
	refused := errors.New("refused")
	probe := func(err error) func(*doctor, *step.Recorder) {
		return func(d *doctor, _ *step.Recorder) {
			d.machine.Role.(probed).probes[0].Run = func(context.Context, step.Host) error { return err }
		}
	}
	// Each row spoils one thing of a healthy machine.
	for _, test := range []struct {
		name  string
		spoil func(*doctor, *step.Recorder)
		want  []cluster.Finding // what is not OK
	}{
		{"nothing", func(*doctor, *step.Recorder) {}, nil},
		{"a boot that waits", func(d *doctor, h *step.Recorder) {
			put(t, h, StatusFile, cluster.Status{BootID: "b", Result: cluster.ResultWaiting, Phase: "join", Reason: "alone", Hint: "start the others"})
		}, []cluster.Finding{{Check: "boot", Detail: "waiting in phase join: alone", Hint: "start the others"}}},
		{"another address", func(d *doctor, _ *step.Recorder) {
			d.addresses = func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("10.20.0.99")}, nil }
		}, []cluster.Finding{{Check: "own address", Detail: "the machine does not have its address 10.20.0.31; it has [10.20.0.99]", Hint: "networkctl; is network.interface the name of its network card?"}}},
		{"a probe", probe(refused), []cluster.Finding{{Check: "database", Detail: "refused", Hint: "look at it"}}},
		{"a probe that knows better", probe(&role.NotYet{Reason: "no quorum", Hint: "start postgres-2"}), []cluster.Finding{{Check: "database", Detail: "no quorum", Hint: "start postgres-2"}}},
		{"a full disk", func(d *doctor, _ *step.Recorder) {
			d.free = func(path string) (float64, error) {
				if path == role.DataDir {
					return 0.02, nil
				}
				return 0.5, nil
			}
		}, []cluster.Finding{{Check: "space on /data", Detail: "2 % free", Hint: "see what fills it: du -x -h -d 2 /data"}}},
		{"no data directory", func(d *doctor, _ *step.Recorder) {
			d.free = func(path string) (float64, error) {
				if path == role.DataDir {
					return 0, &fs.PathError{Op: "statfs", Path: path, Err: fs.ErrNotExist}
				}
				return 0.5, nil
			}
		}, nil},
		{"a clock that is behind", func(d *doctor, _ *step.Recorder) {
			d.date = func(_ context.Context, n cluster.Node) (time.Time, error) {
				if n.Name == "postgres-2" {
					return d.now().Truncate(time.Second).Add(time.Hour), nil
				}
				return d.now().Truncate(time.Second), nil
			}
		}, []cluster.Finding{{Check: "clock", Detail: "postgres-2 is 3600 s ahead", Hint: "chronyc sources; are the spec's time servers reachable?"}}},
		{"one silent peer", func(d *doctor, _ *step.Recorder) {
			d.date = func(_ context.Context, n cluster.Node) (time.Time, error) {
				if n.Name == "postgres-2" {
					return time.Time{}, refused
				}
				return d.now().Truncate(time.Second), nil
			}
		}, nil},
		{"cut off", func(d *doctor, _ *step.Recorder) {
			d.date = func(context.Context, cluster.Node) (time.Time, error) { return time.Time{}, refused }
		}, []cluster.Finding{{Check: "clock", Detail: "no other machine answers", Hint: "can this machine reach any other? ping, and cincbake status"}}},
		{"units", func(_ *doctor, h *step.Recorder) {
			h.Answer = func(step.Command) (step.Output, error) {
				return step.Output{Stdout: []byte("cron.service loaded failed failed Cron\n")}, nil
			}
		}, []cluster.Finding{{Check: "units", Detail: "failed: cron.service", Hint: "journalctl -u cron.service"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, host := healthy(t)
			test.spoil(d, host)
			if d.date != nil && test.name == "a clock that is behind" { // the frozen clock makes the numbers exact
				whole := time.Now().Truncate(time.Second)
				d.now = func() time.Time { return whole }
			}
			all := d.examine(t.Context())
			var bad []cluster.Finding
			for _, f := range all {
				if !f.OK {
					bad = append(bad, f)
				}
			}
			if diff := cmp.Diff(test.want, bad); diff != "" {
				t.Error(diff)
			}
			if first, last := all[0].Check, all[len(all)-1].Check; first != "boot" || last != "units" {
				t.Errorf("from %s to %s", first, last)
			}
		})
	}
}

// A certificate's end is told while there is time to renew it.
func TestDoctorCertificate(t *testing.T) {
	d, _ := healthy(t)
	certificate, err := d.machine.Secrets.Leaf.X509()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		left   time.Duration
		ok     bool
		detail string
	}{
		{31 * 24 * time.Hour, true, "31 days left"},
		{29 * 24 * time.Hour, false, "29 days left"},
		{-time.Hour, false, "ended on " + certificate.NotAfter.UTC().Format(time.DateOnly)},
	} {
		d.now = func() time.Time { return certificate.NotAfter.Add(-test.left) }
		if got := d.certificate(t.Context())[0]; got.OK != test.ok || got.Detail != test.detail || (got.Hint == "") != test.ok {
			t.Errorf("%v left: %+v", test.left, got)
		}
	}
}

// A doctor changes nothing: no probe of his writes, and none acts.
func TestDoctorOnlyLooks(t *testing.T) {
	d, host := healthy(t)
	acted := false
	d.machine.Role = probed{d.machine.Role, []role.Probe{
		{Title: "hook", Acts: true, Run: func(context.Context, step.Host) error { acted = true; return nil }},
		{Title: "record", Run: func(_ context.Context, h step.Host) error {
			return errors.Join(h.Put("/formed", step.Entry{Kind: step.KindFile}), h.Remove(StatusFile))
		}},
	}}
	found := d.readiness(t.Context())
	if len(found) != 1 || !found[0].OK || acted {
		t.Errorf("found %+v, acted: %v", found, acted)
	}
	if _, err := host.Read("/formed"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a probe wrote: %v", err)
	}
	if _, err := host.Read(StatusFile); err != nil {
		t.Errorf("a probe removed: %v", err)
	}
}

// The heading's clock has whole seconds, and the way takes time.
func TestClockOffset(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, int(700*time.Millisecond), time.UTC)
	for _, test := range []struct{ theirs, want time.Duration }{
		{0, 0},
		{-700 * time.Millisecond, 0},
		{-1700 * time.Millisecond, -700 * time.Millisecond},
		{4300 * time.Millisecond, 4200 * time.Millisecond},
	} {
		if got := offset(at, at.Add(100*time.Millisecond), at.Add(test.theirs)); got != test.want {
			t.Errorf("%v: %v, want %v", test.theirs, got, test.want)
		}
	}
}

func TestDoctorOverTheEndpoint(t *testing.T) {
	host, _, _ := seeded(t, "postgres-1")
	machine, err := Load(host)
	if err != nil {
		t.Fatal(err)
	}
	machine.Role = probed{machine.Role, nil}
	found, err := examine(t.Context(), host, machine, machine.inputs(cluster.Facts{BootID: "b"}, cluster.Observation{}))
	if err != nil {
		t.Fatal(err)
	}
	// This machine is not the one of the document, and its peers are nowhere.
	var bad []string
	for _, f := range found {
		if !f.OK {
			bad = append(bad, f.Check)
		}
	}
	for _, check := range []string{"boot", "own address", "clock"} {
		if !slices.Contains(bad, check) {
			t.Errorf("%s is OK; what is not: %s", check, strings.Join(bad, ", "))
		}
	}
}
