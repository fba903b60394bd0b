package main

import (
	"os"
	"path/filepath"
)

// layout is where the files are, below a root that is / but in tests.
type layout struct{ root string }

func (l layout) in(path string) string { return filepath.Join("/", l.root, path) }

func (l layout) etc(name string) string   { return l.in("/etc/cinc-project/" + name) }
func (l layout) state(name string) string { return l.in("/var/opt/cinc-project/" + name) }

func (l layout) configuration() string { return l.etc("cinc-server.rb") }
func (l layout) store() string         { return l.etc("private-cinc-secrets.json") }
func (l layout) running() string       { return l.etc("cinc-server-running.json") }
func (l layout) pivotal() string       { return l.etc("pivotal.pem") }
func (l layout) sentinel() string      { return l.state("bootstrapped") }
func (l layout) level() string         { return l.state("upgrades/migration-level") }
func (l layout) trust() string         { return l.in("/opt/cinc-project/embedded/ssl/certs/cacert.pem") }

// goiardi is the configuration and the home of goiardi, which may write there.
func (l layout) goiardi() string     { return l.state("opscode-erchef/goiardi.conf") }
func (l layout) goiardiHome() string { return l.state("opscode-erchef/home") }

// schema comes with Debian's goiardi.
func (l layout) schema() string {
	return l.in("/usr/share/goiardi/sql-files/sql-files/goiardi-schema-postgres.sql")
}

// unit is the only one that Cinc Server has.
const unit = "private_chef-runsvdir-start.service"

func (l layout) unitPath() string { return l.in("/etc/systemd/system/" + unit) }

// exists tells whether a file is there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// write puts a file into place at once, and makes the directory above it.
func write(path string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // services of other users read below it
		return err
	}
	beside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path))
	if err != nil {
		return err
	}
	_, err = beside.Write(content)
	for _, do := range []func() error{func() error { return beside.Chmod(mode) }, beside.Sync, beside.Close} {
		if e := do(); err == nil {
			err = e
		}
	}
	if err == nil {
		err = os.Rename(beside.Name(), path)
	}
	if err != nil {
		_ = os.Remove(beside.Name())
	}
	return err
}

// socket is where the supervisor is told to start and stop services. It is gone with the machine's power.
func (l layout) socket() string { return l.in("/run/cinc-standin.sock") }
