package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/secrets/store"
)

// command runs one command line in the test's folder.
func command(t *testing.T, args ...string) (code exit.Code, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, streams{in: strings.NewReader(""), out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

func mustRun(t *testing.T, want exit.Code, args ...string) (out, said string) {
	t.Helper()
	code, out, said := command(t, args...)
	if code != want {
		t.Fatalf("%s ended with %d, want %d:\n%s%s", strings.Join(args, " "), code, want, out, said)
	}
	return out, said
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

const databaseSpec = `apiVersion: cincbake/v1
kind: Cluster
name: prod
platform: onprem
network: {prefix: 10.20.0.0/24}
postgres: {nodes: [10.20.0.31, 10.20.0.32, 10.20.0.34], disk: /dev/vdb}
`

func ageIdentity(t *testing.T, path string) (recipient string) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "# made by a test\n"+identity.String()+"\n")
	return identity.Recipient().String()
}

// From a plain file to an encrypted one, and from one recipient to others.
func TestSecretsEncrypted(t *testing.T) {
	t.Chdir(t.TempDir())
	one, two := ageIdentity(t, "one.txt"), ageIdentity(t, "two.txt")
	t.Setenv(store.Identity, "one.txt")
	encrypted := func(recipients ...string) {
		write(t, "cluster.yaml", databaseSpec+"secrets: {file: secrets.age, recipients: ["+strings.Join(recipients, ", ")+"]}\n")
	}
	has := func(said, want string) {
		t.Helper()
		if !strings.Contains(said, want) {
			t.Errorf("got %q, want %q", said, want)
		}
	}

	write(t, "cluster.yaml", databaseSpec)
	mustRun(t, exit.Done, "secrets", "init")
	plain, _ := mustRun(t, exit.Done, "secrets", "show", "--reveal", "ca.key")

	// New secrets beside old ones would cut running machines off.
	encrypted(one)
	_, said := mustRun(t, exit.Unsafe, "secrets", "init")
	has(said, "secrets.json is, and new secrets would cut its machines off: begin with it (--from ")
	_, said = mustRun(t, exit.Done, "secrets", "init", "--from", "secrets.json")
	has(said, "took over all that secrets.json holds")
	has(said, "warning: the file is encrypted to one recipient")
	if now, _ := mustRun(t, exit.Done, "secrets", "show", "--reveal", "ca.key"); now != plain {
		t.Error("the CA is another one now")
	}
	mustRun(t, exit.Unsafe, "secrets", "init", "--from", "secrets.json")

	// Who is not a recipient cannot open it, and is told what to do.
	t.Setenv(store.Identity, "two.txt")
	for _, args := range [][]string{{"secrets", "init"}, {"secrets", "check"}, {"secrets", "show"}, {"secrets", "rotate", "leaves"}, {"render", "--out", "seeds"}} {
		_, said := mustRun(t, exit.Missing, args...)
		has(said, "two.txt holds the identity of none of them (it holds that of "+two+")")
	}

	// Recipients are the spec's: init encrypts the file anew, and nothing else is changed.
	t.Setenv(store.Identity, "one.txt")
	encrypted(one, two)
	_, said = mustRun(t, exit.Done, "secrets", "check")
	has(said, "warning: the file is encrypted to other recipients than secrets.recipients")
	_, said = mustRun(t, exit.Done, "secrets", "init")
	has(said, "made the file readable for 2 recipients\n")
	t.Setenv(store.Identity, "two.txt")
	_, said = mustRun(t, exit.Done, "secrets", "check")
	if said != "" {
		t.Errorf("check still warns: %s", said)
	}
	mustRun(t, exit.Done, "secrets", "rotate", "operator")
	t.Setenv(store.Identity, "one.txt")
	if now, _ := mustRun(t, exit.Done, "secrets", "show", "--reveal", "ca.key"); now != plain {
		t.Error("the CA is another one now")
	}
	t.Setenv(store.Identity, "gone.txt")
	_, said = mustRun(t, exit.Missing, "secrets", "init")
	has(said, "there is no age identity at gone.txt")
}

// certificate writes a certificate for a domain and its key, as the user's own authority would have issued it.
func certificate(t *testing.T, domain string, ends time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{domain}, NotBefore: ends.Add(-1000 * time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, "chef.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, "chef.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

const managedSpec = `apiVersion: cincbake/v1
kind: Cluster
name: prod
platform: onprem
domain: chef.example.com
tls: {certificate: chef.pem, key: chef.key}
network: {prefix: 10.20.0.0/24}
cinc: {version: 15.10.91, package: {official: true}}
api: {nodes: 1, addresses: 10.20.0.20-10.20.0.21}
postgres: {external: {host: db.example.com, maxConnections: 900}}
opensearch: {external: {url: "https://search.example.com", nodes: 3}}
`

func TestSecretsTakesOverACertificate(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("CINCBAKE_DATABASE_PASSWORD", "FAKE-database")
	t.Setenv("CINCBAKE_SEARCH_PASSWORD", "FAKE-search")
	write(t, "cluster.yaml", managedSpec)
	if _, said := mustRun(t, exit.Invalid, "secrets", "init"); !strings.Contains(said, "chef.pem") {
		t.Errorf("no file: %s", said)
	}
	certificate(t, "www.example.com", time.Now().Add(1000*time.Hour))
	if _, said := mustRun(t, exit.Invalid, "secrets", "init"); !strings.Contains(said, "not for chef.example.com") {
		t.Errorf("another domain: %s", said)
	}
	certificate(t, "chef.example.com", time.Now().Add(999*time.Hour)) // ends soon enough to be warned of
	_, said := mustRun(t, exit.Done, "secrets", "init")
	if !strings.Contains(said, "the certificate of chef.example.com") || !strings.Contains(said, "warning: chef.example.com has a certificate that ends on") {
		t.Errorf("took it over: %s", said)
	}
	if out, _ := mustRun(t, exit.Done, "secrets", "show", "--reveal", "front.certificate"); out != read(t, "chef.pem") {
		t.Error("front is another certificate")
	}
	if _, said := mustRun(t, exit.Done, "secrets", "init"); !strings.Contains(said, "nothing was changed") {
		t.Errorf("a second time: %s", said)
	}
	write(t, "cluster.yaml", strings.Replace(managedSpec, "tls: {certificate: chef.pem, key: chef.key}\n", "", 1))
	if _, said := mustRun(t, exit.Done, "secrets", "init"); !strings.Contains(said, "made a certificate for chef.example.com") {
		t.Errorf("without it: %s", said)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const everythingSpec = `apiVersion: cincbake/v1
kind: Cluster
name: prod
platform: onprem
domain: chef.example.com
tls: {certificate: chef.pem, key: chef.key}
network: {prefix: 10.20.0.0/24}
cinc: {version: 15.10.91, package: {official: true}}
lb: {vip: 10.20.0.10, nodes: [10.20.0.11, 10.20.0.12]}
api: {nodes: 1, addresses: 10.20.0.20-10.20.0.21}
postgres: {nodes: [10.20.0.31, 10.20.0.32, 10.20.0.34], disk: /dev/vdb}
opensearch: {package: {official: true}, nodes: [10.20.0.41, 10.20.0.42, 10.20.0.43]}
backup: {s3: {bucket: backups, region: eu-west-1}, full: 2}
`

// asItIs stands for whatever exit code a command has where it runs.
const asItIs exit.Code = -1

// No command prints a secret, in any form, whether it succeeds or fails: but for `secrets show --reveal`, which prints the
// one that was named. Each command of the tree has its row, or a reason why it has none.
func TestNoCommandPrintsASecret(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("CINCBAKE_S3_KEY_ID", "FAKEKEYID0123456789")
	t.Setenv("CINCBAKE_S3_KEY_SECRET", "FAKE/key+secret=0123456789")
	write(t, "cluster.yaml", everythingSpec)
	write(t, "database.yaml", databaseSpec)
	write(t, "broken.yaml", strings.Replace(everythingSpec, "vip:", "vipp:", 1))
	certificate(t, "chef.example.com", time.Now().Add(999*time.Hour))
	mustRun(t, exit.Done, "secrets", "init")
	planted := map[string]string{}
	plant := func() {
		t.Helper()
		bundle, err := store.Load("secrets.json")
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range bundle.Items() {
			if item.Kind == secrets.KindCertificate || item.Kind == secrets.KindPublicKey {
				continue
			}
			for i, line := range strings.Split(strings.TrimSpace(item.Value.Reveal()), "\n") {
				if lines := item.Kind == secrets.KindKey; lines && (i < 2 || strings.HasPrefix(line, "-----")) {
					continue // the first lines of keys of one kind are the same
				}
				planted[line] = item.Name
			}
		}
	}
	plant()
	if len(planted) < 60 {
		t.Fatalf("only %d things to look for", len(planted))
	}
	value, _ := mustRun(t, exit.Done, "secrets", "show", "--reveal", "cinc.redisPassword")
	if planted[strings.TrimSpace(value)] != "cinc.redisPassword" {
		t.Fatal("what is looked for is not what a bundle holds")
	}

	var covered []string
	for _, row := range []struct {
		code    exit.Code
		command string
		args    string
	}{
		{exit.Done, "init", "new"},
		{exit.Unsafe, "init", "."},
		{exit.Done, "validate", ""},
		{exit.Done, "validate", "-o json"},
		{exit.Invalid, "validate", "-f broken.yaml"},
		{exit.Invalid, "validate", "-f broken.yaml -o json"},
		{exit.Invalid, "validate", "-f secrets.json"}, // the wrong file, by mistake
		{exit.Done, "compat", ""},
		{exit.Done, "schema", ""},
		{exit.Done, "secrets init", ""},
		{exit.Done, "secrets init", "-o json"},
		{exit.Done, "secrets init", "-f database.yaml"},
		{exit.Unsafe, "secrets init", "--from secrets.json"},
		{exit.Invalid, "secrets init", "--sftp-key-file secrets.json"},
		{exit.Invalid, "secrets init", "--s3-key-id-file secrets.json"},
		{exit.Invalid, "secrets init", "--database-password-file secrets.json"},
		{exit.Done, "secrets show", ""},
		{exit.Done, "secrets show", "-o json"},
		{exit.Invalid, "secrets show", "--reveal nothing"},
		{exit.Done, "secrets show", "--reveal front.certificate"},
		{exit.Done, "secrets check", ""},
		{exit.Done, "secrets check", "-o json"},
		{exit.Invalid, "secrets check", "-f broken.yaml"},
		{exit.Done, "secrets rotate", ""},
		{exit.Done, "secrets rotate", "-o json"},
		{exit.Done, "secrets rotate", "passwords"},
		{exit.Done, "secrets rotate", "leaves -o json"},
		{exit.Unsafe, "secrets rotate", "postgres.owner"},
		{exit.Done, "secrets rotate", "postgres.owner openSearch.cinc --allow-outage"},
		{exit.Done, "secrets rotate", "ca"},
		{exit.Unsafe, "secrets rotate", "ca"},
		{exit.Done, "secrets rotate", "ca --continue -o json"},
		{exit.Done, "secrets rotate", "ca --continue"},
		{exit.Unsafe, "secrets rotate", "leaves --apply"}, // nobody is there
		{exit.Unsafe, "secrets rotate", "postgres.owner --allow-outage --apply"},
		{exit.Invalid, "secrets push", ""}, // it is not on AWS
		{exit.Invalid, "restore", ""},
		{asItIs, "restore", "--latest"}, // some networks have a proxy that answers at any address
		{exit.Done, "restore", "--done"},
		{exit.Done, "render", "--out seeds"},
		{exit.Done, "render", "--out again -o json"},
		{exit.Done, "render", "--out isos --format iso"},
		{exit.Invalid, "render", "--out data --format user-data"},
		{exit.Failed, "render", "--out secrets.json"},
		{exit.Invalid, "explain", ""},
		{exit.Done, "explain", "api-1"},
		{exit.Done, "explain", "postgres-1"},
		{exit.Done, "explain", "opensearch-1 -o json"},
		{exit.Done, "explain", "--diff cluster.yaml"},
		{exit.Done, "graph", ""},
		{exit.Invalid, "sql", ""},
		{exit.Done, "images list", ""},
		{exit.Invalid, "images show", "nothing"},
		{exit.Invalid, "images diff", "nothing nothing"},
		{exit.Invalid, "images promote", "nothing stable"},
		{exit.Invalid, "images push", "nothing"},
		{exit.Invalid, "images copy", "nothing --to eu-west-1"},
		{exit.Invalid, "images deprecate", "nothing --at 2030-01-01"},
		{exit.Done, "init", "aws --platform aws"},
		{exit.Done, "iam", "api -f aws/cluster.yaml"},
		{exit.Done, "launch foundation", "-f aws/cluster.yaml"},
		{exit.Invalid, "launch plan", ""}, // it is not on AWS
		{exit.Invalid, "launch apply", ""},
		{exit.Invalid, "launch rollout", ""},
		{exit.Invalid, "launch rollback", "api"},
		{exit.Invalid, "launch status", ""},
		{exit.Done, "images prune", ""},
		{exit.Done, "version", ""},
	} {
		line := row.command + " " + row.args
		code, out, said := command(t, strings.Fields(line)...)
		if code != row.code && row.code != asItIs {
			t.Errorf("cincbake %s ended with %d, want %d:\n%s", line, code, row.code, said)
		}
		plant() // a rotation made new ones
		for value, name := range planted {
			escaped, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			printed := out + said
			if strings.Contains(printed, value) || strings.Contains(printed, strings.Trim(string(escaped), `"`)) {
				t.Errorf("cincbake %s prints %s", line, name)
			}
		}
		covered = append(covered, row.command)
	}
	left := []string{ // they would start, change or ask machines; the end-to-end suite looks into what those say
		"lock", // it would ask the vendors, and reads no secret
		"bake", "images verify", "status", "doctor", "drain", "reindex", "switchover", "rescue etcd", "rescue opensearch", "backup list",
		"lab up", "lab down", "lab status", "lab kill", "lab start", "lab freeze", "lab thaw", "lab partition", "lab heal", "lab fill", "lab empty", "lab add", "lab ssh", "lab forward", "lab replace", "lab rollout", "lab logs", "lab drill",
	}
	for _, path := range leaves(newRoot()) {
		if !slices.Contains(covered, path) && !slices.Contains(left, path) {
			t.Errorf("cincbake %s is not looked at", path)
		}
	}
}

// leaves lists the commands that do something, as they are typed.
func leaves(c *cobra.Command) []string {
	if !c.HasSubCommands() {
		return []string{strings.TrimPrefix(c.CommandPath(), "cincbake ")}
	}
	var found []string
	for _, child := range c.Commands() {
		found = append(found, leaves(child)...)
	}
	return found
}
