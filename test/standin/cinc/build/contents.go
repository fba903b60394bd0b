package main

import (
	"embed"
	"io"
	"os"

	"github.com/cincbake/cincbake/test/standin/deb"
)

//go:embed files
var files embed.FS

const (
	version      = "15.10.91"
	architecture = "amd64" // the real one exists for no other
	software     = "/opt/cinc-project"
	control      = software + "/bin/cinc-server-ctl"
)

// contents returns the package around the compiled program.
func contents(program string) (deb.Package, error) {
	p := deb.Package{
		Name: "cinc-server-core", Version: version + "-1", Architecture: architecture, Section: "misc",
		Maintainer: "cincbake's tests <nobody@example.com>",
		Depends:    []string{"goiardi"},
		Fields:     map[string]string{"Conflicts": "private-chef", "Replaces": "private-chef"},
		Summary:    "TEST FIXTURE that stands in for Cinc Server " + version,
		Description: "Not Cinc Server: a program with the contract of its cinc-server-ctl, for tests of\n" +
			"cincbake. Debian's goiardi serves the API, without organizations, cookbooks and ACLs.\n" +
			"Never use it for anything but tests.",
		Scripts: map[string]string{},
	}
	postinst, err := files.ReadFile("files/postinst")
	if err != nil {
		return p, err
	}
	p.Scripts["postinst"] = string(postinst)
	for _, file := range []struct{ name, path string }{
		{"cacert.pem", software + "/embedded/ssl/certs/cacert.pem"},
		{"cookbooks.txt", software + "/embedded/cookbooks/infra-server/README.txt"},
	} {
		content, err := files.ReadFile("files/" + file.name)
		if err != nil {
			return p, err
		}
		p.Files = append(p.Files, deb.File{Path: file.path, Content: content})
	}
	info, err := os.Stat(program)
	if err != nil {
		return p, err
	}
	p.Files = append(p.Files, deb.File{
		Path: control, Mode: 0o755, Size: info.Size(), Read: func() (io.ReadCloser, error) { return os.Open(program) }, //nolint:gosec // just compiled
	})
	for _, name := range []string{"cinc-server-ctl", "private-cinc-ctl", "chef-server-ctl"} {
		p.Files = append(p.Files, deb.File{Path: "/usr/bin/" + name, Link: control})
	}
	for _, name := range []string{"sv", "service", "init"} {
		p.Files = append(p.Files, deb.File{Path: software + "/" + name, Dir: true})
	}
	// Debian starts goiardi by itself; Cinc Server's package starts nothing.
	p.Files = append(p.Files, deb.File{Path: "/etc/systemd/system/goiardi.service", Link: "/dev/null"})
	return p, nil
}
