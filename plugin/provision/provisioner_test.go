package provision

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
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
	commands []string // what happened, with scripts and the random part of names taken out
	files    map[string]string
	fail     string // what contains it fails
	report   func(cluster.Recipe) images.Report
}

var random = regexp.MustCompile(`cincbake-[a-z0-9]{20,}`)

// manifest is what the content digest of goodReport is over.
const manifest = "d 755 0:0 /\nf 644 0:0 /etc/passwd\n"

func goodReport(recipe cluster.Recipe) images.Report {
	return images.Report{
		Recipe: recipe, ContentDigest: images.DigestOf(strings.Split(strings.TrimSuffix(manifest, "\n"), "\n")), AgentVersion: "0.1.0", DocumentFormat: 1,
		Packages: []images.Package{{Name: "etcd-server", Version: "3.5.16-4", Arch: "amd64"}},
	}
}

func newFake() *fake { return &fake{files: map[string]string{}, report: goodReport} }

// note keeps what happened, and says whether it is to fail.
func (f *fake) note(what string) bool {
	what = strings.NewReplacer(quote(settle), "SETTLE", quote(seal), "SEAL").Replace(random.ReplaceAllString(what, "RANDOM"))
	f.commands = append(f.commands, what)
	return f.fail != "" && strings.Contains(what, f.fail)
}

func (f *fake) Start(_ context.Context, cmd *packersdk.RemoteCmd) error {
	if f.note(cmd.Command) {
		if cmd.Stdout != nil {
			_, _ = io.WriteString(cmd.Stdout, "the last words\n")
		}
		cmd.SetExited(3)
		return nil
	}
	words := strings.Split(strings.Trim(cmd.Command, "'"), "' '")
	for i, word := range words[:len(words)-1] {
		switch word {
		case "--report":
			var recipe cluster.Recipe
			for name, content := range f.files {
				if path.Base(name) == recipeName {
					if err := json.Unmarshal([]byte(content), &recipe); err != nil {
						return err
					}
				}
			}
			text, err := json.Marshal(f.report(recipe))
			if err != nil {
				return err
			}
			f.files[words[i+1]] = string(text)
		case "--manifest":
			f.files[words[i+1]] = manifest
		}
	}
	switch words[0] {
	case "base64":
		content, ok := f.files[words[2]]
		if !ok {
			cmd.SetExited(1)
			return nil
		}
		_, err := io.WriteString(cmd.Stdout, "Could not chdir to home directory\r\n"+base64.StdEncoding.EncodeToString([]byte(content)))
		if err != nil {
			return err
		}
	case "rm":
		for _, gone := range words[2:] {
			for name := range f.files {
				if strings.HasPrefix(name, gone) {
					delete(f.files, name)
				}
			}
		}
	}
	cmd.SetExited(0)
	return nil
}

func (f *fake) Upload(name string, content io.Reader, _ *os.FileInfo) error {
	if f.note("upload " + name) {
		return errors.New("no space left on device")
	}
	text, err := io.ReadAll(content)
	f.files[name] = string(text)
	return err
}

func prepared(t *testing.T, more map[string]any) *Provisioner {
	t.Helper()
	p := &Provisioner{agentFor: func(cluster.Platform, string) ([]byte, error) { return []byte("agent"), nil }}
	must(t, p.Prepare(map[string]any{"spec": spec, "role": "postgres"}, more))
	return p
}

// provisioned provisions the machine with a folder for its results.
func provisioned(t *testing.T, p *Provisioner, machine *fake, generated map[string]any) (folder string, err error) {
	t.Helper()
	folder = t.TempDir()
	all := map[string]any{bake.ResultsKey: folder}
	for key, value := range generated {
		all[key] = value
	}
	return folder, p.Provision(t.Context(), packersdk.TestUi(t), machine, all)
}

func TestProvision(t *testing.T) {
	machine := newFake()
	forUser := filepath.Join(t.TempDir(), "made", "by", "us")
	p := prepared(t, map[string]any{"results": forUser})
	forBuilder, err := provisioned(t, p, machine, nil)
	must(t, err)
	want := []string{
		"'mkdir' '-m' '0700' '/tmp/RANDOM'",
		"upload /tmp/RANDOM/recipe.json",
		"upload /tmp/RANDOM/site.json",
		"'/bin/sh' '-c' SETTLE",
		"upload /tmp/RANDOM/cincbake-node",
		"'install' '-o' 'root' '-g' 'root' '-m' '0755' '/tmp/RANDOM/cincbake-node' '/usr/bin/cincbake-node'",
		"'/usr/bin/cincbake-node' 'bake' '--recipe' '/tmp/RANDOM/recipe.json' '--site' '/tmp/RANDOM/site.json'",
		"'/bin/sh' '-c' SEAL 'seal' '' '/usr/bin/cincbake-node' 'seal' '--recipe' '/tmp/RANDOM/recipe.json' '--report' '/tmp/RANDOM/report.json' '--manifest' '/tmp/RANDOM/manifest.txt'",
		"'base64' '-w0' '/tmp/RANDOM/report.json'",
		"'base64' '-w0' '/tmp/RANDOM/manifest.txt'",
		"'rm' '-rf' '/tmp/RANDOM' '/var/tmp/RANDOM.deb'",
	}
	if diff := cmp.Diff(want, machine.commands); diff != "" {
		t.Error(diff)
	}
	if len(machine.files) > 0 {
		t.Errorf("it left behind %v", machine.files)
	}
	for _, folder := range []string{forBuilder, forUser} {
		results, err := bake.ReadResults(folder)
		must(t, err)
		if results.Report.Recipe != p.config.job.Recipe || results.Report.Recipe.PostgresVersion == 0 || len(results.Manifest) != 2 {
			t.Errorf("%s is about %+v", folder, results)
		}
	}
}

// The package of a spec that names a file, and what is locked, travel too.
func TestProvisionCarriesPackageAndLock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cinc.deb")
	must(t, os.WriteFile(file, []byte("package"), 0o600))
	p := prepared(t, nil)
	p.config.job.PackageFile = file
	p.config.job.Recipe.Package = cluster.RecipePackage{Version: "15.10.91", Digest: "sha256:" + strings.Repeat("a", 64)}
	p.config.job.Locked = &cluster.LockedImage{Role: cluster.RolePostgres}
	machine := newFake()
	_, err := provisioned(t, p, machine, nil)
	must(t, err)
	got := strings.Join(machine.commands, "\n")
	for _, want := range []string{
		"upload /tmp/RANDOM/lock.json\n",
		"upload /var/tmp/RANDOM.deb\n'install' '-D' '-o' 'root' '-g' 'root' '-m' '0644' '/var/tmp/RANDOM.deb' '/var/cache/cincbake/packages/" + strings.Repeat("a", 64) + ".deb'\n'rm' '-f' '/var/tmp/RANDOM.deb'\n",
		"'--lock' '/tmp/RANDOM/lock.json' '--report'",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// Over ssh the account that Packer enters by goes, in the same command as the seal; afterwards nothing needs its rights.
func TestProvisionOverSSH(t *testing.T) {
	tests := []struct {
		name      string
		more      map[string]any
		generated map[string]any
		gone      string
	}{
		{"by an account", nil, map[string]any{"ConnType": "ssh", "User": "admin"}, "admin"},
		{"as root", nil, map[string]any{"ConnType": "ssh", "User": "root"}, ""},
		{"by an account, another named", map[string]any{"remove_user": "debian"}, map[string]any{"ConnType": "ssh", "User": "admin"}, "debian"},
		{"not over ssh", nil, map[string]any{"ConnType": "docker", "User": "admin"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			machine := newFake()
			more := map[string]any{"sudo": true}
			for k, v := range tt.more {
				more[k] = v
			}
			_, err := provisioned(t, prepared(t, more), machine, tt.generated)
			must(t, err)
			sealed := false
			for _, command := range machine.commands {
				root := strings.HasPrefix(command, "sudo -n -- '")
				switch {
				case strings.Contains(command, "SEAL"):
					sealed = true
					if !root || !strings.Contains(command, " 'seal' '"+tt.gone+"' '") {
						t.Errorf("sealed by %s, want %q gone", command, tt.gone)
					}
				case sealed && root:
					t.Errorf("needs rights after the seal: %s", command)
				case strings.Contains(command, "'install'") && !root, strings.Contains(command, "'bake'") && !root, strings.Contains(command, "SETTLE") && !root:
					t.Errorf("not as root: %s", command)
				}
			}
		})
	}
}

// A failure at any point names role, step and remedy, shows the last lines, and leaves neither files nor results.
func TestProvisionFails(t *testing.T) {
	tests := []struct {
		fail string
		says []string
	}{
		{"'mkdir'", []string{"reach the machine: exit status 3", "20 MB free"}},
		{"upload /tmp/RANDOM/site.json", []string{"reach the machine: upload", "no space left"}},
		{"SETTLE", []string{"wait for the machine to settle", "| the last words", "/var/log/cloud-init.log"}},
		{"upload /tmp/RANDOM/cincbake-node", []string{"carry the boot agent in", "no space left"}},
		{"'install'", []string{"carry the boot agent in: exit status 3", "| the last words"}},
		{"'bake'", []string{"bake: exit status 3", "| the last words", "image.mirror"}},
		{"SEAL", []string{"seal: exit status 3", "| the last words", "base image"}},
		{"'base64'", []string{"bring the results back", "report.json: exit status 3"}},
	}
	for _, tt := range tests {
		t.Run(tt.fail, func(t *testing.T) {
			machine := newFake()
			machine.fail = tt.fail
			p := prepared(t, nil)
			folder, err := provisioned(t, p, machine, nil)
			var failure *Failure
			if !errors.As(err, &failure) || failure.Role != cluster.RolePostgres {
				t.Fatalf("got %v, want a Failure", err)
			}
			for _, says := range append(tt.says, "cincbake-role: postgres: ") {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want it to say %q", err, says)
				}
			}
			if last := machine.commands[len(machine.commands)-1]; last != "'rm' '-rf' '/tmp/RANDOM' '/var/tmp/RANDOM.deb'" || len(machine.files) > 0 {
				t.Errorf("it left %v behind, the last command was %s", machine.files, last)
			}
			if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
				t.Errorf("there are results: %v, %v", entries, err)
			}
		})
	}
}

// Where the account goes, sshd gives no more terminals: that is said before anything is done.
func TestProvisionRefusesATerminal(t *testing.T) {
	machine := newFake()
	machine.fail = noTerminal
	_, err := provisioned(t, prepared(t, nil), machine, map[string]any{"ConnType": "ssh", "User": "admin"})
	if err == nil || !strings.Contains(err.Error(), "removes admin") || !strings.Contains(err.Error(), "ssh_pty = false") {
		t.Errorf("got %v", err)
	}
	if got := strings.Join(machine.commands, "\n"); strings.Contains(got, "SETTLE") || strings.Contains(got, "install") {
		t.Errorf("it went on:\n%s", got)
	}
	_, err = provisioned(t, prepared(t, nil), machine, map[string]any{"ConnType": "ssh", "User": "root"})
	must(t, err)
}

// Files that cannot be taken away are a failure too, beside the one that came before.
func TestProvisionCannotCleanUp(t *testing.T) {
	machine := newFake()
	machine.fail = "'rm' '-rf'"
	if _, err := provisioned(t, prepared(t, nil), machine, nil); err == nil || !strings.Contains(err.Error(), "clean up: exit status 3") {
		t.Errorf("got %v", err)
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
		{"of another manifest", func(r cluster.Recipe) images.Report {
			report := goodReport(r)
			report.ContentDigest = "sha256:" + strings.Repeat("0", 64)
			return report
		}, "its manifest of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			machine := newFake()
			machine.report = tt.report
			folder, err := provisioned(t, prepared(t, nil), machine, nil)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want it to say %q", err, tt.says)
			}
			if _, err := bake.ReadResults(folder); err == nil {
				t.Error("there are results")
			}
		})
	}
}

// What an earlier bake left must not pass for the results of one that failed.
func TestProvisionDiscardsOldResults(t *testing.T) {
	machine := newFake()
	folder := t.TempDir()
	p := prepared(t, map[string]any{"results": folder})
	must(t, p.Provision(t.Context(), packersdk.TestUi(t), machine, nil))
	machine.fail = "'bake'"
	if err := p.Provision(t.Context(), packersdk.TestUi(t), machine, nil); err == nil {
		t.Fatal("it went well")
	}
	if _, err := bake.ReadResults(folder); err == nil {
		t.Error("the old results are still there")
	}
}

func TestProvisionNeedsAPlaceForResults(t *testing.T) {
	err := prepared(t, nil).Provision(t.Context(), packersdk.TestUi(t), newFake(), nil)
	if err == nil || !strings.Contains(err.Error(), "option results") {
		t.Errorf("got %v", err)
	}
}

// The builder's site counts, so that a template says once what is a matter of the place.
func TestProvisionTakesTheBuildersSite(t *testing.T) {
	var uploaded cluster.Site
	machine := newFake()
	machine.fail = "SETTLE" // its files are taken away at the end
	hook := &keeping{fake: machine, name: siteName}
	p := prepared(t, nil)
	_ = p.Provision(t.Context(), packersdk.TestUi(t), hook, map[string]any{bake.ResultsKey: t.TempDir(), bake.SiteKey: `{"mirror":"http://mirror.example.com"}`})
	must(t, json.Unmarshal([]byte(hook.kept), &uploaded))
	if diff := cmp.Diff(cluster.Site{Mirror: "http://mirror.example.com"}, uploaded); diff != "" {
		t.Error(diff)
	}
	for text, says := range map[string]string{
		`{"planet":"mars"}`:      "one release",
		`{"snapshot":"at noon"}`: "not a moment",
	} {
		if _, err := provisioned(t, p, newFake(), map[string]any{bake.SiteKey: text}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want it to say %q", text, err, says)
		}
	}
	p.config.Snapshot, p.config.job.Site.Snapshot = true, "20261101T000000Z"
	if _, err := provisioned(t, p, newFake(), map[string]any{bake.SiteKey: `{}`}); err == nil || !strings.Contains(err.Error(), "snapshot = true in the source") {
		t.Errorf("got %v", err)
	}
}

// keeping keeps an upload.
type keeping struct {
	*fake
	name, kept string
}

func (k *keeping) Upload(name string, content io.Reader, info *os.FileInfo) error {
	text, err := io.ReadAll(content)
	if path.Base(name) == k.name {
		k.kept = string(text)
	}
	return errors.Join(err, k.fake.Upload(name, bytes.NewReader(text), info))
}

// A template is in order before the official packages are looked up, but nothing is baked from it.
func TestProvisionNeedsACompleteRecipe(t *testing.T) {
	p := new(Provisioner)
	must(t, p.Prepare(map[string]any{"spec": spec, "role": "api"}))
	machine := newFake()
	if _, err := provisioned(t, p, machine, nil); err == nil || !strings.Contains(err.Error(), "cincbake lock") || len(machine.commands) > 0 {
		t.Errorf("got %v after %v", err, machine.commands)
	}
}

func TestProvisionWithoutAnAgent(t *testing.T) {
	p := prepared(t, nil)
	missing := errors.New("build it with make plugin")
	p.agentFor = func(cluster.Platform, string) ([]byte, error) { return nil, missing }
	machine := newFake()
	if _, err := provisioned(t, p, machine, nil); !errors.Is(err, missing) || len(machine.commands) > 0 {
		t.Errorf("got %v after %v, want an error before anything is done", err, machine.commands)
	}
}

// The image's platform decides which agent it gets: each refuses what the other one is for, or is larger than it has to be.
func TestProvisionAsksForThePlatformsAgent(t *testing.T) {
	for platform, path := range map[cluster.Platform]string{cluster.OnPrem: spec, cluster.AWS: "../../examples/self-hosted-aws/cluster.yaml"} {
		asked, enough := "", errors.New("enough")
		p := &Provisioner{agentFor: func(platform cluster.Platform, arch string) ([]byte, error) {
			asked = string(platform) + " " + arch
			return nil, enough
		}}
		must(t, p.Prepare(map[string]any{"spec": path, "role": "heartbeat"}))
		if _, err := provisioned(t, p, newFake(), nil); !errors.Is(err, enough) || asked != string(platform)+" amd64" {
			t.Errorf("%s: asked for %q, %v", platform, asked, err)
		}
	}
}

func TestProvisionCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	machine := newFake()
	generated := map[string]any{bake.ResultsKey: t.TempDir()}
	if err := prepared(t, nil).Provision(ctx, packersdk.TestUi(t), hanging{machine, cancel}, generated); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if len(machine.files) > 0 {
		t.Errorf("it left behind %v", machine.files)
	}
}

// hanging is a machine whose bake never ends.
type hanging struct {
	*fake
	cancel func()
}

func (h hanging) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	if strings.Contains(cmd.Command, "'bake'") {
		h.cancel()
		return nil
	}
	return h.fake.Start(ctx, cmd)
}

// none is Packer's communicator "none", as its SDK has it.
type none struct{ packersdk.MockCommunicator }

func (*none) Start(_ context.Context, cmd *packersdk.RemoteCmd) error {
	cmd.SetExited(0)
	return nil
}

func (*none) Upload(string, io.Reader, *os.FileInfo) error {
	return errors.New("Upload is not implemented when communicator = 'none'") //nolint:revive // Packer's words
}

// Without a way to the machine, the plan is printed and no results are asked for.
func TestProvisionPlansOnly(t *testing.T) {
	var out bytes.Buffer
	ui := &packersdk.BasicUi{Writer: &out, ErrorWriter: &out}
	must(t, prepared(t, nil).Provision(t.Context(), ui, new(none), nil))
	for _, says := range []string{"nothing is changed", "Install what every machine has"} {
		if !strings.Contains(out.String(), says) {
			t.Errorf("it does not say %q:\n%s", says, out.String())
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "cluster.yaml")
	must(t, os.WriteFile(broken, []byte("apiVersion: cincbake/v1\nkind: Cluster\ncolour: red\n"), 0o600))
	tests := []struct {
		name   string
		config map[string]any
		says   []string
	}{
		{"everything at once", map[string]any{"remove_user": "root"}, []string{`role: ""`, "spec: name the cluster's file", "remove_user: root"}},
		{"an unknown role", map[string]any{"spec": spec, "role": "cook"}, []string{`role: "cook" is none of [`}},
		{"a missing file", map[string]any{"spec": "none.yaml", "role": "postgres"}, []string{"none.yaml"}},
		{"a broken file", map[string]any{"spec": broken, "role": "postgres"}, []string{"cluster.yaml:3:1", "colour"}},
		{"an unknown option", map[string]any{"spec": spec, "role": "postgres", "colour": 1}, []string{"colour"}},
		{"a snapshot without a lock", map[string]any{"spec": spec, "role": "postgres", "snapshot": true}, []string{"snapshot", "cincbake lock"}},
		{"an account that is none", map[string]any{"spec": spec, "role": "postgres", "remove_user": "a b"}, []string{`"a b" is no name`}},
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
	if err := (machine{comm: comm, ui: ui}).root(t.Context(), "true"); err != nil || !strings.Contains(out.String(), "[ 1/27] done") {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}

// Only the last lines are kept, also of a line that has not ended.
func TestTail(t *testing.T) {
	said := new(tail)
	for i := range 40 {
		_, err := said.Write([]byte(strings.Repeat("x", i) + "\r\n\n"))
		must(t, err)
	}
	_, err := said.Write([]byte("the end"))
	must(t, err)
	rows := strings.Split(said.String(), "\n")
	if len(rows) != 1+shownRows+1 || rows[len(rows)-1] != "    | the end" || strings.Contains(said.String(), "\r") {
		t.Errorf("kept %q", rows)
	}
	if got := new(tail).String(); !strings.Contains(got, "nothing") {
		t.Errorf("nothing is %q", got)
	}
}
