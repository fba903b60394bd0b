package docs

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/node"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/haproxy"
	"github.com/cincbake/cincbake/roles/keepalived"
	"github.com/cincbake/cincbake/roles/nftables"
	"github.com/cincbake/cincbake/roles/opensearch"
	"github.com/cincbake/cincbake/roles/pgbackrest"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// source is where a file of a machine comes from, and which machines have it.
type source struct {
	by, phase string
	roles     []string
	condition string
}

// filesSection is the map of every file that a boot writes, made from the seeds and plans of machines of every role.
func filesSection(root string) (string, error) {
	found := map[string]*source{}
	for _, name := range []string{"self-hosted-onprem", "standalone-onprem"} {
		machines, err := sample(root, name)
		if err != nil {
			return "", err
		}
		for _, in := range machines {
			if err := survey(in, found); err != nil {
				return "", err
			}
		}
	}
	t := newTable("file", "on", "package", "phase")
	for _, path := range slices.Sorted(maps.Keys(found)) {
		s := found[path]
		on := strings.Join(s.roles, ", ")
		if len(s.roles) == len(cluster.Roles()) {
			on = "all"
		}
		t.add(code(path), on+s.condition, code(s.by), s.phase)
	}
	return t.String(), nil
}

// survey adds the files of a machine.
func survey(in role.Inputs, found map[string]*source) error {
	add := func(path, by, phase string) *source {
		s := found[path]
		if s == nil {
			s = &source{by: by, phase: phase}
			found[path] = s
		}
		if name := string(in.Self.Role); !slices.Contains(s.roles, name) {
			s.roles = append(s.roles, name)
		}
		return s
	}
	// These are written by code and not by a plan.
	add(node.StatusFile, "node", "every")
	add(role.DataDir+"/cincbake.json", "node", "disk")
	switch in.Self.Role {
	case cluster.RolePostgres, cluster.RoleHeartbeat:
		add(etcd.RecordFile, "roles/etcd", "disk, join")
	case cluster.RoleOpenSearch:
		add(opensearch.RecordFile, "roles/opensearch", "disk, join")
	}
	add("/etc/cloud/cloud-init.disabled", "node", "scrub")

	seed, err := seedFiles(in)
	if err != nil {
		return err
	}
	for _, path := range seed {
		add(path, "cloudinit", "cloud-init")
	}
	all, err := bootFiles(in)
	if err != nil {
		return err
	}
	for _, o := range options() {
		without := in
		copied := *in.Cluster
		without.Cluster = &copied
		o.off(&without)
		rest, err := bootFiles(without)
		if err != nil {
			return err
		}
		for path := range all {
			if _, there := rest[path]; !there {
				add(path, all[path], "apply").condition = " " + o.words
			}
		}
	}
	for path, by := range all {
		add(path, by, "apply")
	}
	return nil
}

// option is something that a cluster or a machine may do without.
type option struct {
	words string
	off   func(*role.Inputs) // the cluster is a copy
}

// options are what files depend on. Of two that a file needs, the later is the narrower one.
func options() []option {
	return []option{
		{"with `network.ntp`", func(in *role.Inputs) { in.Cluster.Network.NTP = nil }},
		{"with `caCertificates`", func(in *role.Inputs) { in.Cluster.CACertificates = "" }},
		{"with `cinc.hooks`", func(in *role.Inputs) {
			if in.Cluster.Cinc != nil {
				without := *in.Cluster.Cinc
				without.PreConfigure, without.PostReady = nil, nil
				in.Cluster.Cinc = &without
			}
		}},
		{"with `backup`", func(in *role.Inputs) { in.Cluster.Backup = nil }},
		{"with `backup.sftp`", func(in *role.Inputs) { in.Cluster.Backup = &cluster.Backup{Path: "/srv/backup"} }},
		{"when it joins", func(in *role.Inputs) { in.Joined.API.Bootstrap = true }},
	}
}

// sample is the first machine of each role of an example, with everything that a spec can add, as it joins after a rescue.
func sample(root, name string) ([]role.Inputs, error) {
	r, err := example(root, name)
	if err != nil {
		return nil, err
	}
	bundle, err := secrets.Generate(r, time.Now())
	if err != nil {
		return nil, err
	}
	r.CACertificates = bundle.Trusted()
	r.Backup = &cluster.Backup{SFTP: &cluster.BackupSFTP{Host: "backup.example.com", User: "cinc", Path: "/srv/cinc"}}
	r.Cinc.PreConfigure, r.Cinc.PostReady = []string{"/usr/local/bin/before"}, []string{"/usr/local/bin/after"}
	var machines []role.Inputs
	for _, name := range cluster.Roles() {
		nodes := r.NodesOf(name)
		if len(nodes) == 0 {
			continue
		}
		scoped, err := bundle.Scope(nodes[0])
		if err != nil {
			return nil, err
		}
		if name == cluster.RolePostgres || name == cluster.RoleStandalone {
			scoped.Backup = &secrets.Backup{}
		}
		in := role.Inputs{Cluster: r, Self: nodes[0], Secrets: scoped}
		in.Joined.Etcd.Rescue, in.Joined.OpenSearch.Rescue = true, true
		machines = append(machines, in)
	}
	return machines, nil
}

func seedFiles(in role.Inputs) ([]string, error) {
	seed, err := cloudinit.Render(in.Cluster, in.Self, in.Secrets)
	if err != nil {
		return nil, err
	}
	var config struct {
		WriteFiles []struct{ Path string } `yaml:"write_files"`
	}
	if err := yaml.Unmarshal(seed.UserData, &config); err != nil {
		return nil, err
	}
	var paths []string
	for _, file := range config.WriteFiles {
		paths = append(paths, file.Path)
	}
	return paths, nil
}

// bootFiles maps the files of the machine's boot plan to the packages that decide what is in them.
func bootFiles(in role.Inputs) (map[string]string, error) {
	kind, err := roles.Of(in.Self.Role)
	if err != nil {
		return nil, err
	}
	plan, err := kind.Boot(in)
	if err != nil {
		return nil, err
	}
	parts, err := shared(in)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, s := range plan {
		paths, own, err := writes(s.Action)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			by := own
			for i := 0; by == "" && i < len(parts); i++ {
				if has(parts[i].plan, path) {
					by = parts[i].by
				}
			}
			if by == "" {
				by = "roles/" + string(in.Self.Role)
			}
			found[path] = by
		}
	}
	return found, nil
}

func has(plan step.Plan, path string) bool {
	return slices.ContainsFunc(plan, func(s step.Step) bool {
		paths, _, err := writes(s.Action)
		return err == nil && slices.Contains(paths, path)
	})
}

// part is what a package adds to the plans of more than one role.
type part struct {
	by   string
	plan step.Plan
}

// shared are the parts that the machine's role takes from others. One that calls another comes after it.
func shared(in role.Inputs) ([]part, error) {
	parts := []part{{"roles/nftables", nftables.Boot(in)}, {"roles/base", base.Boot(in)}}
	var err error
	add := func(by string, plan step.Plan, failed error) {
		parts = append(parts, part{by, plan})
		if err == nil {
			err = failed
		}
	}
	switch in.Self.Role {
	case cluster.RoleLB:
		plan, failed := haproxy.Balancer(in)
		add("roles/haproxy", plan, failed)
		plan, failed = keepalived.Boot(in)
		add("roles/keepalived", plan, failed)
	case cluster.RoleAPI:
		plan, failed := haproxy.Router(in)
		add("roles/haproxy", plan, failed)
	case cluster.RolePostgres, cluster.RoleHeartbeat:
		add("roles/etcd", etcd.Boot(in), nil)
	}
	switch in.Self.Role {
	case cluster.RoleAPI, cluster.RoleStandalone:
		plan, failed := cinc.Files(in)
		add("roles/cinc", plan, failed)
		plan, failed = cinc.Configure(in)
		add("roles/cinc", plan, failed)
	case cluster.RolePostgres:
		plan, failed := pgbackrest.Configure(in, pgbackrest.Database{})
		add("roles/pgbackrest", plan, failed)
		add("roles/pgbackrest", pgbackrest.Schedule(in, pgbackrest.Database{}), nil)
	}
	return parts, err
}

// writes returns the files that an action writes and, where it is a package's own kind of action, that package.
func writes(action step.Action) (paths []string, by string, err error) {
	switch a := action.(type) {
	case step.File:
		return []string{a.Path}, "", nil
	case step.Symlink:
		return []string{a.Path}, "", nil
	case step.Directory, step.Absent, step.Emptied, step.Exec, step.Packages, step.Unit, step.User:
		return nil, "", nil
	}
	const state = "/var/lib/cincbake/"
	own := map[string][]string{
		"cinc.addKey":               nil,
		"cinc.clearDatabases":       nil,
		"cinc.deleteKeys":           nil,
		"cinc.fill":                 {cinc.StoreFile},
		"cinc.finish":               nil,
		"cinc.forget":               nil,
		"cinc.hook":                 {state + "cinc.pre-configure-ran", state + "cinc.post-ready-ran"},
		"cinc.login":                nil,
		"cinc.md5Roles":             nil,
		"cinc.memory":               nil,
		"cinc.reconfigure":          {state + "cinc.configured"},
		"cinc.searchAnswers":        nil,
		"cinc.stamp":                {state + "cinc.configured"},
		"cinc.upgrade":              nil,
		"cinc.trust":                {"/opt/cinc-project/embedded/ssl/certs/cacert.pem"},
		"etcd.rescue":               nil, // etcd's own, below /data
		"opensearch.rescue":         nil, // OpenSearch's own, below /data
		"postgres.sameSystem":       nil,
		"postgres.sharedParameters": nil,
	}
	kind := reflect.TypeOf(action)
	paths, known := own[kind.String()]
	if !known {
		return nil, "", fmt.Errorf("nobody said which files %s writes: add it to test/docs/files.go", kind)
	}
	return paths, strings.TrimPrefix(kind.PkgPath(), "github.com/cincbake/cincbake/"), nil
}
