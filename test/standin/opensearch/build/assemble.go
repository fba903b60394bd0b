package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// version is the newest of 1.3, which is what Cinc Server accepts.
const version = "1.3.20"

//go:embed files
var files embed.FS

// assemble returns the folder of the plain server, as its archive has it, with the module that _delete_by_query needs. It is
// made once and kept.
func assemble(ctx context.Context, cache string) (string, error) {
	key := sha256.New()
	for _, name := range []string{"pom.xml", "reindex.properties", "reindex.policy"} {
		content, err := files.ReadFile("files/" + name)
		if err != nil {
			return "", err
		}
		key.Write(content)
	}
	tree := filepath.Join(cache, "opensearch-"+hex.EncodeToString(key.Sum(nil))[:12])
	if err := os.MkdirAll(cache, 0o755); err != nil { //nolint:gosec // others read it
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "opensearch.lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the cache is the user's choice
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil { // two that start at once need one tree
		return "", err
	}
	if _, err := os.Stat(tree); !errors.Is(err, fs.ErrNotExist) {
		return tree, err
	}
	work, err := os.MkdirTemp(cache, ".new-")
	if err != nil {
		return "", err
	}
	err = fetch(ctx, work)
	if err == nil {
		err = os.Rename(filepath.Join(work, "out", "opensearch-"+version), tree)
	}
	return tree, errors.Join(err, os.RemoveAll(work))
}

// fetch has Maven fetch and unpack the server, and completes it.
func fetch(ctx context.Context, work string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return errors.New("mvn is missing: apt-get install maven")
	}
	pom, err := files.ReadFile("files/pom.xml")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), pom, 0o600); err != nil {
		return err
	}
	maven := func() error {
		return lastLines(command(ctx, "mvn", "--batch-mode", "--quiet", "--update-snapshots", "--file", filepath.Join(work, "pom.xml"),
			"-Dout="+filepath.Join(work, "out"), "package").CombinedOutput())
	}
	if err := maven(); err != nil {
		// Maven keeps what it has got, and asks a repository that was busy only once.
		fmt.Fprintf(os.Stderr, "mvn: %v\ntrying once more\n", err)
		if err := maven(); err != nil {
			return fmt.Errorf("mvn: %w", err)
		}
	}
	server := filepath.Join(work, "out", "opensearch-"+version)
	module := filepath.Join(server, "modules", "reindex")
	for name, from := range map[string]string{"plugin-descriptor.properties": "reindex.properties", "plugin-security.policy": "reindex.policy"} {
		content, err := files.ReadFile("files/" + from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(module, name), content, 0o644); err != nil { //nolint:gosec // others read it
			return err
		}
	}
	programs, err := os.ReadDir(filepath.Join(server, "bin"))
	if err != nil {
		return err
	}
	for _, program := range programs {
		name := filepath.Join(server, "bin", program.Name())
		if strings.HasSuffix(name, ".bat") || strings.HasSuffix(name, ".exe") {
			err = os.Remove(name)
		} else {
			err = os.Chmod(name, 0o755) //nolint:gosec // a program
		}
		if err != nil {
			return err
		}
	}
	return os.RemoveAll(filepath.Join(server, "logs"))
}
