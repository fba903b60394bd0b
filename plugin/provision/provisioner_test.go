package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/bake"
)

const spec = "../../examples/self-hosted-onprem/cluster.yaml"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fake is a machine with an agent that does nothing and reports what it was asked for.
type fake struct {
	packersdk.MockCommunicator
	commands []string // with the random part of names taken out
	files    map[string]string
	fail     string // a command that contains it fails
	report   func(cluster.Recipe) images.Report
}

var random = regexp.MustCompile(`cincbake-[a-z0-9]{20,}-`)

func (f *fake) Start(_ context.Context, cmd *packersdk.RemoteCmd) error {
	f.commands = append(f.commands, random.ReplaceAllString(cmd.Command, "RANDOM-"))
	if f.fail != "" && strings.Contains(cmd.Command, f.fail) {
		cmd.SetExited(3)
		return nil
	}
	if _, after, ok := strings.Cut(cmd.Command, "'--report' '"); ok {
		var recipe cluster.Recipe
		for name, content := range f.files {
			if strings.HasSuffix(name, "-recipe.json") {
				if err := json.Unmarshal([]byte(content), &recipe); err != nil {
					return err
				}
			}
		}
		text, err := json.Marshal(f.report(recipe))
		if err != nil {
			return err
		}
		f.files[strings.TrimSuffix(after, "'")] = string(text)
	}
	cmd.SetExited(0)
	return nil
}

func (f *fake) Upload(name string, content io.Reader, _ *os.FileInfo) error {
	text, err := io.ReadAll(content)
	f.files[name] = string(text)
	return err
}

func (f *fake) Download(name string, to io.Writer) error {
	content, ok := f.files[name]
	if !ok {
		return os.ErrNotExist
	}
	_, err := io.WriteString(to, content)
	return err
}

func goodReport(recipe cluster.Recipe) images.Report {
	return images.Report{
		Recipe: recipe, ContentDigest: "sha256:" + strings.Repeat("0", 64), AgentVersion: "0.1.0", DocumentFormat: 1,
		Packages: []images.Package{{Name: "etcd-server", Version: "3.5.16-4", Arch: "amd64"}},
	}
}

func newFake() *fake { return &fake{files: map[string]string{}, report: goodReport} }

func prepared(t *testing.T, more map[string]any) *Provisioner {
	t.Helper()
	p := &Provisioner{agentFor: func(string) ([]byte, error) { return []byte("agent"), nil }}
	must(t, p.Prepare(map[string]any{"spec": spec, "role": "postgres"}, more))
	return p
}

func run(t *testing.T, p *Provisioner, machine *fake, generated map[string]any) error {
	t.Helper()
	return p.Provision(t.Context(), packersdk.TestUi(t), machine, generated)
}

func TestProvision(t *testing.T) {
	machine := newFake()
	forBuilder, forUser := filepath.Join(t.TempDir(), "builder.json"), filepath.Join(t.TempDir(), "user.json")
	p := prepared(t, map[string]any{"report": forUser})
	must(t, run(t, p, machine, map[string]any{bake.ReportPath: forBuilder}))

	want := []string{
		waitForCloudInit,
		"'install' '-o' 'root' '-g' 'root' '-m' '0755' '/tmp/RANDOM-agent' '/usr/bin/cincbake-node'",
		"'/usr/bin/cincbake-node' 'bake' '--recipe' '/tmp/RANDOM-recipe.json'",
		"'/usr/bin/cincbake-node' 'seal' '--recipe' '/tmp/RANDOM-recipe.json' '--report' '/tmp/RANDOM-report.json'",
		"'rm' '-f' '/tmp/RANDOM-recipe.json' '/tmp/RANDOM-report.json' '/tmp/RANDOM-agent'",
	}
	if diff := cmp.Diff(want, machine.commands); diff != "" {
		t.Error(diff)
	}
	for _, path := range []string{forBuilder, forUser} {
		text, err := os.ReadFile(path)
		must(t, err)
		report, err := images.DecodeReport(text)
		must(t, err)
		if report.Recipe != p.config.recipe || report.Recipe.PostgresVersion == 0 {
			t.Errorf("%s is about %+v", path, report.Recipe)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(forUser)); err != nil || len(entries) != 1 {
		t.Errorf("beside the report lies more: %v, %v", entries, err)
	}
}

func TestProvisionWithSudo(t *testing.T) {
	machine := newFake()
	must(t, run(t, prepared(t, map[string]any{"sudo": true}), machine, nil))
	for _, command := range machine.commands[1:] { // all but the wait for cloud-init
		if !strings.HasPrefix(command, "sudo -n -- '") {
			t.Errorf("not as root: %s", command)
		}
	}
}

func TestProvisionFails(t *testing.T) {
	tests := []struct{ fail, says string }{
		{"cloud-init status", "cloud-init: exit status 3"},
		{"'install'", "install the boot agent"},
		{"'bake'", "bake: exit status 3"},
		{"'seal'", "seal: exit status 3"},
	}
	for _, tt := range tests {
		t.Run(tt.fail, func(t *testing.T) {
			machine := newFake()
			machine.fail = tt.fail
			path := filepath.Join(t.TempDir(), "report.json")
			err := run(t, prepared(t, map[string]any{"report": path}), machine, nil)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want it to say %q", err, tt.says)
			}
			if last := machine.commands[len(machine.commands)-1]; !strings.HasPrefix(last, "'rm'") {
				t.Errorf("it left its files behind, the last command was %s", last)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("there is a report: %v", err)
			}
		})
	}
}

func TestProvisionChecksTheReport(t *testing.T) {
	tests := []struct {
		name   string
		report func(cluster.Recipe) images.Report
		says   string
	}{
		{"of another role", func(r cluster.Recipe) images.Report { r.Role = cluster.RoleHeartbeat; return goodReport(r) }, "it was asked for postgres 13"},
		{"without a digest", func(r cluster.Recipe) images.Report {
			report := goodReport(r)
			report.ContentDigest = ""
			return report
		}, "content digest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			machine := newFake()
			machine.report = tt.report
			if err := run(t, prepared(t, nil), machine, nil); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want it to say %q", err, tt.says)
			}
		})
	}
}

func TestProvisionWithoutAnAgent(t *testing.T) {
	p := prepared(t, nil)
	missing := errors.New("build it with make plugin")
	p.agentFor = func(string) ([]byte, error) { return nil, missing }
	machine := newFake()
	if err := run(t, p, machine, nil); !errors.Is(err, missing) || len(machine.commands) > 0 {
		t.Errorf("got %v after %v, want an error before anything is done", err, machine.commands)
	}
}

func TestProvisionCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := prepared(t, nil).Provision(ctx, packersdk.TestUi(t), hanging{newFake()}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// hanging is a machine whose commands never end, except rm.
type hanging struct{ *fake }

func (h hanging) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	if strings.HasPrefix(cmd.Command, "'rm'") {
		return h.fake.Start(ctx, cmd)
	}
	return nil
}

func TestPrepareRefuses(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "cluster.yaml")
	must(t, os.WriteFile(broken, []byte("apiVersion: cincbake/v1\nkind: Cluster\ncolour: red\n"), 0o600))
	tests := []struct {
		name   string
		config map[string]any
		says   []string
	}{
		{"nothing", map[string]any{}, []string{`role: ""`, "spec: name the cluster's file"}},
		{"an unknown role", map[string]any{"spec": spec, "role": "cook"}, []string{`role: "cook" is none of [`}},
		{"a missing file", map[string]any{"spec": "none.yaml", "role": "postgres"}, []string{"none.yaml"}},
		{"a broken file", map[string]any{"spec": broken, "role": "postgres"}, []string{"cluster.yaml:3:1", "colour"}},
		{"an unknown option", map[string]any{"spec": spec, "role": "postgres", "colour": 1}, []string{"colour"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := new(Provisioner).Prepare(tt.config)
			for _, says := range tt.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want it to say %q", err, says)
				}
			}
		})
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{"plain": "'plain'", "it's $HOME": `'it'\''s $HOME'`, "": "''"} {
		if got := quote(word); got != want {
			t.Errorf("%q is quoted %s, want %s", word, got, want)
		}
	}
}

func TestOutputReachesTheUser(t *testing.T) {
	var out bytes.Buffer
	ui := &packersdk.BasicUi{Writer: &out, ErrorWriter: &out}
	comm := &packersdk.MockCommunicator{StartStdout: "[ 1/27] done\n"}
	if err := (machine{comm: comm, ui: ui}).run(t.Context(), "true"); err != nil || !strings.Contains(out.String(), "[ 1/27] done") {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}
