package node

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// surroundings are a platform that remembers what it was asked.
type surroundings struct {
	found   found
	secrets []byte
	device  string
	asked   []string
	err     error
}

var _ Platform = (*surroundings)(nil)

func (s *surroundings) Discovery(*cluster.Resolved, cluster.Node) Discovery { return s.found }

func (s *surroundings) Secrets(_ context.Context, store cloudinit.SecretStore) ([]byte, error) {
	s.asked = append(s.asked, "secrets "+store.Name)
	return s.secrets, s.err
}

func (s *surroundings) Disk(_ context.Context, _ *cluster.Resolved, self cluster.Node) (string, error) {
	s.asked = append(s.asked, "disk of "+self.Name)
	return s.device, s.err
}

func (s *surroundings) Alive(context.Context, *cluster.Resolved, cluster.Node) error { return s.err }

func (s *surroundings) Ready(_ context.Context, _ *cluster.Resolved, self cluster.Node, content string) error {
	s.asked = append(s.asked, self.Name+" ready "+content)
	return s.err
}

// launched returns a host as cloud-init leaves it from user data: without secrets, and in a document without addresses. The
// surroundings know both.
func launched(t *testing.T, name string) (*step.Recorder, *surroundings) {
	t.Helper()
	host, r, _ := seeded(t, name)
	around := &surroundings{secrets: host.Entries[cloudinit.SecretsPath].Content, device: "/dev/nvme1n1"}
	delete(host.Entries, cloudinit.SecretsPath)
	document, err := cloudinit.DecodeDocument(host.Entries[cloudinit.DocumentPath].Content)
	if err != nil {
		t.Fatal(err)
	}
	document.Secrets, document.SecretStore = "", &cloudinit.SecretStore{Kind: cloudinit.AWSSecretsManager, Name: "cincbake/test/" + name}
	self, err := r.Node(name)
	if err != nil {
		t.Fatal(err)
	}
	around.found = found{self}
	for i := range document.Cluster.Nodes {
		document.Cluster.Nodes[i].Address, document.Cluster.Nodes[i].Disk = netip.Addr{}, ""
	}
	put(t, host, cloudinit.DocumentPath, document)
	return host, around
}

// Secrets are fetched once in a machine's life, and kept as a seed's are; the address is asked for each time.
func TestLoadFromPlatform(t *testing.T) {
	host, around := launched(t, "postgres-1")
	agent := Agent{Host: host, Platform: around}
	for range 2 {
		m, err := agent.load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m.Self.Address != around.found[0].Address || !m.Self.Address.IsValid() || m.Secrets.Node != "postgres-1" {
			t.Errorf("self is at %s, with secrets of %q", m.Self.Address, m.Secrets.Node)
		}
		in, err := discover(t.Context(), m.discovery(), m.inputs(cluster.Facts{}))
		if err != nil || in.Cluster.Nodes[0].Address != m.Self.Address {
			t.Errorf("discovered %v, %v", in.Cluster.Nodes, err)
		}
	}
	if diff := cmp.Diff([]string{"secrets cincbake/test/postgres-1"}, around.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if want := []step.Command{{Argv: []string{"systemctl", "start", "--no-block", role.UnitScrub}}}; !cmp.Equal(want, host.Ran) {
		t.Errorf("ran %v, want %v", host.Ran, want)
	}
	kept := host.Entries[cloudinit.SecretsPath]
	if kept.Mode != 0o600 || kept.Owner != "root" || string(kept.Content) != string(around.secrets) {
		t.Errorf("kept %o %s", kept.Mode, kept.Owner)
	}
}

func TestLoadFromPlatformRefuses(t *testing.T) {
	var refusal *role.Refusal
	host, around := launched(t, "postgres-1")
	if _, err := (Agent{Host: host}).load(t.Context()); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "aws-secrets-manager") {
		t.Errorf("an agent without a platform: %v", err)
	}
	around.err = errors.New("throttled")
	if _, err := (Agent{Host: host, Platform: around}).load(t.Context()); !errors.Is(err, around.err) {
		t.Errorf("no secrets: %v", err)
	}
	if _, ok := host.Entries[cloudinit.SecretsPath]; ok {
		t.Error("something was kept")
	}
	other, theirs := launched(t, "postgres-2")
	theirs.secrets = around.secrets
	if _, err := (Agent{Host: other, Platform: theirs}).load(t.Context()); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "postgres-1's") {
		t.Errorf("another's secrets: %v", err)
	}
}

// The disk that the platform brings is mounted, and when all is done the platform hears what the image is.
func TestBootTellsPlatform(t *testing.T) {
	host, around := launched(t, "postgres-1")
	host.Answer = (&disk{blkid: "TYPE=ext4\nLABEL=cincbake-data\n"}).answer
	host.Entries[role.ContentDigestFile] = step.Entry{Kind: step.KindFile, Content: []byte("sha256:abc\n")}
	b := &boot{host: host, platform: around, report: newReporter(host, io.Discard)}
	for _, run := range []func(context.Context) error{b.identify, b.disk, b.announce} {
		if err := run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"secrets cincbake/test/postgres-1", "disk of postgres-1", "postgres-1 ready sha256:abc"}
	if diff := cmp.Diff(want, around.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	last := ""
	for _, c := range host.Ran {
		if c.Argv[0] == "mount" {
			last = strings.Join(c.Argv, " ")
		}
	}
	if last != "mount -o noatime /dev/nvme1n1 "+role.DataDir {
		t.Errorf("mounted by %q", last)
	}
	around.err = errors.New("denied")
	if err := b.announce(t.Context()); !errors.Is(err, around.err) {
		t.Errorf("not told: %v", err)
	}
	if err := (&boot{host: host}).announce(t.Context()); err != nil {
		t.Errorf("without a platform: %v", err)
	}
}
