package store

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
)

// identity makes an identity and its file, as age-keygen does.
func identity(t *testing.T) (recipient, file string) {
	t.Helper()
	made, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	recipient = made.Recipient().String()
	file = filepath.Join(t.TempDir(), "identity.txt")
	text := "# created: 2026-01-02T03:04:05Z\n# public key: " + recipient + "\n" + made.String() + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return recipient, file
}

func TestEncrypted(t *testing.T) {
	one, oneFile := identity(t)
	two, twoFile := identity(t)
	three, threeFile := identity(t)
	path := filepath.Join(t.TempDir(), "secrets.age")
	b := testBundle(t)
	b.Recipients = []string{one, two}
	if err := Save(b, path); err != nil {
		t.Fatal(err)
	}
	assertOnly(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	written := read(t, path)
	if !strings.HasPrefix(written, "age-encryption.org/v1\n") {
		t.Error("is no age file")
	}
	for name, value := range planted(b) {
		if strings.Contains(written, value) {
			t.Errorf("%s lies open in it", name)
		}
	}

	for _, file := range []string{oneFile, twoFile} {
		t.Setenv(Identity, file)
		loaded, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, loaded); diff != "" {
			t.Errorf("(-saved +loaded):\n%s", diff)
		}
	}
	t.Setenv(Identity, threeFile)
	_, err := Load(path)
	want := path + " is encrypted to 2 recipients, and " + threeFile + " holds the identity of none of them (it holds that of " + three + "): name another file of identities with CINCBAKE_AGE_IDENTITY"
	if err == nil || err.Error() != want || exit.CodeOf(err) != exit.Missing {
		t.Errorf("got %v, want %s", err, want)
	}

	// A change keeps the recipients.
	t.Setenv(Identity, twoFile)
	loaded, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loaded.Rotate(testCluster(), []string{"operator"}, false, now); err != nil {
		t.Fatal(err)
	}
	if err := Replace(loaded, path); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{oneFile, twoFile} {
		t.Setenv(Identity, file)
		if again, err := Load(path); err != nil || !cmp.Equal(again, loaded) {
			t.Errorf("after a change: %v", err)
		}
	}
	assertOnly(t, path)
}

func TestIdentityByDefault(t *testing.T) {
	recipient, file := identity(t)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv(Identity, "")
	path := filepath.Join(t.TempDir(), "secrets.age")
	b := testBundle(t)
	b.Recipients = []string{recipient}
	if err := Save(b, path); err != nil {
		t.Fatal(err)
	}
	where := filepath.Join(home, ".config", "cincbake", "identity.txt")
	if _, err := Load(path); exit.CodeOf(err) != exit.Missing || !strings.Contains(err.Error(), "there is no age identity at "+where) {
		t.Errorf("got %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(where), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, where); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
}

func TestEncryptedRefuses(t *testing.T) {
	recipient, file := identity(t)
	b := testBundle(t)
	b.Recipients = []string{recipient}
	path := filepath.Join(t.TempDir(), "secrets.age")
	if err := Save(b, path); err != nil {
		t.Fatal(err)
	}
	whole := read(t, path)
	plain, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	passphrase, err := age.NewScryptRecipient(marker)
	if err != nil {
		t.Fatal(err)
	}
	passphrase.SetWorkFactor(10)
	var typed bytes.Buffer
	writer, err := age.Encrypt(&typed, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(plain); err != nil || writer.Close() != nil {
		t.Fatal("encrypt with a passphrase")
	}
	secret := strings.Split(read(t, file), "\n")[2]

	for _, test := range []struct {
		name, content, identity string
		mode                    fs.FileMode // of the identity
		want                    string
		code                    exit.Code
	}{
		{"a passphrase", typed.String(), read(t, file), 0o600, "encrypted with a passphrase, which cincbake does not ask for: decrypt it with age, and encrypt it to recipients", exit.Invalid},
		{"a plain bundle", string(plain), read(t, file), 0o600, "is no age file", exit.Invalid},
		{"half of it", whole[:len(whole)-100], read(t, file), 0o600, "is damaged", exit.Invalid},
		{"an identity for all to read", whole, read(t, file), 0o644, "has mode 0644, others may read it: run chmod 600", exit.Missing},
		{"an encrypted identity", whole, typed.String(), 0o600, "is itself encrypted with a passphrase", exit.Invalid},
		{"no identity", whole, "# nothing\n", 0o600, "expected the file that age-keygen writes", exit.Invalid},
		{"a broken identity", whole, secret[:40] + "\n", 0o600, "expected the file that age-keygen writes", exit.Invalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			at, by := filepath.Join(dir, "secrets.age"), filepath.Join(dir, "identity.txt")
			for path, content := range map[string]string{at: test.content, by: test.identity} {
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(by, test.mode); err != nil {
				t.Fatal(err)
			}
			t.Setenv(Identity, by)
			_, err := Load(at)
			if err == nil || !strings.Contains(err.Error(), test.want) || exit.CodeOf(err) != test.code {
				t.Fatalf("got %v (code %d), want %q (code %d)", err, exit.CodeOf(err), test.want, test.code)
			}
			assertQuiet(t, b, err)
			if strings.Contains(err.Error(), secret[:40]) {
				t.Error("the error holds the identity")
			}
		})
	}
}

func TestRecipients(t *testing.T) {
	recipient, file := identity(t)
	secret := strings.Split(read(t, file), "\n")[2]
	for _, test := range []struct {
		file       string
		recipients []string
		want       string
	}{
		{"secrets.age", nil, "there is nobody to encrypt it to: list age recipients under secrets.recipients"},
		{"secrets.json", []string{recipient}, "has recipients and is not to be encrypted"},
		{"secrets.age", []string{recipient, "ssh-ed25519 AAAA ops"}, "secrets.recipients[1], ssh-ed25519 AAAA ops, is no recipient that age-keygen makes"},
		{"secrets.age", []string{recipient[:len(recipient)-1] + "!"}, "secrets.recipients[0], age1"},
		{"secrets.age", []string{secret}, "secrets.recipients[0] is an identity, which is secret"},
	} {
		path := filepath.Join(t.TempDir(), test.file)
		b := testBundle(t)
		b.Recipients = test.recipients
		for _, write := range []func(*secrets.Bundle, string) error{Save, Replace} {
			err := write(b, path)
			if err == nil || !strings.Contains(err.Error(), test.want) || exit.CodeOf(err) != exit.Invalid {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds the identity: %v", err)
			}
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) > 0 {
			t.Errorf("something was written: %v, %v", entries, err)
		}
	}
}

// The boot agent goes into every image: it needs the secrets, and none of what keeps an operator's file.
func TestTheAgentDoesNotLinkAge(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/cincbake/cincbake/cmd/cincbake-node").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	found := false
	for _, dep := range deps {
		found = found || dep == "github.com/cincbake/cincbake/secrets"
		if strings.HasPrefix(dep, "filippo.io/age") || dep == "github.com/cincbake/cincbake/secrets/store" {
			t.Errorf("it links %s", dep)
		}
	}
	if !found {
		t.Error("it does not link the package secrets: is this still the agent?")
	}
}
