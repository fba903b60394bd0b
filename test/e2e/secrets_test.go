//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// plant is a secret value, and the machine that may hold it.
type plant struct {
	name  string
	value []byte
	role  string // the role whose machines may hold it, or a machine's own name; empty: none may
}

// plants takes every secret apart that the cluster's bundle holds. Of a key a line in its middle is looked for, which
// stays the same in every encoding of the file around it.
func plants(t *testing.T, b *bench) []plant {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	type pair struct{ Key string }
	var bundle struct {
		CA, Operator pair
		Nodes        map[string]pair
		Postgres     map[string]string
	}
	if err := json.Unmarshal(text, &bundle); err != nil {
		t.Fatal(err)
	}
	key := func(pem string) []byte {
		lines := strings.Split(pem, "\n")
		if len(lines) < 3 || len(lines[1]) < 64 {
			t.Fatal("the bundle holds a key of another form")
		}
		return []byte(lines[1])
	}
	found := []plant{{"the CA's key", key(bundle.CA.Key), ""}, {"the operator's key", key(bundle.Operator.Key), ""}}
	for name, pair := range bundle.Nodes {
		found = append(found, plant{"the key of " + name, key(pair.Key), name})
	}
	for name, value := range bundle.Postgres {
		found = append(found, plant{"the password " + name, []byte(value), "postgres"})
	}
	if want := 2 + 3 + 5; len(found) != want {
		t.Fatalf("the bundle holds %d secrets, want %d: does the test know all of them?", len(found), want)
	}
	return found
}

func testSecrets(t *testing.T, b *bench) {
	all := plants(t, b)
	none := func(plant) bool { return false }

	b.mu.Lock()
	spoken := bytes.Clone(b.spoken.Bytes())
	b.mu.Unlock()
	search(t, all, "what the commands printed", spoken, none)

	for _, pid := range append(processes(t, ""), "self") {
		for _, file := range []string{"cmdline", "environ"} {
			if text, err := os.ReadFile(filepath.Join("/proc", pid, file)); err == nil {
				search(t, all, "/proc/"+pid+"/"+file, text, none)
			}
		}
	}

	// A machine's seed holds its own part and no more.
	for name, text := range tree(t, filepath.Join(b.dir, "seeds")) {
		machine := filepath.Dir(name)
		search(t, all, "the seed of "+machine, []byte(text), func(p plant) bool { return may(p, machine) })
	}

	// The images, as the lab unpacked them, and the logs of their bakes.
	below(t, all, "/var/cache/cincbake/trees", none)
	below(t, all, filepath.Join(b.images, "logs"), none)

	// A machine's disks hold its own part and no more, and its journal and console hold nothing at all.
	for _, machine := range machines {
		folder := filepath.Join("/var/lib/cincbake/lab", clusterName, "machines", machine)
		below(t, all, filepath.Join(folder, "layer/upper/var/log"), none)
		below(t, all, filepath.Join(folder, "console.log"), none)
		below(t, all, filepath.Join(folder, "layer/upper"), func(p plant) bool { return may(p, machine) })
		// cloud-init's copies of the seed are gone: what is left is the agent's own file and the programs' copies.
		below(t, all, filepath.Join(folder, "layer/upper/var/lib/cloud"), none)
		below(t, all, filepath.Join(root(t, machine), "data"), func(p plant) bool { return may(p, machine) })
	}
	t.Logf("looked for %d secrets", len(all))
}

// may tells whether a machine may hold a secret.
func may(p plant, machine string) bool {
	return p.role == machine || p.role != "" && strings.HasPrefix(machine, p.role+"-")
}

// search looks for secrets in a text, but for those that may be there.
func search(t *testing.T, all []plant, where string, text []byte, allowed func(plant) bool) {
	t.Helper()
	for _, p := range all {
		if !allowed(p) && bytes.Contains(text, p.value) {
			t.Errorf("%s is in %s", p.name, where)
		}
	}
}

// below searches every file of a folder.
func below(t *testing.T, all []plant, dir string, allowed func(plant) bool) {
	t.Helper()
	began, files := time.Now(), 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil // a machine that runs removed it meanwhile
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		files++
		search(t, all, path, text, allowed)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Errorf("%s holds no files: is it the right folder?", dir)
	}
	t.Logf("%s: %d files in %.1f s", dir, files, time.Since(began).Seconds())
}
