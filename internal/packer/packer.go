// Package packer runs Packer, the program. It is a tool beside cincbake: found, asked, started and stopped, never linked.
package packer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/cincbake/cincbake/internal/exit"
)

// Source is the address under which the project's plugin is installed and under which templates require it.
const Source = "github.com/cincbake/cincbake"

// Packer is a Packer found on this machine.
type Packer struct {
	Path string
	Env  []string // NAME=value, added to this process's own environment
}

// Find returns the Packer at path or, without a path, the one that the shell would run. None is exit.Missing.
func Find(path string) (Packer, error) {
	name := path
	if name == "" {
		name = "packer"
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return Packer{}, exit.Errorf(exit.Missing,
			"%w\nPacker is needed to bake: install it, name it with --packer, or build it in a checkout with make packer", err)
	}
	if found, err = filepath.Abs(found); err != nil {
		return Packer{}, err
	}
	// Packer asks a server of its makers for news on every run unless it is told not to.
	return Packer{Path: found, Env: []string{"CHECKPOINT_DISABLE=1"}}, nil
}

// RequirePlugin checks that this Packer finds the project's plugin. Packer itself would only call its components unknown.
func (p Packer) RequirePlugin(ctx context.Context) error {
	command := p.command(ctx, "plugins", "installed")
	text, err := command.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, failed.Stderr)
		}
		return fmt.Errorf("%s: %w", strings.Join(command.Args, " "), err)
	}
	if !strings.Contains(filepath.ToSlash(string(text)), Source+"/packer-plugin-cincbake_") {
		return exit.Errorf(exit.Missing, "%s has no plugin %s: install it with\n"+
			"  packer plugins install --path packer-plugin-cincbake %s\n"+
			"or, in a checkout, make plugins and set PACKER_PLUGIN_PATH to its .cache/plugins", p.Path, Source, Source)
	}
	return nil
}

func (p Packer) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, p.Path, args...)
	command.Env = append(os.Environ(), p.Env...)
	return command
}
