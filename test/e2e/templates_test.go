//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTemplates lets Packer itself read every template of every example.
func TestTemplates(t *testing.T) {
	b := newWorkbench(t)
	found, err := filepath.Glob(filepath.Join(b.home, "examples/*/packer/*.pkr.hcl"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no templates: %v", err)
	}
	for _, template := range found {
		args := []string{"validate"}
		if strings.HasPrefix(filepath.Base(template), "qemu") {
			// Packer would fetch Debian's list of checksums.
			args = append(args, "-var", "iso_checksum=sha256:"+strings.Repeat("0", 64))
		}
		command := exec.CommandContext(t.Context(), filepath.Join(b.home, ".cache/tools/packer"), append(args, template)...)
		command.Dir, command.Env = filepath.Dir(filepath.Dir(template)), append(b.env, "CHECKPOINT_DISABLE=1")
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", template, err, out)
		}
	}
}
