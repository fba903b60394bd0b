package cloudinit_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cloudinit/schema"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/golden"
)

func userData(tb testing.TB, r *cluster.Resolved, node cluster.Node) cloudinit.UserData {
	tb.Helper()
	u, err := cloudinit.RenderUserData(r, node)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

func unpacked(tb testing.TB, data []byte) []byte {
	tb.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func TestGoldenUserData(t *testing.T) {
	for name, r := range inCloud() {
		for _, node := range oneOfEach(r) {
			u := userData(t, r, node)
			golden.Compare(t, path.Join("testdata/golden", name, node.Name, "user-data"), string(u.Text))
			if err := schema.CheckUserData(u.Text); err != nil {
				t.Errorf("%s: cloud-init would not accept it:\n%v", node.Name, err)
			}
			if !bytes.Equal(unpacked(t, u.Data), u.Text) {
				t.Errorf("%s: what is sent is not what was rendered", node.Name)
			}
			if again := userData(t, r, node); !bytes.Equal(u.Data, again.Data) {
				t.Errorf("%s: rendered twice, two results", node.Name)
			}
		}
	}
}

// The goal for user data: 6 KB at most, 4 KB in the median, a third of what EC2 takes.
func TestUserDataIsSmall(t *testing.T) {
	var sizes []int
	for name, r := range inCloud() {
		for _, node := range r.Nodes {
			size := len(userData(t, r, node).Data)
			if size > 6<<10 {
				t.Errorf("%s of %s has %d bytes", node.Name, name, size)
			}
			sizes = append(sizes, size)
		}
	}
	slices.Sort(sizes)
	if median := sizes[len(sizes)/2]; median > 4<<10 {
		t.Errorf("the median is %d bytes", median)
	}
}

// The agent reads what user data brings: a document that names where the secrets are, and no secrets file.
func TestUserDataReachesTheAgent(t *testing.T) {
	r := onAWS(selfHosted())
	for _, node := range r.Nodes {
		u := userData(t, r, node)
		files := written(t, u.Text)
		if len(files) != 1 {
			t.Errorf("%s: user data writes %d files", node.Name, len(files))
		}
		document, err := cloudinit.DecodeDocument([]byte(files[cloudinit.DocumentPath]))
		if err != nil {
			t.Fatal(err)
		}
		want := cloudinit.SecretStore{Kind: cloudinit.AWSSecretsManager, Name: "cincbake/prod/" + node.Name}
		if document.Secrets != "" || document.SecretStore == nil || *document.SecretStore != want {
			t.Errorf("%s: secrets %q, store %v", node.Name, document.Secrets, document.SecretStore)
		}
		if document.InstanceID() != u.InstanceID || document.Node != node.Name {
			t.Errorf("%s: the document makes %s of %s, expected %s", node.Name, document.InstanceID(), document.Node, u.InstanceID)
		}
		if hasName := bytes.Contains(u.Text, []byte("\nhostname: ")); hasName != (node.Slot > 0) {
			t.Errorf("%s: user data gives a host name: %v", node.Name, hasName)
		}
	}
}

// The bytes of a packed text, fixed: neither a release of Go nor one of the library may change launch templates in silence.
func TestPackedBytesAreStable(t *testing.T) {
	r := onAWS(standalone())
	sum := sha256.Sum256(userData(t, r, r.Nodes[0]).Data)
	golden.Compare(t, "testdata/golden/aws-standalone/standalone-1/sha256", hex.EncodeToString(sum[:])+"\n")
}

func TestBudget(t *testing.T) {
	r := onAWS(selfHosted())
	r.CACertificates = "-----BEGIN CERTIFICATE-----\n" + strings.Repeat("MIIB\n", 400) + "-----END CERTIFICATE-----\n"
	u := userData(t, r, r.Nodes[0])
	var names []string
	sum := cloudinit.Part{Name: "total"}
	raw := map[string]int{}
	for _, p := range u.Budget().Parts {
		names = append(names, p.Name)
		raw[p.Name] = p.Raw
		sum.Raw += p.Raw
		sum.Gzip += p.Gzip
		sum.Base64 += p.Base64
	}
	want := []string{
		"cloud-config", "ssh access", "node document", "cluster.name", "cluster.platform", "cluster.region", "cluster.domain", "cluster.image", "cluster.network", "cluster.cinc",
		"cluster.lb", "cluster.api", "cluster.postgres", "cluster.opensearch", "cluster.access", "cluster.caCertificates", "cluster.nodes",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sum, u.Budget().Total); diff != "" {
		t.Errorf("the parts' sum (-sum +total):\n%s", diff)
	}
	if total := u.Budget().Total; total.Raw != len(u.Text) || total.Gzip != len(u.Data) || total.Base64 != base64.StdEncoding.EncodedLen(len(u.Data)) {
		t.Errorf("total %+v, but the text has %d bytes and is sent as %d", total, len(u.Text), len(u.Data))
	}
	if got := raw["cluster.caCertificates"]; got < 2400 || got > 2500 {
		t.Errorf("certificates of 2,053 characters and 402 line ends count as %d bytes", got)
	}
	if got, line := raw["cluster.region"], len("          \"region\": \"eu-west-1\",\n"); got != line {
		t.Errorf("the region's line counts as %d bytes, it has %d", got, line)
	}
}

func TestUserDataOverTheLimit(t *testing.T) {
	r := onAWS(managed())
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 16000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	r.CACertificates = base64.StdEncoding.EncodeToString(noise)
	_, err := cloudinit.RenderUserData(r, r.Nodes[0])
	if err == nil || exit.CodeOf(err) != exit.Invalid {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"user data of api: ", "and EC2 takes 16384 (most of it: cluster.caCertificates 1", "shorten"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestUserDataRefuses(t *testing.T) {
	r := onAWS(managed())
	for _, test := range []struct {
		name    string
		cluster *cluster.Resolved
		node    cluster.Node
		want    string
	}{
		{"a cluster of seeds", testCluster(), testCluster().Nodes[0], "user data of postgres-1: machines of cluster prod start onprem, where nothing hands them user data: render a seed as dir or iso"},
		{"an unknown node", r, cluster.Node{Name: "postgres-1"}, `user data of postgres-1: cluster prod has no node "postgres-1"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := cloudinit.RenderUserData(test.cluster, test.node); err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// One row for each platform, and each row whole.
func TestLimits(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range cloudinit.Limits() {
		if l.Platform == "" || seen[l.Platform] || l.Bytes < 1<<14 || l.Source == "" {
			t.Errorf("row %+v", l)
		}
		seen[l.Platform] = true
	}
}

func BenchmarkUserData(b *testing.B) {
	r := onAWS(selfHosted())
	for b.Loop() {
		if _, err := cloudinit.RenderUserData(r, r.Nodes[0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(userData(b, r, r.Nodes[0]).Data)), "sent-bytes")
}
