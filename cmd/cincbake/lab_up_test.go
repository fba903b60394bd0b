package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/packer"
	"github.com/cincbake/cincbake/lab"
)

// packerThatFails lists the plugin that a bake needs, notes what it is to build, and builds nothing.
const packerThatFails = `#!/bin/sh
if [ "$1" = plugins ]; then
	echo /plugins/github.com/cincbake/cincbake/packer-plugin-cincbake_v0.1.0_x5.0_linux_amd64
	exit
fi
for word; do
	case $word in -only=*) touch "asked-${word##*.}" ;; esac
done
echo "out of coffee" >&2
exit 7
`

// Up bakes what is missing, and boots nothing when that fails.
func TestLabUpBakesWhatIsMissing(t *testing.T) {
	if err := lab.AsError(lab.CheckHost(t.Context(), lab.DefaultFolders())); err != nil {
		t.Skip(err)
	}
	if err := requireBakery(packer.Rootfs, nil); err != nil {
		t.Skip(err)
	}
	t.Chdir(t.TempDir())
	mustRun(t, exit.Done, "init", "--topology", "database", ".")
	write(t, "cluster.yaml", strings.Replace(read(t, "cluster.yaml"), "name: prod ", "name: never-up ", 1))
	mustRun(t, exit.Done, "secrets", "init")
	write(t, "packer.sh", packerThatFails)
	if err := os.Chmod("packer.sh", 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	program, err := filepath.Abs("packer.sh")
	if err != nil {
		t.Fatal(err)
	}

	_, said := mustRun(t, exit.Missing, "lab", "up", "--bake=false", "--packer", program)
	if !strings.Contains(said, "cincbake bake postgres heartbeat") {
		t.Errorf("it says %q", said)
	}
	if asked, err := filepath.Glob("asked-*"); err != nil || asked != nil {
		t.Errorf("--bake=false baked %v: %v", asked, err)
	}

	_, said = mustRun(t, exit.Failed, "lab", "up", "--packer", program)
	if !strings.Contains(said, "out of coffee") {
		t.Errorf("it says %q", said)
	}
	if asked, err := filepath.Glob("asked-*"); err != nil || strings.Join(asked, " ") != "asked-heartbeat asked-postgres" {
		t.Errorf("it baked %v: %v", asked, err)
	}
	l, err := lab.Open(lab.DefaultFolders(), "never-up")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Status(t.Context()); !errors.Is(err, lab.ErrNoLab) {
		t.Errorf("there is a lab: %v", err)
	}
}
