package provision

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2/hcldec"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/agent"
	"github.com/cincbake/cincbake/plugin/bake"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
)

// Provisioner is the provisioner cincbake-role.
type Provisioner struct {
	config Config
	// agentFor returns the boot agent for a platform and a processor; nil: the one that the plugin carries.
	agentFor func(platform cluster.Platform, arch string) ([]byte, error)
}

var _ packersdk.Provisioner = (*Provisioner)(nil)

// ConfigSpec describes the configuration to Packer.
func (p *Provisioner) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Prepare reads the configuration and the cluster.
func (p *Provisioner) Prepare(raws ...any) error { return p.config.prepare(raws...) }

// Failure is a step of the provisioning that went wrong.
type Failure struct {
	Role   cluster.Role
	Step   string
	Remedy string // what to do about it; empty: the error says so
	Err    error
}

func (f *Failure) Error() string {
	text := fmt.Sprintf("cincbake-role: %s: %s: %v", f.Role, f.Step, f.Err)
	if f.Remedy != "" {
		text += "\n" + f.Remedy
	}
	return text
}

func (f *Failure) Unwrap() error { return f.Err }

// Provision makes the machine a sealed one and brings the results back.
func (p *Provisioner) Provision(ctx context.Context, ui packersdk.Ui, comm packersdk.Communicator, generated map[string]any) error {
	r, err := p.run(ui, comm, generated)
	if err != nil {
		return err
	}
	ui.Say("cincbake-role: " + r.job.Recipe.String())
	reached, err := r.open(ctx)
	if err == nil && !reached {
		return r.plan()
	}
	if err == nil {
		err = r.steps(ctx)
	}
	// Also when the bake failed or was stopped: a machine that somebody looks at afterwards should not be littered.
	return errors.Join(err, r.close(ctx))
}

// run is one provisioning.
type run struct {
	job     bake.Job
	machine machine
	agent   []byte
	remove  string   // the account that goes
	results []string // folders on this host

	dir     string // the machine's folder for everything of ours; of Packer's user
	archive string // the package on its way
}

// run collects what the template and the builder say. Nothing is done to the machine if that does not fit together.
func (p *Provisioner) run(ui packersdk.Ui, comm packersdk.Communicator, generated map[string]any) (*run, error) {
	agentFor := p.agentFor
	if agentFor == nil {
		agentFor = agent.For
	}
	r := &run{
		job:     p.config.job,
		machine: machine{comm: comm, ui: ui, sudo: p.config.Sudo},
		remove:  p.config.RemoveUser,
	}
	fail := func(step, remedy string, err error) (*run, error) {
		return nil, &Failure{Role: r.job.Recipe.Role, Step: step, Remedy: remedy, Err: err}
	}
	if err := r.job.Recipe.Complete(); err != nil {
		return fail("read the recipe", "", err)
	}
	var err error
	if r.agent, err = agentFor(r.job.Recipe.Platform, r.job.Recipe.Arch); err != nil {
		return fail("carry the boot agent", "", err)
	}
	// Names that nobody else on the machine can have taken. The package is large, and /tmp may be in memory.
	name := "cincbake-" + strings.ToLower(rand.Text())
	r.dir, r.archive = "/tmp/"+name, "/var/tmp/"+name+".deb"
	if user, ok := generated["User"].(string); ok && r.remove == "" && generated["ConnType"] == "ssh" && user != "root" {
		r.remove = user
	}
	for _, folder := range []any{p.config.Results, generated[bake.ResultsKey]} {
		if folder, ok := folder.(string); ok && folder != "" {
			r.results = append(r.results, folder)
		}
	}
	if text, ok := generated[bake.SiteKey].(string); ok {
		if r.job.Site, err = site(text); err != nil {
			return fail("ask the builder for its site", "use builder and provisioner of one release of the plugin", err)
		}
		if p.config.Snapshot && r.job.Site.Snapshot != p.config.job.Site.Snapshot {
			return fail("read the options", "say snapshot = true in the source too", errors.New("the provisioner bakes from a snapshot, and its builder does not"))
		}
	}
	return r, nil
}

func site(text string) (cluster.Site, error) {
	var s cluster.Site
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return s, err
	}
	return s, s.Validate()
}

// noCommunicator is how Packer's communicator "none" answers; its commands all end well, without being run.
const noCommunicator = "communicator = 'none'"

// open makes the machine's folder with what the agent reads. It says no when the template gives no way to the machine.
func (r *run) open(ctx context.Context) (bool, error) {
	const step, remedy = "reach the machine", "the machine must let Packer's user write to /tmp, and have 20 MB free there"
	if err := r.machine.user(ctx, "mkdir", "-m", "0700", r.dir); err != nil {
		return true, r.failure(step, remedy, err)
	}
	files := []struct {
		name  string
		value any
	}{{recipeName, r.job.Recipe}, {siteName, r.job.Site}}
	if r.job.Locked != nil {
		files = append(files, struct {
			name  string
			value any
		}{lockName, r.job.Locked})
	}
	for _, file := range files {
		text, err := json.Marshal(file.value)
		if err != nil {
			return true, r.failure(step, "", err)
		}
		err = r.machine.upload(r.path(file.name), bytes.NewReader(text))
		if err != nil && strings.Contains(err.Error(), noCommunicator) {
			return false, nil
		}
		if err != nil {
			return true, r.failure(step, remedy, err)
		}
	}
	return true, nil
}

// plan prints what would be done, for a template that has no machine.
func (r *run) plan() error {
	open, steps, err := roles.Bake(r.job.Recipe, r.job.Site)
	if err != nil {
		return r.failure("plan", "", err)
	}
	r.machine.ui.Say("communicator = \"none\": nothing is changed; this is what a bake does\n" + append(open, steps...).Describe())
	return nil
}

// Names of files in the machine's folder.
const (
	recipeName   = "recipe.json"
	siteName     = "site.json"
	lockName     = "lock.json"
	agentName    = "cincbake-node"
	reportName   = "report.json"
	manifestName = "manifest.txt"
)

func (r *run) path(name string) string { return path.Join(r.dir, name) }

func (r *run) failure(step, remedy string, err error) error {
	return &Failure{Role: r.job.Recipe.Role, Step: step, Remedy: remedy, Err: err}
}

// steps is the provisioning, in order.
func (r *run) steps(ctx context.Context) error {
	for _, s := range []struct {
		name, remedy string
		do           func(context.Context) error
	}{
		// First, on this host: what an earlier bake came to must not pass for this one's.
		{"make the folder of results ready", "", r.discard},
		{"check the connection", "set ssh_pty = false in the source", r.connection},
		{"wait for the machine to settle", "look at /var/log/cloud-init.log and /var/log/apt in it: packer build -on-error=ask leaves it running", r.settle},
		{"carry the boot agent in", "", r.install},
		{"carry the package in", "the machine needs room for it twice, in /var", r.carry},
		{"bake", "the agent's last lines say which step failed; what is behind a mirror or proxy is named in the spec by image.mirror and image.proxy", r.bake},
		// It also verifies, after it has sealed: what is checked is what gets into the image.
		{"seal", "the agent's last lines name each check that failed; what they name got in by a provisioner before this one, or by the base image", r.seal},
		{"bring the results back", "the connection must last until then: sealing has taken away the keys for another", r.fetch},
	} {
		if err := s.do(ctx); err != nil {
			return r.failure(s.name, s.remedy, err)
		}
	}
	return nil
}

func (r *run) discard(context.Context) error {
	if len(r.results) == 0 {
		return errors.New("nobody asked for them: name a folder on this host with the option results, for the post-processor cincbake-catalogue")
	}
	for _, folder := range r.results {
		if err := bake.DiscardResults(folder); err != nil {
			return err
		}
	}
	return nil
}

// connection refuses a terminal where the account goes: without it sshd gives none, and ends the connection.
func (r *run) connection(ctx context.Context) error {
	if r.remove == "" {
		return nil
	}
	if err := r.machine.shell(ctx, noTerminal); err != nil {
		return fmt.Errorf("sealing removes %s, and Packer asks for terminals, which nobody gets without an account: %w", r.remove, err)
	}
	return nil
}

func (r *run) settle(ctx context.Context) error {
	return r.machine.root(ctx, "/bin/sh", "-c", settle)
}

// install puts the agent in its place. Uploads come as whatever user Packer has; the agent must belong to root.
func (r *run) install(ctx context.Context) error {
	if err := r.machine.upload(r.path(agentName), bytes.NewReader(r.agent)); err != nil {
		return err
	}
	return r.machine.root(ctx, "install", "-o", "root", "-g", "root", "-m", "0755", r.path(agentName), role.AgentPath)
}

// carry puts the package that the spec names by a file where the agent looks for it before it fetches one. The agent checks
// its digest.
func (r *run) carry(ctx context.Context) error {
	if r.job.PackageFile == "" {
		return nil
	}
	file, err := os.Open(r.job.PackageFile)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := r.machine.upload(r.archive, file); err != nil {
		return err
	}
	if err := r.machine.root(ctx, "install", "-D", "-o", "root", "-g", "root", "-m", "0644", r.archive, base.PackageFile(r.job.Recipe.Package)); err != nil {
		return err
	}
	return r.machine.user(ctx, "rm", "-f", r.archive)
}

func (r *run) bake(ctx context.Context) error {
	return r.machine.root(ctx, role.AgentPath, "bake", "--recipe", r.path(recipeName), "--site", r.path(siteName))
}

func (r *run) seal(ctx context.Context) error {
	argv := []string{"/bin/sh", "-c", seal, "seal", r.remove, role.AgentPath, "seal", "--recipe", r.path(recipeName)}
	if r.job.Locked != nil {
		argv = append(argv, "--lock", r.path(lockName))
	}
	return r.machine.root(ctx, append(argv, "--report", r.path(reportName), "--manifest", r.path(manifestName))...)
}

// fetch brings the results home and checks that they are what was asked for.
func (r *run) fetch(ctx context.Context) error {
	report, err := r.machine.read(ctx, r.path(reportName))
	if err != nil {
		return err
	}
	manifest, err := r.machine.read(ctx, r.path(manifestName))
	if err != nil {
		return err
	}
	said, err := images.DecodeReport(report)
	if err != nil {
		return err
	}
	if said.Recipe != r.job.Recipe {
		return fmt.Errorf("the agent reports %s, it was asked for %s", said.Recipe, r.job.Recipe)
	}
	for _, folder := range r.results {
		if _, err := bake.WriteResults(folder, report, manifest); err != nil {
			return err
		}
	}
	return nil
}

// close takes away what is ours in the machine. The folder is of Packer's user, so it needs no rights that may be gone.
func (r *run) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWithin)
	defer cancel()
	if err := r.machine.user(ctx, "rm", "-rf", r.dir, r.archive); err != nil {
		return r.failure("clean up", "remove "+r.dir+" in the machine", err)
	}
	return nil
}
