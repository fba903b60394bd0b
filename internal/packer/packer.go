// Package packer runs Packer, the program. It is a tool beside cincbake: found, asked, started and stopped, never linked.
package packer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
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

// Find returns that Packer or, without a name, the one that the shell would run. None is exit.Missing.
func Find(program string) (Packer, error) {
	name := program
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

// RequirePlugins checks that this Packer finds the plugins, and names each that it lacks with how to get it. Packer itself
// would only call their components unknown.
func (p Packer) RequirePlugins(ctx context.Context, plugins []Plugin) error {
	command := p.command(ctx, "plugins", "installed")
	text, err := command.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, failed.Stderr)
		}
		return fmt.Errorf("%s: %w", strings.Join(command.Args, " "), err)
	}
	installed := filepath.ToSlash(string(text))
	var problems []error
	for _, plugin := range plugins {
		if !strings.Contains(installed, plugin.Source+"/packer-plugin-"+path.Base(plugin.Source)+"_") {
			problems = append(problems, fmt.Errorf("%s has no plugin %s: install it with\n  %s\n"+
				"or, in a checkout, make plugins and set PACKER_PLUGIN_PATH to its .cache/plugins", p.Path, plugin.Source, plugin.Install))
		}
	}
	return exit.As(exit.Missing, errors.Join(problems...))
}

func (p Packer) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, p.Path, args...)
	command.Env = append(os.Environ(), p.Env...)
	return command
}
