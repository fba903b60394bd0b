//go:build integration

package opensearch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/lab/machine"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// require skips a test with its reason, or fails it where everything must run.
func require(t *testing.T, missing string) {
	t.Helper()
	if os.Getenv("CINCBAKE_REQUIRE") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

// built is the package, and a system that the role was baked into with it.
type built struct {
	tree   string
	recipe cluster.Recipe
}

// bakeOnce makes the system once for all tests. It is kept for later runs, until the package or the agent changes.
var bakeOnce = sync.OnceValues(bake)

func baked(t *testing.T) built {
	t.Helper()
	if os.Geteuid() != 0 {
		require(t, "machines are root's to boot: run the tests with sudo")
	}
	for _, program := range [][2]string{{"mmdebstrap", "mmdebstrap"}, {"systemd-nspawn", "systemd-container"}, {"mvn", "maven"}, {"gcc", "gcc libc6-dev"}} {
		if _, err := exec.LookPath(program[0]); err != nil {
			require(t, program[0]+" is missing: apt-get install "+program[1])
		}
	}
	b, err := bakeOnce()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const project = "../../.."

func bake() (b built, err error) {
	cache, err := filepath.Abs(filepath.Join(project, ".cache", "standin"))
	if err != nil {
		return b, err
	}
	work, err := os.MkdirTemp("", "opensearch-standin-")
	if err != nil {
		return b, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	said, err := output(exec.CommandContext(context.Background(), "go", "run", "./build", "--out", work))
	if err != nil {
		return b, err
	}
	file, digest, _ := strings.Cut(strings.TrimSpace(said), " ")
	agent := filepath.Join(work, "cincbake-node")
	compile := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", agent, project+"/cmd/cincbake-node")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if _, err := output(compile); err != nil {
		return b, err
	}
	program, err := os.ReadFile(agent)
	if err != nil {
		return b, err
	}
	b.recipe = cluster.Recipe{
		Format: 1, Role: cluster.RoleOpenSearch, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64",
		Package: cluster.RecipePackage{Version: "1.3.20", Digest: digest},
	}
	sum := sha256.Sum256(append(program, digest...))
	b.tree = filepath.Join(cache, "machine-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(b.tree); err == nil {
		return b, nil
	}
	older, err := filepath.Glob(filepath.Join(cache, "machine-*"))
	if err != nil {
		return b, err
	}
	for _, tree := range older {
		if err := os.RemoveAll(tree); err != nil {
			return b, err
		}
	}
	return b, bakeInto(b, file, agent)
}

// bakeInto makes the tree with the product's agent, as a builder does.
func bakeInto(b built, file, agent string) error {
	partial := filepath.Join(filepath.Dir(b.tree), ".partial-"+filepath.Base(b.tree))
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if _, err := output(exec.CommandContext(context.Background(), "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory",
		"--aptopt=Acquire::Retries \"5\"", "--aptopt=APT::Install-Recommends \"false\"",
		"--setup-hook=mkdir -p \"$1/usr/share/man/man1\"", // Java's package wants it
		"--include=systemd-sysv", "trixie", partial, mirror()+"/debian")); err != nil {
		return err
	}
	_, digest, _ := strings.Cut(b.recipe.Package.Digest, ":")
	packages := filepath.Join(partial, "var/cache/cincbake/packages")
	if err := os.MkdirAll(packages, 0o755); err != nil {
		return err
	}
	recipe, err := json.Marshal(b.recipe)
	if err != nil {
		return err
	}
	for to, from := range map[string]string{filepath.Join(packages, digest+".deb"): file, filepath.Join(partial, "usr/bin/cincbake-node"): agent} {
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, content, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(partial, recipeFile), recipe, 0o644); err != nil {
		return err
	}
	if _, err := output(inside(partial, "/usr/bin/cincbake-node", "bake", "--recipe", recipeFile)); err != nil {
		return err
	}
	return os.Rename(partial, b.tree)
}

const recipeFile = "/var/tmp/recipe.json"

func mirror() string {
	if mirror := os.Getenv("CINCBAKE_MIRROR"); mirror != "" {
		return mirror
	}
	return "http://deb.debian.org"
}

// inside is a program in a tree that is not booted.
func inside(tree string, argv ...string) *exec.Cmd {
	command := exec.CommandContext(context.Background(), "systemd-nspawn", append([]string{
		"--quiet", "--directory=" + tree, "--register=no", "--keep-unit", "--resolv-conf=replace-host", "--pipe", "--",
	}, argv...)...)
	command.Env = append(os.Environ(), "SYSTEMD_NSPAWN_LOCK=0")
	return command
}

// output runs a program and returns what it printed; its last lines are in the error.
func output(command *exec.Cmd) (string, error) {
	var stdout, all bytes.Buffer
	command.Stdout, command.Stderr = io.MultiWriter(&stdout, &all), &all
	if err := command.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(all.String()), "\n")
		return all.String(), fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, strings.Join(lines[max(0, len(lines)-30):], "\n"))
	}
	return stdout.String(), nil
}

// booted is a running machine of a cluster.
type booted struct {
	machine.Machine
	host machine.Host
	in   role.Inputs
}

// bootAll boots the machines of a spec of testdata with the files that the role's Boot writes for that much memory. The cluster forms when
// all of them run OpenSearch.
func bootAll(t *testing.T, spec string, memory uint64) ([]*booted, *secrets.Bundle) {
	t.Helper()
	b := baked(t)
	host, err := machine.ThisHost()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := cluster.Load(filepath.Join("testdata", spec+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := loaded.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := secrets.Generate(resolved, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	network := machine.Network{Path: filepath.Join(t.TempDir(), "network"), Gateway: netip.PrefixFrom(resolved.Network.Gateway, resolved.Network.Prefix.Bits())}
	t.Cleanup(func() {
		if err := network.Down(); err != nil {
			t.Error(err)
		}
	})
	if err := network.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []*booted
	for _, node := range resolved.NodesOf(cluster.RoleOpenSearch) {
		name := fmt.Sprintf("standin-%d.%s", os.Getpid(), node.Name)
		m := &booted{host: host, in: inputs(t, resolved, bundle, node, memory), Machine: machine.Machine{
			Unit: name, Dir: filepath.Join(t.TempDir(), node.Name), Tree: b.tree, Interface: "eth0", Port: fmt.Sprintf("vs-%d", node.Slot), Network: network,
		}}
		t.Cleanup(func() { m.remove(t) })
		m.layOut(t)
		if err := m.Start(t.Context(), host); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all, bundle
}

func (m *booted) remove(t *testing.T) {
	t.Helper()
	ctx := context.Background() //nolint:usetesting // the test's own is over
	if t.Failed() {
		t.Logf("the end of %s:\n%s", m.in.Self.Name, m.journal())
	}
	if err := m.PowerOff(ctx, m.host); err != nil {
		t.Error(err)
	}
	if err := m.Remove(); err != nil {
		t.Error(err)
	}
}

// inputs is what a machine knows at its first boot, with its cluster about to form.
func inputs(t *testing.T, r *cluster.Resolved, bundle *secrets.Bundle, self cluster.Node, memory uint64) role.Inputs {
	t.Helper()
	scoped, err := bundle.Scope(self)
	if err != nil {
		t.Fatal(err)
	}
	in := role.Inputs{
		Cluster: r, Self: self, Secrets: scoped, Peers: cluster.Peers{},
		Facts: cluster.Facts{Hostname: self.Name, Addresses: []netip.Addr{self.Address}, MemoryBytes: memory, CPUs: 2},
	}
	for _, n := range r.NodesOf(cluster.RoleOpenSearch) {
		in.Joined.OpenSearch.InitialManagers = append(in.Joined.OpenSearch.InitialManagers, n.Name)
	}
	return in
}

// layOut prepares the machine's root: the files of its boot are there before it boots, and nobody else writes any.
func (m *booted) layOut(t *testing.T) {
	t.Helper()
	if err := m.Prepare(func(dir string) error { return os.Mkdir(dir, 0o700) }); err != nil {
		t.Fatal(err)
	}
	layer := filepath.Join(m.Dir, "layer")
	root := filepath.Join(layer, "root")
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", m.Tree, filepath.Join(layer, "upper"), filepath.Join(layer, "work"))
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	}()
	found, err := roles.Of(cluster.RoleOpenSearch)
	if err != nil {
		t.Fatal(err)
	}
	wiring, err := found.Boot(m.in)
	if err != nil {
		t.Fatal(err)
	}
	var plan step.Plan
	for _, s := range wiring {
		switch action := s.Action.(type) {
		case step.File:
			if action.Path != "/etc/cincbake/firewall.nft" { // the tests ask from the bridge
				plan = append(plan, s)
			}
		case step.Directory, step.Symlink:
			plan = append(plan, s)
		}
	}
	address := netip.PrefixFrom(m.in.Self.Address, m.in.Cluster.Network.Prefix.Bits())
	for path, content := range map[string]string{
		"/etc/systemd/network/eth0.network": fmt.Sprintf("[Match]\nName=eth0\n[Network]\nAddress=%s\n", address),
		"/etc/cloud/cloud-init.disabled":    "",
		"/etc/hostname":                     m.in.Self.Name + "\n",
	} {
		plan = append(plan, step.Step{Title: path, Action: step.File{Path: path, Mode: 0o644, Content: []byte(content)}})
	}
	const wants = "/etc/systemd/system/multi-user.target.wants/opensearch.service"
	plan = append(plan, step.Step{Title: wants, Action: step.Symlink{Path: wants, Target: "/usr/lib/systemd/system/opensearch.service"}})
	for _, unit := range []string{role.UnitBoot, role.UnitAgent, role.UnitScrub, "ssh.service"} {
		plan = append(plan, step.Step{Title: unit, Action: step.Symlink{Path: "/etc/systemd/system/" + unit, Target: "/dev/null"}})
	}
	if _, err := plan.Apply(t.Context(), step.Folder(root), nil); err != nil {
		t.Fatal(err)
	}
}

// run runs a program in the machine, without what would reach the host.
func (m *booted) run(ctx context.Context, argv ...string) (string, error) {
	processes, err := m.Processes(m.host)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(processes, func(p machine.Process) bool { return p.Inside == 1 })
	if at < 0 {
		return "", fmt.Errorf("%s does not run", m.Unit)
	}
	enter := []string{
		"--target=" + strconv.Itoa(processes[at].PID), "--mount", "--uts", "--ipc", "--net", "--pid", "--",
		"setpriv", "--bounding-set=-sys_time,-sys_module,-sys_rawio,-sys_resource,-ipc_lock", "--",
	}
	return output(exec.CommandContext(ctx, "nsenter", append(enter, argv...)...))
}

// kill sends a signal to OpenSearch's processes of that name: java, or the front.
func (m *booted) kill(t *testing.T, name string, signal syscall.Signal) {
	t.Helper()
	processes, err := m.Processes(m.host)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if p.Name == name {
			if err := m.Signal(m.host, p, signal); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%s runs no %s: %v", m.Unit, name, processes)
}

// count is how many processes of that name the machine has.
func (m *booted) count(t *testing.T, name string) int {
	t.Helper()
	processes, err := m.Processes(m.host)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, p := range processes {
		if p.Name == name {
			found++
		}
	}
	return found
}

// journal is the last that OpenSearch's unit said.
func (m *booted) journal() string {
	text, err := output(exec.CommandContext(context.Background(), "journalctl", "--directory="+m.Journal(), "--no-pager", "--lines=60", "--output=short-monotonic", "--unit=opensearch"))
	if err != nil {
		return err.Error()
	}
	return text
}
