//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/lab"
	"github.com/cincbake/cincbake/operate"
)

// clusterName names the suite's cluster, and with that its lab.
const clusterName = "e2e"

// machines are those of the suite's cluster.
var machines = []string{"postgres-1", "postgres-2", "heartbeat-1"}

// status is what `status -o json` prints.
type status struct {
	Whole bool                 `json:"whole"`
	Lacks []string             `json:"lacks"`
	Nodes []operate.NodeStatus `json:"nodes"`
}

// of returns what a machine said of itself.
func (s status) of(t *testing.T, machine string) operate.NodeStatus {
	t.Helper()
	for _, n := range s.Nodes {
		if n.Node.Name == machine {
			return n
		}
	}
	t.Fatalf("status knows no %s", machine)
	return operate.NodeStatus{}
}

// status asks the cluster how it is, whole or not.
func (b *bench) status(t *testing.T) status {
	t.Helper()
	o := b.try(t, time.Minute, "status", "--lab", "-o", "json")
	s := decode[status](t, o.stdout)
	if want := map[bool]int{true: 0, false: 1}[s.Whole]; o.code != want {
		t.Errorf("status of a cluster that is whole: %v ended with %d, want %d", s.Whole, o.code, want)
	}
	return s
}

func testUp(t *testing.T, b *bench) {
	o := b.must(t, 5*time.Minute, "lab", "up", "--images", b.images)
	b.figure(t, "whole after %.1f s", o.took.Seconds())
	s := b.status(t)
	if !s.Whole {
		t.Fatalf("not whole: %v", s.Lacks)
	}
	for _, n := range s.Nodes {
		var own, waited float64
		for _, phase := range n.Status.Phases {
			own, waited = own+phase.Seconds-phase.Waited, waited+phase.Waited
		}
		b.figure(t, "%s: %.1f s of the boot are the agent's own, %.1f s it waited for others", n.Node.Name, own, waited)
	}
	for _, m := range ask[[]lab.Machine](t, b, time.Minute, "lab", "status") {
		if !m.Running || m.Image != b.baked[string(m.Role)].ContentDigest {
			t.Errorf("%s: running %v from image %s", m.Node, m.Running, m.Image)
		}
	}
	if text := b.must(t, time.Minute, "status", "--lab").stdout; !strings.Contains(text, "the cluster is whole") {
		t.Errorf("the table does not say that the cluster is whole:\n%s", text)
	}
}

func testClones(t *testing.T, _ *bench) {
	for _, path := range []string{"etc/machine-id", "etc/ssh/ssh_host_ed25519_key.pub"} {
		one, two := read(t, "postgres-1", path), read(t, "postgres-2", path)
		if one == "" || one == two {
			t.Errorf("/%s of two machines of one image: %q and %q", path, one, two)
		}
	}
}

// testMap looks on running machines for every file that the map of docs/architecture.md names.
func testMap(t *testing.T, b *bench) {
	for path, on := range architectureMap(t, b) {
		for _, machine := range machines {
			if on == "all" || strings.HasPrefix(machine, on+"-") {
				if read(t, machine, path) == "" && path != "/etc/cloud/cloud-init.disabled" {
					t.Errorf("%s: %s is empty", machine, path)
				}
			}
		}
	}
}

// testSettings holds the effective settings against those that were measured: Patroni raises small ones in silence.
func testSettings(t *testing.T, b *bench) {
	for _, n := range b.status(t).Nodes {
		if db := n.Status.Database; db != nil {
			b.figure(t, "%s: ttl %d s, loop_wait %d s, retry_timeout %d s", n.Node.Name, db.TTL, db.LoopWait, db.RetryTimeout)
			if db.TTL != 20 || db.LoopWait != 14 || db.RetryTimeout != 3 {
				t.Errorf("%s runs with other failover settings than those that were measured, 20/14/3", n.Node.Name)
			}
		}
	}
}

// testSeedSchema asks the cloud-init of the baked image, which is the one that reads the seeds.
func testSeedSchema(t *testing.T, b *bench) {
	for _, machine := range machines {
		role, _, _ := strings.Cut(machine, "-")
		digest := strings.TrimPrefix(b.baked[role].ContentDigest, "sha256:")[:12]
		for kind, file := range map[string]string{"cloud-config": "user-data", "network-config": "network-config"} {
			command := exec.CommandContext(t.Context(), "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--read-only", "--pipe",
				"--directory", filepath.Join("/var/cache/cincbake/trees", digest),
				"--bind-ro="+filepath.Join(b.dir, "seeds", machine)+":/mnt",
				"cloud-init", "schema", "--schema-type", kind, "--config-file", "/mnt/"+file)
			if said, err := command.CombinedOutput(); err != nil || !strings.Contains(string(said), "Valid schema") {
				t.Errorf("%s of %s: %v\n%s", file, machine, err, said)
			}
		}
	}
}
