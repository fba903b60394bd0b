package cloudinit_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
)

func document(tb testing.TB) []byte {
	tb.Helper()
	r := selfHosted()
	seed := render(tb, r, r.NodesOf(cluster.RolePostgres)[0])
	return []byte(written(tb, seed.UserData)[cloudinit.DocumentPath])
}

func TestDecodeDocumentRefuses(t *testing.T) {
	whole := string(document(t))
	for _, test := range []struct{ name, old, new, want string }{
		{"a newer format", `"format": 1`, `"format": 2`, "node document: this image's agent reads format 1, the document has 2: bake a newer image"},
		{"an older format", `"format": 1`, `"format": 0`, "node document: this image's agent reads format 1, the document has 0: render the seed again with the cincbake that baked the image"},
		{"an unknown field", `"node":`, `"role": "x", "node":`, `node document: json: unknown field "role": image and seed come from different releases`},
		{"an unknown field inside", `"gateway":`, `"mtu": 9000, "gateway":`, `node document: json: unknown field "mtu"`},
		{"a node that is not in the cluster", `"node": "postgres-1"`, `"node": "postgres-9"`, `node document: cluster prod has no node "postgres-9"`},
		{"no secrets", `"secrets": "sha256`, `"secrets": "", "recipe": "sha256`, "node document: either secrets or secretStore"},
		{"two places for secrets", `"cluster": {`, `"secretStore": {"kind": "aws-secrets-manager", "name": "x"}, "cluster": {`, "node document: either secrets or secretStore"},
		{"a broken number", `"cluster": {`, `"cluster": {"cinc": {"version": "15", "settings": {"a": {"b": [1, 1.5]}}},`, "node document: setting a.b: "},
		{"a bad address", `"10.20.0.33"`, `"10.20.0.333"`, `node document: ParseAddr("10.20.0.333")`},
		{"half a document", `"cluster": {`, ``, "node document: invalid character"},
	} {
		t.Run(test.name, func(t *testing.T) {
			changed := strings.Replace(whole, test.old, test.new, 1)
			if changed == whole {
				t.Fatalf("%q is not in the document", test.old)
			}
			_, err := cloudinit.DecodeDocument([]byte(changed))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	if _, err := cloudinit.DecodeDocument([]byte(whole + whole)); err == nil {
		t.Error("two documents were read as one")
	}
}

// What is read out of a seed is what its document was rendered with; what holds no secrets is told apart, and not quoted.
func TestSecretsIn(t *testing.T) {
	r := selfHosted()
	for _, node := range r.Nodes {
		userData := render(t, r, node).UserData
		text, err := cloudinit.SecretsIn(userData)
		if err != nil || string(text) != written(t, userData)[cloudinit.SecretsPath] {
			t.Errorf("%s: %v", node.Name, err)
		}
	}
	cloud := onAWS(selfHosted())
	for name, text := range map[string]string{
		"user data for a launch template": string(userData(t, cloud, cloud.Nodes[0]).Text),
		"no YAML":                         "{sesame",
		"another shape":                   "write_files: sesame",
		"nothing":                         "",
	} {
		if found, err := cloudinit.SecretsIn([]byte(text)); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: found %d bytes, %v", name, len(found), err)
		}
	}
}

func FuzzDecodeDocument(f *testing.F) {
	f.Add(document(f))
	cloud := onAWS(selfHosted())
	f.Add([]byte(written(f, userData(f, cloud, cloud.Nodes[0]).Text)[cloudinit.DocumentPath]))
	f.Add([]byte(`{"format":1,"node":"a","cluster":{"nodes":[{"name":"a","address":""}],"network":{"prefix":""}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		decoded, err := cloudinit.DecodeDocument(data)
		if err != nil {
			return
		}
		encoded, err := decoded.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := cloudinit.DecodeDocument(encoded)
		if err != nil {
			t.Fatalf("what was accepted is refused once encoded: %v", err)
		}
		twice, err := again.Encode()
		if err != nil || !bytes.Equal(encoded, twice) || decoded.InstanceID() != again.InstanceID() {
			t.Fatalf("encoding is not stable: %v", err)
		}
	})
}
