package provision

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2/hcldec"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/agent"
	"github.com/cincbake/cincbake/plugin/bake"
)

// agentPath is where every image has the boot agent.
const agentPath = "/usr/bin/cincbake-node"

// Provisioner is the provisioner cincbake-role.
type Provisioner struct {
	config Config
	// agentFor returns the boot agent for a processor; nil: the one that the plugin carries.
	agentFor func(arch string) ([]byte, error)
}

var _ packersdk.Provisioner = (*Provisioner)(nil)

// ConfigSpec describes the configuration to Packer.
func (p *Provisioner) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Prepare reads the configuration and the cluster.
func (p *Provisioner) Prepare(raws ...any) error { return p.config.prepare(raws...) }

// Provision makes the machine a sealed one and brings the agent's report back.
func (p *Provisioner) Provision(ctx context.Context, ui packersdk.Ui, comm packersdk.Communicator, generated map[string]any) (err error) {
	agentFor := p.agentFor
	if agentFor == nil {
		agentFor = agent.For
	}
	program, err := agentFor(p.config.recipe.Arch)
	if err != nil {
		return err
	}
	recipe, err := json.Marshal(p.config.recipe)
	if err != nil {
		return err
	}
	// Names that nobody else on the machine can have taken.
	temporary := "/tmp/cincbake-" + strings.ToLower(rand.Text())
	recipeFile, reportFile, agentFile := temporary+"-recipe.json", temporary+"-report.json", temporary+"-agent"
	m := machine{comm: comm, ui: ui, sudo: p.config.Sudo}
	defer func() {
		// Also when the bake failed or was stopped: a machine that somebody looks at afterwards should not be littered.
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWithin)
		defer cancel()
		if gone := m.run(cleanup, "rm", "-f", recipeFile, reportFile, agentFile); gone != nil && err == nil {
			err = gone
		}
	}()

	ui.Say("cincbake-role: " + p.config.recipe.String())
	// What cloud-init still does (users, packages, locks) would get in the way. A tree that was never booted runs none.
	if err := m.shell(ctx, waitForCloudInit); err != nil {
		return fmt.Errorf("cloud-init: %w", err)
	}
	if err := m.upload(agentFile, program); err != nil {
		return err
	}
	if err := m.upload(recipeFile, recipe); err != nil {
		return err
	}
	// Uploads come as whatever user Packer has; the agent must belong to root.
	if err := m.run(ctx, "install", "-o", "root", "-g", "root", "-m", "0755", agentFile, agentPath); err != nil {
		return fmt.Errorf("install the boot agent: %w", err)
	}
	if err := m.run(ctx, agentPath, "bake", "--recipe", recipeFile); err != nil {
		return fmt.Errorf("bake: %w", err)
	}
	// It also verifies, after it has sealed: what is checked is what gets into the image.
	if err := m.run(ctx, agentPath, "seal", "--recipe", recipeFile, "--report", reportFile); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	report, err := m.download(reportFile)
	if err != nil {
		return fmt.Errorf("the agent's report: %w", err)
	}
	return p.deliver(report, generated)
}

// deliver checks the report and writes it where it is wanted: for the builder, and where the template says.
func (p *Provisioner) deliver(text []byte, generated map[string]any) error {
	report, err := images.DecodeReport(text)
	if err != nil {
		return err
	}
	if report.Recipe != p.config.recipe {
		return fmt.Errorf("the agent reports %s, it was asked for %s", report.Recipe, p.config.recipe)
	}
	wanted := []string{p.config.Report}
	if path, ok := generated[bake.ReportPath].(string); ok {
		wanted = append(wanted, path)
	}
	for _, path := range wanted {
		if path == "" {
			continue
		}
		if err := write(path, text); err != nil {
			return fmt.Errorf("the agent's report: %w", err)
		}
	}
	return nil
}

// write writes a file whole or not at all.
func write(path string, text []byte) error {
	beside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = io.Copy(beside, bytes.NewReader(text))
	err = errors.Join(err, beside.Chmod(0o644), beside.Close())
	if err == nil {
		err = os.Rename(beside.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside.Name()))
	}
	return nil
}
