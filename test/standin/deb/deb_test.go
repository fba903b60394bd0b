package deb

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func example() Package {
	return Package{
		Name: "example", Version: "1:2.0-1", Architecture: "all", Maintainer: "Nobody <nobody@example.com>", Section: "misc",
		Depends: []string{"base-files"}, Fields: map[string]string{"Conflicts": "other"},
		Summary: "an example", Description: "First paragraph.\n\nSecond one.",
		Scripts:   map[string]string{"postinst": "#!/bin/sh\nexit 0\n"},
		Conffiles: []string{"/etc/example.conf"},
		Files: []File{
			{Path: "/usr/bin/example", Mode: 0o755, Content: []byte("#!/bin/sh\n")},
			{Path: "/etc/example.conf", Content: []byte("a = b\n")},
			{Path: "/usr/bin/link", Link: "example"},
			{Path: "/var/lib/example", Dir: true, Mode: 0o700, Owner: 431, Group: 431},
			{Path: "/usr/share/odd", Size: 3, Read: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("odd")), nil }},
		},
	}
}

// write returns the bytes of a package.
func write(t *testing.T, p Package) []byte {
	t.Helper()
	data, err := os.Create(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	var b bytes.Buffer
	if err := p.Write(&b, data); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSameBytes(t *testing.T) {
	first := write(t, example())
	if !bytes.Equal(first, write(t, example())) {
		t.Error("the same package has two forms")
	}
	changed := example()
	changed.Files[0].Content = []byte("#!/bin/sh\nfalse\n")
	if bytes.Equal(first, write(t, changed)) {
		t.Error("another package has the same form")
	}
	if got := example().FileName(); got != "example_2.0-1_all.deb" {
		t.Errorf("its name is %s", got)
	}
}

func TestRefuses(t *testing.T) {
	for says, change := range map[string]func(*Package){
		"needs name":             func(p *Package) { p.Summary = "" },
		"no clean absolute path": func(p *Package) { p.Files[0].Path = "usr/bin/example" },
		"is there twice":         func(p *Package) { p.Files[1].Path = p.Files[0].Path },
		"is no directory":        func(p *Package) { p.Files[1].Path = "/usr/bin/example/below"; p.Conffiles = nil },
		"no file of the package": func(p *Package) { p.Conffiles = []string{"/var/lib/example"} },
		"was to have 4":          func(p *Package) { p.Files[4].Size = 4 },
		"was to have 2":          func(p *Package) { p.Files[4].Size = 2 },
	} {
		p := example()
		change(&p)
		data, err := os.Create(filepath.Join(t.TempDir(), "data"))
		if err != nil {
			t.Fatal(err)
		}
		err = p.Write(io.Discard, data)
		data.Close()
		if err == nil || !strings.Contains(err.Error(), says) && !strings.Contains(err.Error(), "write too long") && !strings.Contains(err.Error(), "missed writing") {
			t.Errorf("%s: got %v", says, err)
		}
	}
}

// TestDpkgReadsIt asks Debian's own program.
func TestDpkgReadsIt(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not installed: apt-get install dpkg")
	}
	file := filepath.Join(t.TempDir(), "example.deb")
	if err := os.WriteFile(file, write(t, example()), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "dpkg-deb", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("dpkg-deb %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	want := `Package: example
Version: 1:2.0-1
Architecture: all
Maintainer: Nobody <nobody@example.com>
Installed-Size: 11
Depends: base-files
Section: misc
Conflicts: other
Description: an example
 First paragraph.
 .
 Second one.
`
	if diff := cmp.Diff(want, run("--info", file, "control")); diff != "" {
		t.Errorf("control (-want +got):\n%s", diff)
	}
	listing := run("--contents", file)
	for _, want := range []string{
		"-rwxr-xr-x root/root        10 2023-11-14", "./usr/bin/link -> example", "drwx------ 431/431", "-rw-r--r-- root/root         3",
	} {
		if !strings.Contains(listing, want) {
			t.Errorf("no %q in\n%s", want, listing)
		}
	}
}
