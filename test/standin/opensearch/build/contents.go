package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cincbake/cincbake/test/standin/deb"
)

// Where the official package has things.
const (
	home      = "/usr/share/opensearch"
	configDir = "/etc/opensearch"
	pluginDir = home + "/plugins"
	security  = pluginDir + "/opensearch-security"
	// standin is this fixture's own: the server's home, with a folder of plugins that stays empty.
	standin = home + "/standin"
	// analyzer is a plugin that the official package has.
	analyzer = "opensearch-performance-analyzer"
)

// contents returns the package: the server from its tree, and the compiled programs from the folder built.
func contents(tree, built string) (deb.Package, error) {
	p := deb.Package{
		Name: "opensearch", Version: version, Architecture: runtime.GOARCH, Section: "misc",
		Maintainer: "cincbake's tests <nobody@example.com>",
		Depends:    []string{"openjdk-21-jre-headless | java17-runtime-headless", "passwd"},
		Summary:    "TEST FIXTURE with the code of OpenSearch " + version + " and without its security",
		Description: "The real server in the layout of the official package, for tests of cincbake. The\n" +
			"security plugin is not in it: a program of the tests does TLS and users on port 9200,\n" +
			"and there is no TLS between nodes. Never use it for anything but tests.",
		Scripts: map[string]string{},
	}
	for _, name := range []string{"preinst", "postinst", "prerm"} {
		script, err := files.ReadFile("files/" + name)
		if err != nil {
			return p, err
		}
		p.Scripts[name] = string(script)
	}
	for _, add := range []func(*deb.Package) error{
		func(p *deb.Package) error { return addServer(p, tree) },
		func(p *deb.Package) error { return addPrograms(p, built) },
		func(p *deb.Package) error { return addJava(p, tree) },
		addConfiguration, addPlugins, addDemonstration,
	} {
		if err := add(&p); err != nil {
			return p, err
		}
	}
	for _, dir := range []string{"/var/lib/opensearch", "/var/log/opensearch", configDir + "/jvm.options.d", standin + "/plugins"} {
		p.Files = append(p.Files, deb.File{Path: dir, Dir: true})
	}
	return p, nil
}

// addServer adds the code. It is in the official places, and the home that it is started from leads there.
func addServer(p *deb.Package, tree string) error {
	for _, name := range []string{"lib", "modules"} {
		if err := addTree(p, filepath.Join(tree, name), home+"/"+name); err != nil {
			return err
		}
		p.Files = append(p.Files, deb.File{Path: standin + "/" + name, Link: "../" + name})
	}
	for _, name := range []string{"LICENSE.txt", "NOTICE.txt", "README.md"} {
		if err := addDisk(p, filepath.Join(tree, name), home+"/"+name, 0o644); err != nil {
			return err
		}
	}
	p.Files = append(p.Files,
		deb.File{Path: home + "/data", Link: "/var/lib/opensearch"},
		deb.File{Path: home + "/logs", Link: "/var/log/opensearch"},
	)
	return addTree(p, filepath.Join(tree, "bin"), standin+"/bin")
}

// addPrograms adds what people and the unit run.
func addPrograms(p *deb.Package, built string) error {
	if err := addDisk(p, filepath.Join(built, frontName), standin+"/front", 0o755); err != nil {
		return err
	}
	if err := addDisk(p, filepath.Join(built, preloadName), standin+"/"+preloadName, 0o644); err != nil {
		return err
	}
	for _, name := range []string{"opensearch", "opensearch-keystore", "opensearch-node", "opensearch-shard"} {
		p.Files = append(p.Files, deb.File{Path: home + "/bin/" + name, Link: "../standin/front"})
	}
	return addEmbedded(p, []embedded{
		{"systemd-entrypoint", home + "/bin/systemd-entrypoint", 0o755},
		{"performance-analyzer-agent-cli", home + "/bin/" + analyzer + "/performance-analyzer-agent-cli", 0o755},
		{"opensearch.service", "/usr/lib/systemd/system/opensearch.service", 0o644},
		{"opensearch-performance-analyzer.service", "/usr/lib/systemd/system/" + analyzer + ".service", 0o644},
		{"sysctl.conf", "/usr/lib/sysctl.d/opensearch.conf", 0o644},
		{"tmpfiles.conf", "/usr/lib/tmpfiles.d/opensearch.conf", 0o644},
	})
}

// addConfiguration adds what administrators change. Java's files go where the server may write, as in the official package.
func addConfiguration(p *deb.Package) error {
	if err := addEmbedded(p, []embedded{
		{"opensearch.yml", configDir + "/opensearch.yml", 0o660},
		{"default", "/etc/default/opensearch", 0o644},
	}); err != nil {
		return err
	}
	for _, name := range []string{"opensearch.yml", "jvm.options", "log4j2.properties"} {
		p.Conffiles = append(p.Conffiles, configDir+"/"+name)
	}
	p.Conffiles = append(p.Conffiles, "/etc/default/opensearch")
	// The performance analyzer's switches. One lies among the data.
	for _, file := range []string{configDir + "/performance_analyzer_enabled.conf", configDir + "/rca_enabled.conf", "/var/lib/opensearch/rca_enabled.conf"} {
		p.Files = append(p.Files, deb.File{Path: file, Content: []byte("true\n")})
	}
	p.Files = append(p.Files, deb.File{
		Path: configDir + "/" + analyzer + "/opensearch_security.policy", Content: []byte("grant { permission java.lang.management.ManagementPermission \"control\"; };\n"),
	})
	return nil
}

// addPlugins adds folders that look like plugins. Only the presence of one means anything to the fixture.
func addPlugins(p *deb.Package) error {
	for _, name := range []string{"opensearch-security", analyzer, "opensearch-sql"} {
		p.Files = append(p.Files, deb.File{
			Path:    pluginDir + "/" + name + "/plugin-descriptor.properties",
			Content: fmt.Appendf(nil, "description=a test fixture: the plugin's name and nothing else\nname=%s\nversion=%s.0\nopensearch.version=%s\n", name, version, version),
		})
	}
	return addEmbedded(p, []embedded{
		{"config.yml", security + "/securityconfig/config.yml", 0o644},
		{"internal_users.yml", security + "/securityconfig/internal_users.yml", 0o644},
		{"roles.yml", security + "/securityconfig/roles.yml", 0o644},
		{"roles_mapping.yml", security + "/securityconfig/roles_mapping.yml", 0o644},
		{"securityadmin.sh", security + "/tools/securityadmin.sh", 0o755},
	})
}

type embedded struct {
	name, path string
	mode       int64
}

func addEmbedded(p *deb.Package, list []embedded) error {
	for _, e := range list {
		content, err := files.ReadFile("files/" + e.name)
		if err != nil {
			return err
		}
		p.Files = append(p.Files, deb.File{Path: e.path, Mode: e.mode, Content: content})
	}
	return nil
}

// addTree adds every file of a folder.
func addTree(p *deb.Package, from, to string) error {
	return filepath.WalkDir(from, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		below, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		return addDisk(p, file, path.Join(to, filepath.ToSlash(below)), mode)
	})
}

// addDisk adds a file that is read when the package is written.
func addDisk(p *deb.Package, from, to string, mode int64) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	p.Files = append(p.Files, deb.File{
		Path: to, Mode: mode, Size: info.Size(), Read: func() (io.ReadCloser, error) { return os.Open(from) }, //nolint:gosec // our own tree
	})
	return nil
}

// addJava adds the files of Java's options with the official package's places in them.
func addJava(p *deb.Package, tree string) error {
	options, err := os.ReadFile(filepath.Join(tree, "config", "jvm.options")) //nolint:gosec // our own tree
	if err != nil {
		return err
	}
	replaced := strings.NewReplacer(
		"HeapDumpPath=data", "HeapDumpPath=/var/lib/opensearch",
		"logs/gc.log", "/var/log/opensearch/gc.log", "logs/hs_err", "/var/log/opensearch/hs_err",
	).Replace(string(options))
	if !bytes.Contains([]byte(replaced), []byte("HeapDumpPath=/var/lib/opensearch")) {
		return fmt.Errorf("jvm.options of %s has no HeapDumpPath", tree)
	}
	p.Files = append(p.Files, deb.File{Path: configDir + "/jvm.options", Mode: 0o660, Content: []byte(replaced)})
	return addDisk(p, filepath.Join(tree, "config", "log4j2.properties"), configDir+"/log4j2.properties", 0o660)
}
