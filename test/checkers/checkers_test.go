//go:build integration

// Package checkers lets the real programs read the files that cincbake writes for them. The files come from the roles, as
// they would on a machine, with real certificates and passwords, and lie at their own paths in a tree with those programs.
package checkers

import (
	"context"
	"errors"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// checker is a program that reads a kind of file.
type checker struct {
	name string
	file string // pattern of path.Match
	// check has the program read the file.
	check func(ctx context.Context, m *machine, file string) error
	// mistake makes one in the file's text. The program must refuse it: a checker that accepts everything proves nothing.
	mistake func(text string) string
	// once says that one file of a role and a cluster is enough, since the program takes seconds.
	once bool
}

func checkers() []checker {
	return []checker{
		{name: "haproxy", file: "/etc/haproxy/haproxy.cfg", check: program("haproxy", "-dW", "-c", "-f"), mistake: replace("mode tcp", "mode tpc")},
		{name: "keepalived", file: "/etc/keepalived/keepalived.conf", check: program("keepalived", "--log-console", "--config-test", "-f"), mistake: replace("virtual_router_id", "virtual_router_di")},
		{name: "ruby", file: "/etc/cinc-project/cinc-server.rb", check: program("ruby", "-c"), mistake: replace("']", "'")},
		{name: "json", file: "/etc/cincbake/*.json", check: program("ruby", "-rjson", "-e", "JSON.parse(File.read(ARGV[0]))"), mistake: replace(":", "=")},
		{name: "nft", file: "/etc/cincbake/*.nft", check: program("nft", "--check", "--file"), mistake: replace("accept", "acept")},
		{name: "patroni", file: "/etc/patroni/config.yml", check: patroniReads, mistake: replace("data_dir:", "data_dri:")},
		{name: "etcd", file: "/etc/default/etcd", check: etcdStarts, mistake: replace("ETCD_PRE_VOTE", "ETCD_PREVOTE"), once: true},
		{name: "pgbackrest", file: "/etc/pgbackrest/pgbackrest.conf", check: pgbackrestReads, mistake: replace("repo1-retention-full", "repo1-retention-ful"), once: true},
		{name: "opensearch", file: "/etc/opensearch/opensearch.yml", check: opensearchStarts, mistake: replace("discovery.seed_hosts", "discovery.seed_host"), once: true},
		{name: "systemd", file: "/etc/systemd/system/*.service", check: systemdReads, mistake: replace("\nExec", "\nExce")},
		{name: "systemd", file: "/usr/lib/systemd/system/*.service", check: systemdReads, mistake: replace("\nExec", "\nExce")},
		{name: "systemd", file: "/usr/lib/systemd/system/*.mount", check: systemdReads, mistake: replace("\nWhat", "\nWaht")},
		{name: "systemd", file: "/etc/systemd/system/*.timer", check: systemdReads, mistake: replace("OnCalendar", "OnCalender")},
		{name: "systemd", file: "/etc/systemd/system/*.service.d/*.conf", check: systemdReads, mistake: replace("Restart=", "Restrat=")},
	}
}

func replace(old, with string) func(string) string {
	return func(text string) string { return strings.Replace(text, old, with, 1) }
}

// Every file of every role in every topology is taken by the program that it is for, and one with a mistake is refused.
func TestProgramsReadTheirFiles(t *testing.T) {
	tree := programs(t)
	proven := map[string]bool{} // checkers that have refused a mistake, by pattern
	taken := map[string]bool{}  // what a program took already: machines share many files
	for _, c := range clusters(t) {
		for _, in := range c.machines {
			t.Run(c.name+"/"+in.Self.Name, func(t *testing.T) {
				m := boot(t, tree, in)
				for _, ch := range checkers() {
					for _, file := range matching(ch.file, m.files) {
						text := m.read(t, file)
						key := file + "\x00" + text
						if ch.once {
							key = file + "\x00" + c.name
						}
						if taken[key] {
							continue
						}
						taken[key] = true
						t.Run(ch.name+" "+path.Base(file), func(t *testing.T) { read(t, m, ch, file, text, !proven[ch.file]) })
						proven[ch.file] = true
					}
				}
			})
		}
	}
}

// read has a program read a file, and, where asked to, the same file with a mistake in it.
func read(t *testing.T, m *machine, ch checker, file, text string, prove bool) {
	if err := ch.check(t.Context(), m, file); err != nil {
		t.Errorf("%s does not take %s: %v", ch.name, file, err)
		return
	}
	if !prove {
		return
	}
	wrong := ch.mistake(text)
	if wrong == text {
		t.Errorf("the mistake for %s changes nothing in %s", ch.name, file)
		return
	}
	m.write(t, file, wrong)
	defer m.write(t, file, text)
	if err := ch.check(t.Context(), m, file); err == nil {
		t.Errorf("%s takes %s with a mistake in it", ch.name, file)
	}
}

// program is a checker that reads the file named by its last argument and says by its exit status what it thinks.
func program(argv ...string) func(context.Context, *machine, string) error {
	return func(ctx context.Context, m *machine, file string) error {
		_, err := m.run(ctx, append(argv, file)...)
		return err
	}
}

// listen takes connections on a port of every address, and then becomes the program that its arguments name.
const listen = `import os, socket, sys
taking = socket.create_server(("", int(sys.argv[1])))
if os.fork() == 0:
    while True: taking.accept()
os.execvp(sys.argv[2], sys.argv[2:])`

// patroniReads its configuration as PostgreSQL's user, looks for PostgreSQL's programs and tries the addresses: its own must
// be free, and at etcd's somebody must listen.
func patroniReads(ctx context.Context, m *machine, file string) error {
	argv := []string{"python3", "-c", listen, strconv.Itoa(cluster.PortEtcdClient), "patroni", "--validate-config", file}
	_, err := m.run(ctx, as(role.UserPostgres, argv...)...)
	return err
}

// etcdStarts it with its environment, its certificates and its addresses, and serves. A variable that it does not know it
// only warns about.
func etcdStarts(ctx context.Context, m *machine, file string) error {
	argv := append([]string{"sh", "-ec", `set -a; . "$0"; set +a; exec "$@"`, file}, as(role.UserEtcd, "etcd")...)
	return m.serve(ctx, []string{"serving metrics"}, []string{"unrecognized environment variable", "unrecognized-environment"}, argv...)
}

// pgbackrestReads asks the repository what it holds. A repository that is a folder answers; others are not there, and pgBackRest
// must get as far as trying to reach them. An option that it does not know it only warns about.
func pgbackrestReads(ctx context.Context, m *machine, _ string) error {
	out, err := m.run(ctx, as(role.UserPostgres, "pgbackrest", "--log-level-stderr=warn", "--io-timeout=1", "info")...)
	if strings.Contains(out, "WARN") {
		return errors.New(lastLines(out))
	}
	if unreachable := regexp.MustCompile(`(HostConnectError|\[049\]|unable to (get address for|connect to))`); unreachable.MatchString(out) {
		return nil
	}
	return err
}

// opensearchStarts it until it has applied every setting. Its security plugin is not to be had from a registry, so what boot
// writes for the plugin, and the settings that belong to it, are taken out first: those are not proven here.
func opensearchStarts(ctx context.Context, m *machine, file string) error {
	if err := os.RemoveAll(filepath.Join(m.root, "/usr/share/opensearch/plugins/opensearch-security")); err != nil {
		return err
	}
	at := filepath.Join(m.root, file)
	whole, err := os.ReadFile(at)
	if err != nil {
		return err
	}
	plain := regexp.MustCompile(`(?m)^plugins\.security\..*\n([ -].*\n)*`).ReplaceAll(whole, nil)
	if err := os.WriteFile(at, plain, 0o600); err != nil {
		return err
	}
	argv := []string{
		"env", "JAVA_HOME=/usr/lib/jvm/java-21-openjdk-amd64", "OPENSEARCH_PATH_CONF=/etc/opensearch",
		"OPENSEARCH_JAVA_OPTS=-Xms128m -Xmx128m -XX:TieredStopAtLevel=1 -XX:-AlwaysPreTouch",
	}
	argv = append(argv, as(role.UserOpenSearch, "/usr/share/opensearch/bin/opensearch")...)
	// The rest of the start has bootstrap checks of the kernel's limits, which are this machine's and not the file's.
	err = m.serve(ctx, []string{"] initialized"}, []string{"unknown setting", "uncaught exception"}, argv...)
	return errors.Join(err, os.WriteFile(at, whole, 0o600))
}

// systemdReads reads a unit, or the unit that a drop-in belongs to. Where the unit or its program comes with a package that is
// not in the tree, an empty one stands in.
func systemdReads(ctx context.Context, m *machine, file string) error {
	unit := file
	if strings.HasSuffix(file, ".conf") {
		unit = strings.TrimSuffix(path.Dir(file), ".d")
		if _, err := m.run(ctx, "sh", "-c", `test -e "/usr/lib/systemd/system/${0##*/}" || printf '[Service]\nExecStart=/bin/true\n' >"/usr/lib/systemd/system/${0##*/}"`, unit); err != nil {
			return err
		}
		unit = path.Base(unit)
	}
	if err := os.WriteFile(filepath.Join(m.root, role.AgentPath), nil, 0o755); err != nil { //nolint:gosec // a program
		return err
	}
	out, err := m.run(ctx, "systemd-analyze", "verify", "--man=no", "--recursive-errors=one", unit)
	if err != nil {
		return err
	}
	if strings.Contains(out, path.Base(file)) { // what it only warns about is a mistake too
		return errors.New(lastLines(out))
	}
	return nil
}

// What is checked covers every role, and no checker waits for a file that nobody writes any more.
func TestEveryRoleAndCheckerIsMet(t *testing.T) {
	roles, files := map[cluster.Role]bool{}, map[string]bool{}
	for _, c := range clusters(t) {
		for _, in := range c.machines {
			roles[in.Self.Role] = true
			for _, s := range written(t, in) {
				if file, ok := s.Action.(step.File); ok {
					files[file.Path] = true
				}
			}
		}
	}
	for _, name := range cluster.Roles() {
		if !roles[name] {
			t.Errorf("no cluster of testdata has a machine of role %s", name)
		}
	}
	for _, ch := range checkers() {
		if len(matching(ch.file, slices.Collect(maps.Keys(files)))) == 0 {
			t.Errorf("%s has nothing to read: no machine has a file %s", ch.name, ch.file)
		}
	}
}
