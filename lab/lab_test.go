package lab

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab/machine"
)

func testCluster() *cluster.Resolved {
	return &cluster.Resolved{
		Name: "prod", Platform: cluster.OnPrem,
		Image:    cluster.Image{OS: "debian-13", Arch: "amd64"},
		Network:  cluster.Network{Prefix: netip.MustParsePrefix("10.20.0.0/24"), Gateway: netip.MustParseAddr("10.20.0.1"), Interface: "ens3"},
		Postgres: &cluster.Postgres{Version: 13},
		Nodes: []cluster.Node{
			{Name: "postgres-1", Role: cluster.RolePostgres, Slot: 1, Address: netip.MustParseAddr("10.20.0.31"), Disk: "/dev/vdb"},
			{Name: "heartbeat-1", Role: cluster.RoleHeartbeat, Slot: 1, Address: netip.MustParseAddr("10.20.0.33")},
		},
	}
}

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func testConfig() Config {
	c := testCluster()
	entry := func(role cluster.Role, digest string) images.Entry {
		recipe := c.Recipe(role)
		return images.Entry{ID: string(role) + "/" + digest[7:19], Record: images.Record{
			Recipe: recipe, RecipeDigest: recipe.Digest(), ContentDigest: digest, DocumentFormat: cloudinit.DocumentFormat, Verified: true,
		}}
	}
	return Config{Cluster: c, Images: map[cluster.Role]images.Entry{
		cluster.RolePostgres: entry(cluster.RolePostgres, digestA), cluster.RoleHeartbeat: entry(cluster.RoleHeartbeat, digestB),
	}}
}

func testLab(t *testing.T, name string) *Lab {
	t.Helper()
	l, err := Open(Folders{State: t.TempDir(), Cache: t.TempDir()}, name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOpen(t *testing.T) {
	for _, row := range []struct {
		name    string
		folders Folders
		fails   bool
	}{
		{"demo", DefaultFolders(), false},
		{"a", DefaultFolders(), false},
		{strings.Repeat("a", 30), DefaultFolders(), false},
		{strings.Repeat("a", 31), DefaultFolders(), true},
		{"", DefaultFolders(), true},
		{"../etc", DefaultFolders(), true},
		{"Demo", DefaultFolders(), true},
		{"demo-", DefaultFolders(), true},
		{"demo", Folders{State: "relative", Cache: "/c"}, true},
		{"demo", Folders{State: "/s", Cache: "/with,comma"}, true},
		{"demo", Folders{State: "/with:colon", Cache: "/c"}, true},
		{"demo", Folders{State: "/s", Cache: "/c", Backups: "/with,comma"}, true},
	} {
		if _, err := Open(row.folders, row.name); (err != nil) != row.fails || (err != nil && exit.CodeOf(err) != exit.Invalid) {
			t.Errorf("%q in %v: %v", row.name, row.folders, err)
		}
	}
}

// Only database machines see the share of the backup, each lab its own.
func TestShare(t *testing.T) {
	l, err := Open(Folders{State: "/s", Cache: "/c", Backups: "/b"}, "demo")
	if err != nil {
		t.Fatal(err)
	}
	r := record{Cluster: *testCluster(), Images: map[cluster.Role]string{cluster.RolePostgres: digestA, cluster.RoleHeartbeat: digestB}}
	for slot := range r.Cluster.Nodes {
		if share := l.machine(r, slot).Share; share != (machine.Share{}) {
			t.Errorf("without a backup: %+v", share)
		}
	}
	r.Cluster.Backup = &cluster.Backup{Path: "/mnt/backup"}
	for slot, node := range r.Cluster.Nodes {
		want := machine.Share{}
		if node.Role == cluster.RolePostgres {
			want = machine.Share{From: "/b/demo", At: "/mnt/backup", UID: 432}
		}
		if share := l.machine(r, slot).Share; share != want {
			t.Errorf("%s: %+v, want %+v", node.Name, share, want)
		}
	}
}

func TestSettle(t *testing.T) {
	l := testLab(t, "demo")
	first, err := l.settle(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := l.settle(testConfig()); err != nil || !again.Created.Equal(first.Created) || again.DiskBytes != DefaultDiskBytes {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	if info, err := os.Stat(l.recordFile()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("lab.json: %v, %v", info, err)
	}

	spoil := func(change func(*Config)) Config {
		config := testConfig()
		change(&config)
		return config
	}
	record := func(role cluster.Role, change func(*images.Record)) func(*Config) {
		return func(c *Config) {
			entry := c.Images[role]
			change(&entry.Record)
			c.Images[role] = entry
		}
	}
	for _, row := range []struct {
		name   string
		config Config
		want   string
		code   exit.Code
	}{
		{
			"another cluster", spoil(func(c *Config) { c.Cluster.Nodes[0].Address = netip.MustParseAddr("10.20.0.99") }),
			"lab demo was made from another cluster file or from other images: cincbake lab down first, which discards its data", exit.Unsafe,
		},
		{
			"another image", spoil(record(cluster.RolePostgres, func(r *images.Record) { r.ContentDigest = digestB })),
			"lab demo was made from another cluster file or from other images: cincbake lab down first, which discards its data", exit.Unsafe,
		},
		{
			"no image", spoil(func(c *Config) { delete(c.Images, cluster.RoleHeartbeat) }),
			"heartbeat-1 has no image: cincbake bake heartbeat", exit.Missing,
		},
		{
			"an image of another recipe", spoil(record(cluster.RoleHeartbeat, func(r *images.Record) { r.RecipeDigest = digestA })),
			"image heartbeat/bbbbbbbbbbbb: it was baked from another recipe: cincbake bake heartbeat", exit.Missing,
		},
		{
			"an image whose agent is too old", spoil(record(cluster.RoleHeartbeat, func(r *images.Record) { r.DocumentFormat = 0 })),
			"image heartbeat/bbbbbbbbbbbb: its agent reads node documents of format 0, this release writes 1: cincbake bake heartbeat", exit.Missing,
		},
		{
			"an image that was never verified", spoil(record(cluster.RoleHeartbeat, func(r *images.Record) { r.Verified = false })),
			"image heartbeat/bbbbbbbbbbbb: it was never verified: cincbake bake heartbeat", exit.Missing,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := l.settle(row.config); err == nil || err.Error() != row.want || exit.CodeOf(err) != row.code {
				t.Errorf("got %v, exit code %d", err, exit.CodeOf(err))
			}
		})
	}
}

func TestLoadRefusesWhatItDoesNotKnow(t *testing.T) {
	for text, want := range map[string]string{
		`{`:            "cincbake lab down takes the lab away",
		`{"format":2}`: "take the lab away with the release that made it",
	} {
		l := testLab(t, "demo")
		if err := os.MkdirAll(l.dir(), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(l.recordFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := l.load(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestMachines(t *testing.T) {
	l := testLab(t, "demo")
	r, err := l.settle(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.machineOf("heartbeat-1")
	if err != nil {
		t.Fatal(err)
	}
	got := []string{m.Unit, m.Dir, m.Tree, m.Disk, m.Interface, m.Port, m.Network.Path, m.Network.Gateway.String()}
	want := []string{
		"cincbake-lab-demo.heartbeat-1", filepath.Join(l.folders.State, "demo/machines/heartbeat-1"), filepath.Join(l.folders.Cache, "bbbbbbbbbbbb"),
		"", "ens3", "node2", filepath.Join(l.folders.State, "demo/network"), "10.20.0.1/24",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if one := l.machine(r, 0); one.Disk != "/dev/vdb" || one.DiskBytes != DefaultDiskBytes || one.Port != "node1" {
		t.Errorf("got %+v", one)
	}
	if _, err := l.machineOf("api-1"); exit.CodeOf(err) != exit.Invalid {
		t.Errorf("got %v", err)
	}
}

func TestWithoutALab(t *testing.T) {
	l := testLab(t, "demo")
	if _, err := l.Cluster(); !errors.Is(err, ErrNoLab) || exit.CodeOf(err) != exit.Missing || err.Error() != "there is no lab demo: cincbake lab up makes it" {
		t.Errorf("got %v", err)
	}
	if _, err := l.machineOf("postgres-1"); !errors.Is(err, ErrNoLab) {
		t.Errorf("got %v", err)
	}
}

func TestBridgeAddress(t *testing.T) {
	address := netip.MustParseAddr
	for _, row := range []struct {
		name, prefix string
		gateway      netip.Addr
		nodes        []string
		want         string
	}{
		{"the gateway's", "10.20.0.0/24", address("10.20.0.1"), nil, "10.20.0.1/24"},
		{"the last", "10.20.0.0/24", netip.Addr{}, []string{"10.20.0.31"}, "10.20.0.254/24"},
		{"the last free one", "10.20.0.0/24", netip.Addr{}, []string{"10.20.0.254", "10.20.0.253"}, "10.20.0.252/24"},
		{"across a byte", "10.20.4.7/22", netip.Addr{}, nil, "10.20.7.254/22"},
		{"a small network", "192.0.2.8/29", netip.Addr{}, []string{"192.0.2.14"}, "192.0.2.13/29"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := &cluster.Resolved{Network: cluster.Network{Prefix: netip.MustParsePrefix(row.prefix), Gateway: row.gateway}}
			for _, node := range row.nodes {
				c.Nodes = append(c.Nodes, cluster.Node{Address: address(node)})
			}
			if got := bridgeAddress(c).String(); got != row.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestPruneTreesKeepsWhatLabsAreMadeOf(t *testing.T) {
	one := testLab(t, "one")
	if _, err := one.settle(testConfig()); err != nil {
		t.Fatal(err)
	}
	for _, tree := range []string{"aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd.partial"} {
		if err := os.MkdirAll(filepath.Join(one.folders.Cache, tree, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	another := &Lab{name: "two", folders: one.folders}
	if err := another.pruneTrees(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(one.folders.Cache)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if diff := cmp.Diff([]string{"aaaaaaaaaaaa", "bbbbbbbbbbbb"}, left); diff != "" {
		t.Error(diff)
	}

	if err := os.WriteFile(one.recordFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := another.pruneTrees(); err == nil {
		t.Error("trees were removed though a lab's record can't be read")
	}
	if _, err := os.Stat(filepath.Join(one.folders.Cache, "aaaaaaaaaaaa")); errors.Is(err, fs.ErrNotExist) {
		t.Error("a tree is gone that a lab may run on")
	}
}

func TestPreflight(t *testing.T) {
	fine := func(context.Context) error { return nil }
	broken := func(context.Context) error { return errors.New("not here") }
	needs := func(ends bool, checks ...func(context.Context) error) []need {
		var all []need
		for i, check := range checks {
			name := string(rune('a' + i))
			all = append(all, need{Missing{name, "why " + name, "get " + name}, check, ends})
		}
		return all
	}
	for _, row := range []struct {
		name  string
		needs []need
		want  []Missing
	}{
		{"nothing missing", needs(false, fine, fine), nil},
		{"all that is missing", needs(false, broken, fine, broken), []Missing{{"a", "why a (not here)", "get a"}, {"c", "why c (not here)", "get c"}}},
		{"nothing after what ends it", needs(true, broken, broken), []Missing{{"a", "why a (not here)", "get a"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, check(t.Context(), row.needs)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if err := AsError(nil); err != nil {
		t.Error(err)
	}
	err := AsError([]Missing{{"ip", "it makes the network (not found)", "apt-get install iproute2"}})
	want := `this machine can't run a lab yet
  ip: it makes the network (not found)
      apt-get install iproute2
without a lab, init, validate, secrets, render, images and version still work`
	if exit.CodeOf(err) != exit.Missing || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestNspawnVersion(t *testing.T) {
	for output, fine := range map[string]bool{
		"systemd 252 (252.39-1~deb12u2)\n+PAM": true,
		"systemd 236\n":                        true,
		"systemd 235\n":                        false,
		"nothing of the kind":                  false,
	} {
		if err := enough(output); (err == nil) != fine {
			t.Errorf("%q: %v", output, err)
		}
	}
}
