//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/launch/iam"
	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/fakeaws/rights"
)

// amazonBench is a cluster's folder whose images are baked on a fake EC2.
type amazonBench struct {
	*bench
	role     string // that is baked
	aws      *fakeaws.Server
	machines *amazonMachines
}

// debianOwner is the account that Debian publishes its AMIs from. Whose AMI it is, is all that makes it Debian's.
const debianOwner = "136693071363"

// publicImages are what an account sees: Debian's newest and an older one, and a newer one of the same name that anybody
// may have published.
func publicImages() []fakeaws.Image {
	return []fakeaws.Image{
		{Name: "debian-13-amd64-20261101-2280", Owner: debianOwner, Created: "2026-11-01T12:00:00.000Z", ENA: true},
		{Name: "debian-13-amd64-20261001-2249", Owner: debianOwner, Created: "2026-10-01T12:00:00.000Z", ENA: true},
		{Name: "debian-13-amd64-20261120-2299", Owner: "666666666666", Created: "2026-11-20T12:00:00.000Z", ENA: true},
	}
}

// newAmazonBench writes a cluster's folder as init does, with the packages' addresses filled in, and starts a fake EC2.
func newAmazonBench(t *testing.T, tree, role string) *amazonBench {
	t.Helper()
	b := newWorkbench(t)
	if plugins := os.Getenv("PACKER_PLUGIN_PATH"); plugins != "" {
		b.env = append(b.env, "PACKER_PLUGIN_PATH="+plugins)
	}
	a := &amazonBench{bench: b, role: role, machines: newAmazonMachines(t, tree)}
	a.aws = fakeaws.New(fakeaws.Options{Polls: 1, Images: publicImages(), Machines: a.machines})
	t.Cleanup(a.aws.Close)
	// No credentials of this host's, whatever it has.
	a.env = append(a.env, "AWS_ACCESS_KEY_ID="+commandKey, "AWS_SECRET_ACCESS_KEY="+amazonSecret, "AWS_SESSION_TOKEN=", "AWS_PROFILE=", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_ENDPOINT_URL="+a.aws.URL)
	topology := "self-hosted"
	if role == "standalone" {
		topology = role
	}
	a.must(t, time.Minute, "init", a.dir, "--topology", topology, "--platform", "aws")
	spec := a.text(t, "cluster.yaml")
	const official = "package: {official: true}"
	switch role {
	case "api", "opensearch", "standalone":
		cinc, search := b.standins(t)
		for _, file := range []string{cinc, search} { // in the order in which the spec asks for them
			spec = strings.Replace(spec, official, "package: {file: "+file+"}", 1)
		}
	default: // nothing is baked that needs them, but a template has all roles in it
		spec = strings.ReplaceAll(spec, official, "package: {url: https://example.com/package.deb, sha256: "+strings.Repeat("0a", 32)+"}")
	}
	a.write(t, "cluster.yaml", spec)
	return a
}

// limit holds whoever bakes to the policy of that role, which is for one region.
func (a *amazonBench) limit(t *testing.T) {
	t.Helper()
	_, r := a.resolved(t)
	rights.Limit(t, a.aws, fakeaws.Caller{Key: commandKey}, iam.Bake, r)
}

// commandKey is the access key that commands call AWS with.
const commandKey = "AKIAEXAMPLE"

// amazonSecret is the secret half of those credentials: no file and no output may have it.
const amazonSecret = "planted-secret-of-the-credentials"

func (a *amazonBench) text(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(a.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (a *amazonBench) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const amazonTemplate = "packer/amazon-ebs.pkr.hcl"

// polling is the template's: what a bake waits for takes minutes there, and none here.
var polling = regexp.MustCompile(`delay_seconds = 15\n(\s*)max_attempts  = 240`)

// adapt makes the template that init wrote one for the fake, whose endpoint is elsewhere and whose machines answer at another
// port. This is all that a test changes in it.
func (a *amazonBench) adapt(t *testing.T, attempts int) {
	t.Helper()
	const source = "source \"amazon-ebs\" \"role\" {\n"
	text := a.text(t, amazonTemplate)
	if !strings.Contains(text, source) || !polling.MatchString(text) {
		t.Fatalf("the template has another form than this test knows:\n%s", text)
	}
	text = strings.Replace(text, source, source+fmt.Sprintf(`  custom_endpoint_ec2         = %q
  skip_credential_validation  = true
  skip_metadata_api_check     = true
  ssh_port                    = %s
`, a.aws.URL, a.machines.port), 1)
	text = polling.ReplaceAllString(text, fmt.Sprintf("delay_seconds = 1\n${1}max_attempts  = %d", attempts))
	a.write(t, amazonTemplate, text)
}

// provisioning is the template's block that bakes.
var provisioning = regexp.MustCompile(`(?s)  provisioner "cincbake-role" \{\n.*?\n  \}\n`)

// withoutProvisioner is for faults of EC2's that have nothing to do with what is baked.
func (a *amazonBench) withoutProvisioner(t *testing.T) {
	t.Helper()
	text := a.text(t, amazonTemplate)
	if !provisioning.MatchString(text) {
		t.Fatalf("the template has no provisioner of the form that this test knows:\n%s", text)
	}
	a.write(t, amazonTemplate, provisioning.ReplaceAllString(text, ""))
}

// args bake the role, in the fake's network.
func (a *amazonBench) args(more ...string) []string {
	return append([]string{"bake", a.role, "--packer", a.packer(), "--images", a.images, "--keep-logs", "--var", `ssh_cidrs=["192.0.2.10/32"]`}, more...)
}

func (a *amazonBench) packer() string {
	return cmp.Or(os.Getenv("PACKER"), filepath.Join(a.home, ".cache/tools/packer"))
}

func (a *amazonBench) log() string {
	text, err := os.ReadFile(filepath.Join(a.images, "logs", a.role+".log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// interrupted bakes until a condition holds, stops that as Ctrl-C does, and returns the exit code.
func (a *amazonBench) interrupted(t *testing.T, when func(*amazonBench) bool, args ...string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute) //nolint:usetesting // it must end in good order
	defer cancel()
	command := a.start(ctx, t, io.Discard, io.Discard, args...)
	for limit := time.Now().Add(5 * time.Minute); !when(a); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Errorf("the bake never came that far: %s", a.log())
			break
		}
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait() // how, its exit code tells
	return command.ProcessState.ExitCode()
}

// holding lists the files below a folder that hold one of the texts.
func holding(t *testing.T, dir string, texts ...string) []string {
	t.Helper()
	args := []string{"--recursive", "--files-with-matches", "--fixed-strings"}
	for _, text := range texts {
		args = append(args, "--regexp="+text)
	}
	out, err := exec.CommandContext(t.Context(), "grep", append(args, dir)...).Output()
	if err != nil && len(out) > 0 {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}
