// Package opensearch is a search node: OpenSearch 1.3, the newest that Cinc Server accepts, with the cluster's own
// certificates and users.
package opensearch

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Unit is OpenSearch's unit, from its package.
const Unit = "opensearch.service"

// analyzerUnit is a second Java program that the package brings.
const analyzerUnit = "opensearch-performance-analyzer.service"

const (
	configDir      = "/etc/opensearch"
	configFile     = configDir + "/opensearch.yml"
	heapFile       = configDir + "/jvm.options.d/cincbake.options"
	keystore       = configDir + "/opensearch.keystore"
	dropIn         = "/etc/systemd/system/opensearch.service.d/cincbake.conf"
	pluginDir      = "/usr/share/opensearch/plugins"
	securityPlugin = "opensearch-security"
	securityDir    = pluginDir + "/" + securityPlugin + "/securityconfig"
)

// demo are files of the package's demonstration: keys that everybody has, and the script that loads users that everybody
// knows.
func demo() []string {
	return []string{
		configDir + "/esnode.pem", configDir + "/esnode-key.pem", configDir + "/kirk.pem", configDir + "/kirk-key.pem", configDir + "/root-ca.pem",
		pluginDir + "/" + securityPlugin + "/tools/install_demo_configuration.*", pluginDir + "/" + securityPlugin + "/tools/securityadmin_demo.*",
	}
}

// unitConf changes the package's unit: it may lock its memory, none of it is swapped, and a slow start is no failure.
const unitConf = `[Unit]
StartLimitIntervalSec=0

[Service]
LimitNOFILE=65535
LimitMEMLOCK=infinity
MemorySwapMax=0
Restart=always
RestartSec=5
TimeoutStartSec=300
`

// Role is a search node.
type Role struct{}

var _ role.Role = Role{}

// Name returns the role's name.
func (Role) Name() cluster.Role { return cluster.RoleOpenSearch }

// Bake returns what turns a base system into a search node's image.
func (Role) Bake(recipe cluster.Recipe) (step.Plan, error) {
	plan, err := base.Bake(recipe)
	if err != nil {
		return nil, err
	}
	plan = append(plan,
		step.Step{
			Title:  "Make user " + role.UserOpenSearch,
			Reason: "a data disk outlives the image; its files must keep their owner",
			Action: step.User{Name: role.UserOpenSearch, UID: role.UIDOpenSearch, Home: "/usr/share/opensearch", Shell: "/usr/sbin/nologin"},
		},
		step.Step{
			Title:  "Install OpenSearch " + recipe.Package.Version,
			Reason: "by its digest: the project's repository is signed with a key that Debian 13 refuses",
			Action: base.Deb{Name: "opensearch", Package: recipe.Package},
		},
		step.Step{
			Title:  "Keep OpenSearch from starting by itself",
			Reason: "the agent decides first whether this machine forms or joins a cluster",
			Action: step.Unit{Name: Unit, State: step.Disabled},
		},
		step.Step{
			Title:  "Keep the performance analyzer away",
			Reason: "a second Java program with an open port, which nobody asks",
			Action: step.Unit{Name: analyzerUnit, State: step.Masked},
		},
		step.Step{
			Title:  "Remove the plugins that Cinc does not use",
			Reason: "less to start and less to attack",
			Action: onlyPlugin{securityPlugin},
		},
	)
	for _, file := range demo() {
		plan = append(plan, step.Step{
			Title:  "Remove " + path.Base(file),
			Reason: "the package's demonstration has keys and passwords that everybody knows",
			Action: step.Absent{Path: file},
		})
	}
	for _, file := range demoFree() {
		content, err := document(file.content)
		if err != nil {
			return nil, err
		}
		plan = append(plan, step.Step{
			Title:  "Empty " + file.name,
			Reason: "the package's users have known passwords; the cluster's own are written at boot",
			Action: step.File{Path: securityDir + "/" + file.name, Mode: 0o600, Owner: role.UserOpenSearch, Content: content},
		})
	}
	return append(plan,
		step.Step{
			Title:  "Empty opensearch.yml",
			Reason: "the package's demonstration allows its own certificates in it; the cluster's own is written at boot",
			Action: step.File{Path: configFile, Mode: 0o600, Owner: role.UserOpenSearch, Content: []byte("# Written by cincbake at every boot.\n")},
		},
		step.Step{
			Title:  "Empty OpenSearch's data",
			Reason: "the package puts a switch of the performance analyzer among it",
			Action: step.Absent{Path: "/var/lib/opensearch/*"},
		},
		step.Step{
			Title:  "Remove OpenSearch's keystore",
			Reason: "each machine makes its own at its first start; a baked one is the same in every clone",
			Action: step.Absent{Path: keystore},
		},
		step.Step{
			Title:  "Let OpenSearch make its keystore",
			Reason: "it writes into its configuration's directory at the first start",
			Action: step.Directory{Path: configDir, Mode: 0o750, Owner: role.UserOpenSearch},
		},
		base.Sysctl("opensearch", "vm.max_map_count=262144", "vm.swappiness=1"),
		step.Step{
			Title:  "Restart OpenSearch for ever",
			Reason: "a node that stays down is a copy of the index less",
			Action: step.File{Path: dropIn, Mode: 0o644, Content: []byte(unitConf)},
		},
	), nil
}

// onlyPlugin removes every plugin but one.
type onlyPlugin struct{ kept string }

var _ step.Action = onlyPlugin{}

func (o onlyPlugin) Check(_ context.Context, run *step.Run) (bool, error) {
	names, err := run.List(pluginDir)
	return slices.Equal(names, []string{o.kept}), err
}

func (o onlyPlugin) Apply(_ context.Context, run *step.Run) error {
	names, err := run.List(pluginDir)
	if err != nil {
		return err
	}
	if !slices.Contains(names, o.kept) {
		return fmt.Errorf("the package brings no plugin %s, and without it anybody may read and change the index: use the full distribution's package", o.kept)
	}
	for _, name := range names {
		if name == o.kept {
			continue
		}
		if err := run.Remove(path.Join(pluginDir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (o onlyPlugin) String() string { return fmt.Sprintf("remove all plugins but %s", o.kept) }

// Boot returns what wires a search node into its cluster.
func (Role) Boot(in role.Inputs) (step.Plan, error) {
	configuration, err := settings(in)
	if err != nil {
		return nil, err
	}
	files, err := security(in)
	if err != nil {
		return nil, err
	}
	owned := func(title, reason, file string, content []byte) step.Step {
		return step.Step{Title: title, Reason: reason, Action: step.File{Path: file, Mode: 0o600, Owner: role.UserOpenSearch, Content: content}}
	}
	const inside = "Java's security manager lets the program read its configuration's directory only"
	plan := append(base.Boot(in),
		owned("Give OpenSearch the cluster's CA", inside, configDir+"/"+caName, []byte(in.Secrets.CA)),
		owned("Give OpenSearch the machine's certificate", inside, configDir+"/"+certName, []byte(in.Secrets.Leaf.Certificate)),
		owned("Give OpenSearch the machine's key", inside, configDir+"/"+keyName, []byte(in.Secrets.Leaf.Key.Reveal())),
	)
	for _, file := range files {
		content, err := document(file.content)
		if err != nil {
			return nil, err
		}
		plan = append(plan, owned("Write "+file.name, "users and roles that the cluster begins with", securityDir+"/"+file.name, content))
	}
	plan = append(plan,
		step.Step{
			Title:  "Make the index's directory",
			Reason: "it lies on the data disk and outlives the image",
			Action: step.Directory{Path: StoreDir, Mode: 0o700, Owner: role.UserOpenSearch},
		},
		owned("Write opensearch.yml", "TLS everywhere, and no cluster formed by chance", configFile, configuration),
		owned("Size OpenSearch's heap", "by the machine's memory", heapFile, jvmOptions(in.Facts.MemoryBytes)),
	)
	if in.Joined.OpenSearch.Rescue {
		plan = append(plan, step.Step{Title: "Rescue OpenSearch's data", Reason: in.Joined.Reason, Action: rescue{}})
	}
	// Its configuration is not watched: while it runs, only the list of first managers goes from there, which it need not
	// read again. Certificates it reads when it starts, and never again.
	return append(plan, step.Step{
		Title:  "Start OpenSearch",
		Reason: startReason(in),
		Action: step.Unit{Name: Unit, State: step.Started, NoWait: true, Watch: []string{
			configDir + "/" + caName, configDir + "/" + certName, configDir + "/" + keyName,
		}},
	}), nil
}

func startReason(in role.Inputs) string {
	if managers := in.Joined.OpenSearch.InitialManagers; len(managers) > 0 {
		return "it forms a cluster with " + strings.Join(managers, ", ")
	}
	return "it looks for its cluster, and waits for it"
}

// Joiner decides how OpenSearch starts.
func (Role) Joiner(host step.Host) role.Joiner { return Joiner{Host: host} }

// Ready returns what must hold before the node counts.
func (Role) Ready(in role.Inputs) []role.Probe {
	return []role.Probe{{
		Title:    "search node in the cluster",
		Hint:     "journalctl -u opensearch, and /var/log/opensearch",
		Deadline: 15 * time.Minute, // a replaced node copies its shards first
		Run:      func(ctx context.Context, host step.Host) error { return readiness(ctx, host, in) },
	}}
}

// Verify returns what must hold in a sealed search node's image.
func (Role) Verify(recipe cluster.Recipe) []role.Check {
	checks := append(base.Verify(),
		base.DisabledUnits(Unit, analyzerUnit),
		role.Check{Name: "opensearch-version", Why: "Cinc Server accepts 1.3 only", Run: func(ctx context.Context, host step.Host) error {
			version, err := base.InstalledVersion(ctx, host, "opensearch")
			if err == nil && version != recipe.Package.Version {
				err = fmt.Errorf("the image holds OpenSearch %q", version)
			}
			return err
		}},
		role.Check{Name: "opensearch-empty", Why: "every clone would be the same node", Run: base.Absent("/var/lib/opensearch/*")},
		role.Check{Name: "opensearch-keystore", Why: "every clone would have the same one", Run: base.Absent(keystore)},
		role.Check{Name: "security-plugin", Why: "without it anybody may read and change the index", Run: func(ctx context.Context, host step.Host) error {
			only, err := onlyPlugin{securityPlugin}.Check(ctx, step.NewRun(host))
			if err == nil && !only {
				err = fmt.Errorf("%s is not the one plugin in %s", securityPlugin, pluginDir)
			}
			return err
		}},
		role.Check{Name: "demo-users", Why: "everybody knows their passwords", Run: func(_ context.Context, host step.Host) error {
			for _, file := range demoFree() {
				want, err := document(file.content)
				if err != nil {
					return err
				}
				entry, err := host.Read(securityDir + "/" + file.name)
				if err != nil {
					return err
				}
				if string(entry.Content) != string(want) {
					return fmt.Errorf("%s holds more than nothing", file.name)
				}
			}
			return nil
		}},
		role.Check{Name: "demo-settings", Why: "they admit certificates whose keys everybody has", Run: func(_ context.Context, host step.Host) error {
			entry, err := host.Read(configFile)
			if err == nil && strings.Contains(string(entry.Content), "plugins.security") {
				err = fmt.Errorf("%s has settings already", configFile)
			}
			return err
		}},
	)
	for _, file := range demo() {
		checks = append(checks, role.Check{Name: "demo-" + strings.TrimSuffix(path.Base(file), ".*"), Why: "everybody has it", Run: base.Absent(file)})
	}
	return checks
}
