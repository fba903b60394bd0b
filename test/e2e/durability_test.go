//go:build e2e

package e2e

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/lab/drill"
	"github.com/cincbake/cincbake/lab/machine"
	"github.com/cincbake/cincbake/operate"
	"github.com/cincbake/cincbake/test/vm"
)

// emulatedPatience is how long an emulated cluster may take until nothing is missing.
const emulatedPatience = 15 * time.Minute

// TestDurability boots the database tier as three virtual machines and kills them while clients write: the primary's, and
// then all of them at the same moment. Unlike the lab's containers, which share their host's, each has a page cache of its
// own, and it is lost: what was acknowledged must be on a disk.
func TestDurability(t *testing.T) {
	b := newWorkbench(t)
	t.Cleanup(func() { t.Logf("figures:\n  %s", strings.Join(b.figures, "\n  ")) })
	for program, install := range map[string]string{"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "xorriso": "xorriso"} {
		_, err := exec.LookPath(program)
		require(t, err == nil, program, "apt-get install "+install)
	}
	b.must(t, time.Minute, "init", b.dir, "--topology", "database")
	b.must(t, time.Minute, "secrets", "init")
	b.must(t, time.Minute, "render", "--out", "seeds", "--format", "iso")
	b.must(t, 15*time.Minute, "bake", "--format", "rootfs,qcow2", "--packer", filepath.Join(b.home, ".cache/tools/packer"), "--images", b.images)
	machines := b.virtual(t)
	began := time.Now()
	if err := machines.StartAll(t.Context(), machines.names()); err != nil {
		t.Fatal(err)
	}
	site := virtualSite{machines.client}
	if err := site.WaitWhole(t.Context(), emulatedPatience); err != nil {
		for _, m := range machines.by {
			t.Logf("%s: %s", m.Name, m.Console())
		}
		t.Fatal(err)
	}
	b.figure(t, "three emulated machines are whole after %.0f s", time.Since(began).Seconds())

	report := filepath.Join(t.TempDir(), "report")
	series := drill.Series{
		Suite: drill.Suite{Name: "durability", Strikes: []drill.Strike{
			{Name: "power-off of the primary's virtual machine", Runs: 2, Blows: []drill.Blow{{Do: "power-off", To: "primary"}}},
			{Name: "power loss of all virtual machines", Runs: 1, MendFirst: true, Blows: []drill.Blow{{Do: "power-off", To: "all"}}},
		}},
		Cluster: machines.client.Cluster, Site: site, Machines: machines,
		Traffic: func() []drill.Traffic {
			sql := machines.store(t, b)
			return []drill.Traffic{{Kind: drill.TrafficSQL, Clients: sql.Clients(), Pause: 10 * time.Millisecond, Source: sql}}
		},
		Heard: func(s drill.Struck, o drill.Outcome) error {
			b.figure(t, "%s", s.Summary())
			return o.Save(report)
		},
	}
	out, err := series.Run(t.Context())
	if err != nil {
		t.Error(err)
	}
	if lost := out.Totals.Lost + out.LostLater; lost > 0 || out.Totals.Acknowledged == 0 || len(out.Strikes) != out.Planned {
		t.Errorf("%d of %d acknowledged writes are lost, in %d of %d strikes", lost, out.Totals.Acknowledged, len(out.Strikes), out.Planned)
	}
	b.figure(t, "%d acknowledged writes, %d lost", out.Totals.Acknowledged, out.Totals.Lost+out.LostLater)
}

// virtualMachines are the cluster's, in QEMU. The drill does to them what can be done with a plug.
type virtualMachines struct {
	drill.Machines
	by      map[string]*vm.Networked
	network machine.Network
	client  operate.Client
}

// virtual makes the cluster's machines from the images that were baked.
func (b *bench) virtual(t *testing.T) *virtualMachines {
	t.Helper()
	resolved, bundle := b.load(t)
	operator, err := bundle.OperatorTLS()
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	network := machine.Network{Path: filepath.Join(work, "network"), Gateway: netip.MustParsePrefix("10.20.0.1/24")}
	if err := network.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Down(); err != nil {
			t.Error(err)
		}
	})
	v := &virtualMachines{
		by: map[string]*vm.Networked{}, network: network,
		client: operate.Client{Cluster: resolved, TLS: operator, Dial: network.Dial},
	}
	disks := b.disks(t)
	for i, n := range resolved.Nodes {
		dir := filepath.Join(work, n.Name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		m := &vm.Networked{
			Name: n.Name, Number: byte(i + 1), Network: network.Path, Dir: dir, //nolint:gosec // three machines
			Seed: filepath.Join(b.dir, "seeds", n.Name+".iso"),
		}
		m.Make(t, disks[n.Role])
		v.by[n.Name] = m
		t.Cleanup(func() {
			if err := m.PowerOff(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return v
}

// disks returns the disk of each role that was baked.
func (b *bench) disks(t *testing.T) map[cluster.Role]string {
	t.Helper()
	disks := map[cluster.Role]string{}
	for _, i := range ask[[]struct {
		ID     string `json:"id"`
		Record record `json:"record"`
	}](t, b, time.Minute, "images", "list", "--images", b.images) {
		for _, a := range i.Record.Artefacts {
			if a.Kind == "qcow2" {
				role, _, _ := strings.Cut(i.ID, "/")
				disks[cluster.Role(role)] = filepath.Join(b.images, i.ID, a.File)
			}
		}
	}
	return disks
}

func (v *virtualMachines) names() []string {
	var names []string
	for _, n := range v.client.Cluster.Nodes {
		names = append(names, n.Name)
	}
	return names
}

func (v *virtualMachines) store(t *testing.T, b *bench) *drill.Postgres {
	t.Helper()
	resolved, bundle := b.load(t)
	return &drill.Postgres{Cluster: resolved, CA: bundle.CA.Certificate, Password: bundle.Postgres.Owner, Dial: v.network.Dial}
}

// PowerOff kills the machine's QEMU.
func (v *virtualMachines) PowerOff(ctx context.Context, node string) error {
	return v.by[node].PowerOff(ctx)
}

// Start boots it again.
func (v *virtualMachines) Start(ctx context.Context, node string) error { return v.by[node].Start(ctx) }

// PowerOffAll kills several, one right after the other.
func (v *virtualMachines) PowerOffAll(ctx context.Context, nodes []string) error {
	return v.all(ctx, nodes, v.PowerOff)
}

// StartAll boots several.
func (v *virtualMachines) StartAll(ctx context.Context, nodes []string) error {
	return v.all(ctx, nodes, v.Start)
}

func (v *virtualMachines) all(ctx context.Context, nodes []string, do func(context.Context, string) error) error {
	failures := make(chan error, len(nodes))
	for _, node := range nodes {
		go func() { failures <- do(ctx, node) }()
	}
	var all []error
	for range nodes {
		all = append(all, <-failures)
	}
	return errors.Join(all...)
}

// virtualSite is the cluster as the drill sees it. Emulated machines take longer than the drill would wait.
type virtualSite struct{ operate.Client }

// WaitWhole waits until nothing is missing, and longer than it is asked to.
func (s virtualSite) WaitWhole(ctx context.Context, _ time.Duration) error {
	return s.Client.WaitWhole(ctx, emulatedPatience)
}

// Switchover is no part of this.
func (s virtualSite) Switchover(context.Context) error { return errors.ErrUnsupported }

// Rollout neither.
func (s virtualSite) Rollout(context.Context) error { return errors.ErrUnsupported }
