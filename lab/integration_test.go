//go:build integration

package lab_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/archive"
	"github.com/cincbake/cincbake/lab"
	"github.com/cincbake/cincbake/secrets"
)

// require skips a test with its reason, or fails it where everything must run.
func require(t *testing.T, missing string) {
	t.Helper()
	if os.Getenv("CINCBAKE_REQUIRE") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

// baseTree returns a Debian system with systemd and cloud-init: the one that CINCBAKE_TEST_TREE names, or a new one.
func baseTree(t *testing.T) string {
	t.Helper()
	if tree := os.Getenv("CINCBAKE_TEST_TREE"); tree != "" {
		return tree
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		require(t, "mmdebstrap makes the system that is booted: apt-get install mmdebstrap")
	}
	tree := filepath.Join(t.TempDir(), "tree")
	output, err := exec.CommandContext(t.Context(), "mmdebstrap", "--variant=minbase",
		"--include=systemd,systemd-sysv,dbus,cloud-init,iproute2,openssh-server,e2fsprogs", "trixie", tree).CombinedOutput()
	if err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, output)
	}
	return tree
}

// bakePlain makes images of both roles that hold a plain system: enough to boot and to be told a name and an address.
func bakePlain(t *testing.T, c *cluster.Resolved) map[cluster.Role]images.Entry {
	t.Helper()
	work := t.TempDir()
	dir := func(name string) string {
		path := filepath.Join(work, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	upper, merged := dir("upper"), dir("merged")
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", baseTree(t), upper, dir("work"))
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(merged, 0); err != nil {
			t.Error(err)
		}
	}()
	// What the bake of every role does for networkd, and its agent for a cloud-init that loses its seed.
	enable := exec.CommandContext(t.Context(), "systemctl", "--root="+merged, "enable", "systemd-networkd", "systemd-networkd-wait-online")
	if output, err := enable.CombinedOutput(); err != nil {
		t.Fatalf("systemctl enable: %v\n%s", err, output)
	}
	for name, text := range map[string]string{
		"etc/cloud/cloud.cfg.d/90_test.cfg": "datasource_list: [ NoCloud ]\nmanual_cache_clean: true\n",
		"etc/machine-id":                    "",
	} {
		if err := os.WriteFile(filepath.Join(merged, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"etc/hostname", "etc/resolv.conf"} {
		if err := os.RemoveAll(filepath.Join(merged, name)); err != nil {
			t.Fatal(err)
		}
	}
	digest, err := images.Digest(merged)
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := images.Open(dir("images"))
	if err != nil {
		t.Fatal(err)
	}
	baked := map[cluster.Role]images.Entry{}
	for _, role := range []cluster.Role{cluster.RolePostgres, cluster.RoleHeartbeat} {
		recipe := c.Recipe(role)
		entry, err := catalogue.Add(t.Context(), func(draft *images.Draft) (images.Record, error) {
			record := images.Record{
				Role: role, Recipe: recipe, RecipeDigest: recipe.Digest(), ContentDigest: digest,
				Packages: []images.Package{{Name: "cloud-init", Version: "1", Arch: "all"}}, AgentVersion: "test",
				DocumentFormat: cloudinit.DocumentFormat, Created: time.Now().UTC(), Verified: true,
			}
			return record, draft.Stream(images.KindRootfs, func(to io.Writer) error {
				return archive.Pack(t.Context(), merged, to, archive.Times{Made: time.Now(), Epoch: time.Unix(0, 0)})
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		baked[role] = entry
	}
	return baked
}

func plainCluster() *cluster.Resolved {
	return &cluster.Resolved{
		Name: "prod", Platform: cluster.OnPrem,
		Image:    cluster.Image{OS: "debian-13", Arch: "amd64"},
		Network:  cluster.Network{Prefix: netip.MustParsePrefix("10.77.0.0/24"), Gateway: netip.MustParseAddr("10.77.0.1"), Interface: "eth0"},
		Postgres: &cluster.Postgres{Version: 13},
		Nodes: []cluster.Node{
			{Name: "postgres-1", Role: cluster.RolePostgres, Slot: 1, Address: netip.MustParseAddr("10.77.0.31"), Disk: "/dev/vdb"},
			{Name: "heartbeat-1", Role: cluster.RoleHeartbeat, Slot: 1, Address: netip.MustParseAddr("10.77.0.33")},
		},
	}
}

// hostState is what a lab must leave as it found it.
func hostState(t *testing.T) map[string]string {
	t.Helper()
	run := func(argv ...string) string {
		output, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", argv, err, output)
		}
		return string(output)
	}
	var cgroups []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() && strings.Contains(path, "cincbake-lab-test") {
			cgroups = append(cgroups, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	ours := func(lines, word string) string {
		var kept []string
		for line := range strings.Lines(lines) {
			if strings.Contains(line, word) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	return map[string]string{
		"mounts":    ours(string(mounts), t.Name()),
		"loops":     ours(run("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"), t.Name()),
		"links":     run("ip", "-o", "link"),
		"routes":    run("ip", "route", "show", "table", "all"),
		"cgroups":   strings.Join(cgroups, "\n"),
		"processes": ours(run("ps", "-eo", "args"), "cincbake-lab-test"),
	}
}

// soon is how long what answers may take on a busy host: a single lost packet costs a second.
const soon = 10 * time.Second

// eventually asks until the answer is yes.
func eventually(t *testing.T, within time.Duration, what string, ask func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ask() {
		if time.Since(began) > within {
			t.Fatalf("%s: not within %v", what, within)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(began)
}

// answers tells whether a node's ssh server greets on its address, which cloud-init gave it.
func answers(t *testing.T, l *lab.Lab, address string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	conn, err := l.Dial(ctx, "tcp", net.JoinHostPort(address, "22"))
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return false
	}
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.HasPrefix(line, "SSH-2.0-")
}

func TestLab(t *testing.T) {
	folders := lab.Folders{State: t.TempDir(), Cache: t.TempDir()}
	if err := lab.AsError(lab.CheckHost(t.Context(), folders)); err != nil {
		require(t, err.Error())
	}
	before := hostState(t)
	c := plainCluster()
	bundle, err := secrets.Generate(c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	config := lab.Config{
		Cluster: c, Images: bakePlain(t, c), DiskBytes: 64 << 20,
		Seed: func(node string) (cloudinit.Seed, error) {
			n, err := c.Node(node)
			if err != nil {
				return cloudinit.Seed{}, err
			}
			scoped, err := bundle.Scope(n)
			if err != nil {
				return cloudinit.Seed{}, err
			}
			return cloudinit.Render(c, n, scoped)
		},
	}
	l, err := lab.Open(folders, fmt.Sprintf("test-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	do := func(what string, f func(context.Context, string) error, node string) {
		t.Helper()
		began := time.Now()
		if err := f(t.Context(), node); err != nil {
			t.Fatalf("%s %s: %v", what, node, err)
		}
		t.Logf("%s %s: %.2f s", what, node, time.Since(began).Seconds())
	}
	up := func(ctx context.Context) error {
		return l.Up(ctx, config, func(e lab.Event) { t.Logf("%s %s: %.2f s", e.Subject, e.What, e.Took.Seconds()) })
	}
	t.Cleanup(func() {
		if t.Failed() {
			var logs bytes.Buffer
			_ = l.Logs(context.Background(), "postgres-1", 60, &logs)
			t.Log(logs.String())
		}
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})

	t.Run("boots from the seed", func(t *testing.T) {
		if err := up(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, node := range c.Nodes {
			// cloud-init restarts the ssh server once it has made its keys: ask it when that is over.
			finished := machineFile(folders, l, node.Name, "layer/upper/var/lib/cloud/instances/*/boot-finished")
			took := eventually(t, 90*time.Second, node.Name, func() bool {
				found, err := filepath.Glob(finished)
				return err == nil && len(found) == 1 && answers(t, l, node.Address.String())
			})
			t.Logf("%s has booted and answers on its address %.2f s after up", node.Name, took.Seconds())
			hostname(t, folders, l, node.Name)
		}
		machines, err := l.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range machines {
			if !m.Running || m.Seconds <= 0 || m.Seconds > 300 {
				t.Errorf("status says %+v", m)
			}
		}
	})
	if t.Failed() {
		return
	}

	const one = "postgres-1"
	address := c.Nodes[0].Address.String()
	back := func(t *testing.T) {
		t.Helper()
		took := eventually(t, 90*time.Second, one, func() bool { return answers(t, l, address) })
		t.Logf("%s answers again after %.2f s", one, took.Seconds())
	}
	id := machineID(t, folders, l, one)

	t.Run("up again leaves running machines alone", func(t *testing.T) {
		if err := up(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, soon, "the machine answers as before", func() bool { return answers(t, l, address) })
	})
	t.Run("up with another seed is refused", func(t *testing.T) {
		other := config
		other.Seed = func(string) (cloudinit.Seed, error) {
			return cloudinit.Seed{InstanceID: "other", MetaData: []byte("{}")}, nil
		}
		if err := l.Up(t.Context(), other, func(lab.Event) {}); err == nil || !strings.Contains(err.Error(), "another seed") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("programs are killed by name", func(t *testing.T) {
		killed, err := l.KillPrograms(t.Context(), one, "sshd")
		if err != nil || killed == 0 {
			t.Fatalf("killed %d: %v", killed, err)
		}
		back(t) // its unit says to restart it
		if _, err := l.KillPrograms(t.Context(), one, "no-such-program"); err == nil {
			t.Error("killing what does not run is no error")
		}
	})
	const other = "heartbeat-1"
	reaches := func(from, address string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		conn, err := l.DialFrom(ctx, from, "tcp", address)
		if err != nil {
			return false
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return false
		}
		line, _ := bufio.NewReader(conn).ReadString('\n')
		return strings.HasPrefix(line, "SSH-2.0-")
	}
	status := func(t *testing.T, node string) lab.Machine {
		t.Helper()
		machines, err := l.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range machines {
			if m.Node == node {
				return m
			}
		}
		t.Fatalf("status knows no %s", node)
		return lab.Machine{}
	}
	inside := func(t *testing.T, node string, argv ...string) string {
		t.Helper()
		var output bytes.Buffer
		if err := l.Exec(t.Context(), node, argv, nil, &output); err != nil {
			t.Fatalf("%v in %s: %v", argv, node, err)
		}
		return output.String()
	}

	t.Run("programs run inside with no capability more", func(t *testing.T) {
		if got := strings.TrimSpace(inside(t, one, "hostname")); got != one {
			t.Errorf("%s calls itself %q", one, got)
		}
		sets := strings.Fields(inside(t, one, "sed", "-n", "s/^CapBnd:\t//p", "/proc/1/status", "/proc/self/status"))
		effective := strings.Fields(inside(t, one, "sed", "-n", "s/^CapEff:\t//p", "/proc/self/status"))
		if len(sets) != 2 || sets[0] != sets[1] || len(effective) != 1 || effective[0] != sets[0] {
			t.Errorf("init may %q, a program of the lab's has %q", sets, effective)
		}
		if err := l.Exec(t.Context(), one, []string{"sh", "-c", "echo broken >&2; exit 3"}, nil, nil); err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("a program that failed: %v", err)
		}
	})
	t.Run("a node is dialled from inside", func(t *testing.T) {
		for _, to := range []string{"127.0.0.1:22", net.JoinHostPort(address, "22")} {
			eventually(t, soon, one+" reaches "+to, func() bool { return reaches(one, to) })
		}
		eventually(t, soon, other+" reaches "+one, func() bool { return reaches(other, net.JoinHostPort(address, "22")) })
	})
	t.Run("clients of this host are led in", func(t *testing.T) {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Forward(ctx, listener, net.JoinHostPort(address, "22")) }()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "SSH-2.0-") {
			t.Errorf("it says %q: %v", line, err)
		}
		cancel() // also of a connection that is open
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Run("a partition outlasts a restart, and not the operator's way in", func(t *testing.T) {
		if _, err := exec.LookPath("nft"); err != nil {
			require(t, "nft cuts nodes off: apt-get install nftables")
		}
		to := net.JoinHostPort(address, "22")
		partition := func(with ...string) func(context.Context, string) error {
			return func(ctx context.Context, node string) error { return l.Partition(ctx, node, with) }
		}
		do("partition", partition(), one)
		if reaches(other, to) || reaches(one, net.JoinHostPort(c.Nodes[1].Address.String(), "22")) {
			t.Error("packets cross the cut")
		}
		eventually(t, soon, "the operator gets through the cut", func() bool { return answers(t, l, address) })
		if !status(t, one).Partitioned || status(t, other).Partitioned {
			t.Error("status does not tell who is cut off")
		}
		do("partition", partition(other), one)
		eventually(t, soon, "company is reached", func() bool { return reaches(other, to) })
		do("partition", partition(), one)
		do("power off", l.PowerOff, one)
		do("start", l.Start, one)
		back(t)
		if reaches(other, to) {
			t.Error("a restart healed the partition")
		}
		do("heal", l.Heal, one)
		eventually(t, soon, "it is reached again", func() bool { return reaches(other, to) })
		if status(t, one).Partitioned {
			t.Error("status says that it is still cut off")
		}
		if err := l.Partition(t.Context(), one, []string{one}); err == nil {
			t.Error("a node was to be in its own company")
		}
	})
	t.Run("a frozen node keeps still, thaws, and can lose its power", func(t *testing.T) {
		do("freeze", l.Freeze, one)
		if answers(t, l, address) {
			t.Error("a frozen node answers")
		}
		if !status(t, one).Frozen {
			t.Error("status does not tell that it is frozen")
		}
		if err := l.Shutdown(t.Context(), one); err == nil {
			t.Error("a frozen node was shut down")
		}
		do("thaw", l.Thaw, one)
		eventually(t, soon, "a thawed node answers", func() bool { return answers(t, l, address) })
		if status(t, one).Frozen {
			t.Error("status says that it is still frozen")
		}
		do("freeze", l.Freeze, one)
		do("power off", l.PowerOff, one)
		do("start", l.Start, one)
		back(t)
		if status(t, one).Frozen {
			t.Error("the node started frozen")
		}
	})
	t.Run("a data disk is filled and emptied", func(t *testing.T) {
		if err := l.Fill(t.Context(), other); err == nil || !strings.Contains(err.Error(), "no data disk") {
			t.Errorf("filling what is not there: %v", err)
		}
		if err := l.Fill(t.Context(), one); err == nil || !strings.Contains(err.Error(), "not mounted") {
			t.Errorf("filling what is not mounted: %v", err)
		}
		inside(t, one, "sh", "-ec", "mkdir -p /data; mkfs.ext4 -q /dev/vdb; mount /dev/vdb /data; chmod 1777 /data")
		as := func(user, command string) error {
			return l.Exec(t.Context(), one, []string{"setpriv", "--reuid=" + user, "--clear-groups", "sh", "-c", command}, nil, nil)
		}
		const write = "head -c 1000000 /dev/zero > /data/mine"
		if err := as("nobody", write); err != nil {
			t.Fatal(err)
		}
		for range 2 { // filling again is no error
			do("fill", l.Fill, one)
		}
		if err := as("nobody", "head -c 2000000 /dev/zero > /data/more"); err == nil || !strings.Contains(err.Error(), "No space left") {
			t.Errorf("writing to a full disk: %v", err)
		}
		do("empty", l.Empty, one)
		if err := as("nobody", write); err != nil {
			t.Errorf("writing to an emptied disk: %v", err)
		}
		if err := l.FillBut(t.Context(), one, 8<<20); err != nil {
			t.Fatal(err)
		}
		if err := as("nobody", "head -c 2000000 /dev/zero > /data/more"); err != nil {
			t.Errorf("writing what was left: %v", err)
		}
		do("empty", l.Empty, one)
		inside(t, one, "umount", "/data")
		inside(t, one, "wipefs", "--all", "--quiet", "/dev/vdb")
	})
	t.Run("power-off and start keep the disks", func(t *testing.T) {
		do("power off", l.PowerOff, one)
		if answers(t, l, address) {
			t.Error("a dead machine answers")
		}
		mark(t, folders, l, one, "kept")
		do("start", l.Start, one)
		back(t)
		if got := machineID(t, folders, l, one); got != id {
			t.Errorf("machine-id changed from %s to %s", id, got)
		}
		if got := readMark(t, folders, l, one); got != "kept" {
			t.Errorf("the data disk says %q", got)
		}
	})
	t.Run("reboot without the seed", func(t *testing.T) {
		if err := l.RemoveSeed(t.Context(), one); err == nil {
			t.Error("the seed of a running machine was taken away beneath it")
		}
		do("shut down", l.Shutdown, one)
		do("remove seed of", l.RemoveSeed, one)
		do("start", l.Start, one)
		back(t)
		hostname(t, folders, l, one)
	})
	t.Run("reboot", func(t *testing.T) {
		do("reboot", l.Reboot, one)
		back(t)
	})
	t.Run("replace empties both disks", func(t *testing.T) {
		do("replace", l.Replace, one)
		back(t)
		hostname(t, folders, l, one) // so the seed is there again
		if got := machineID(t, folders, l, one); got == id {
			t.Error("the new machine has the old one's machine-id")
		}
		if got := readMark(t, folders, l, one); got != "\x00\x00\x00\x00" {
			t.Errorf("the new data disk says %q", got)
		}
	})
	t.Run("replaced from a named image", func(t *testing.T) {
		do("replace", func(ctx context.Context, node string) error {
			return l.ReplaceFrom(ctx, config.Cluster, node, config.Images[cluster.RolePostgres], func(lab.Event) {})
		}, one)
		back(t)
		if err := up(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("down leaves nothing, also of an interrupted up", func(t *testing.T) {
		do("down", func(ctx context.Context, _ string) error { return l.Down(ctx) }, "")
		if diff := cmp.Diff(before, hostState(t)); diff != "" {
			t.Errorf("left over (-before +after):\n%s", diff)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		started := 0
		_ = l.Up(ctx, config, func(e lab.Event) {
			if e.What == "started" {
				started++
				cancel() // while the other one starts
			}
		})
		if started == 0 {
			t.Error("up was interrupted before anything ran")
		}
		do("down", func(ctx context.Context, _ string) error { return l.Down(ctx) }, "")
		if diff := cmp.Diff(before, hostState(t)); diff != "" {
			t.Errorf("left over (-before +after):\n%s", diff)
		}
		if left, err := os.ReadDir(filepath.Join(folders.State, l.Name())); err == nil {
			t.Errorf("left in the lab's folder: %v", left)
		}
	})
}

func machineFile(folders lab.Folders, l *lab.Lab, node, name string) string {
	return filepath.Join(folders.State, l.Name(), "machines", node, name)
}

// hostname asserts that cloud-init gave the node its name.
func hostname(t *testing.T, folders lab.Folders, l *lab.Lab, node string) {
	t.Helper()
	text, err := os.ReadFile(machineFile(folders, l, node, "layer/upper/etc/hostname"))
	if err != nil || strings.TrimSpace(string(text)) != node {
		t.Errorf("the hostname of %s is %q: %v", node, text, err)
	}
}

func machineID(t *testing.T, folders lab.Folders, l *lab.Lab, node string) string {
	t.Helper()
	text, err := os.ReadFile(machineFile(folders, l, node, "layer/upper/etc/machine-id"))
	if err != nil || len(text) != 33 {
		t.Fatalf("the machine-id of %s is %q: %v", node, text, err)
	}
	return string(text)
}

// mark writes four bytes to a node's data disk.
func mark(t *testing.T, folders lab.Folders, l *lab.Lab, node, text string) {
	t.Helper()
	disk, err := os.OpenFile(machineFile(folders, l, node, "disk.img"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if _, err := disk.WriteAt([]byte(text), 1<<20); err != nil {
		t.Fatal(err)
	}
}

func readMark(t *testing.T, folders lab.Folders, l *lab.Lab, node string) string {
	t.Helper()
	disk, err := os.Open(machineFile(folders, l, node, "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	text := make([]byte, 4)
	if _, err := disk.ReadAt(text, 1<<20); err != nil {
		t.Fatal(err)
	}
	return string(text)
}
