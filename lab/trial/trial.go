// Package trial boots an image once, to see that it is what its record says and does what an image must: the finished
// artefact, not the machine that it was made on.
package trial

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/lab/machine"
	"github.com/cincbake/cincbake/roles/role"
)

// Result is what came of a trial.
type Result struct {
	Image    string          `json:"image"`
	Phases   []cluster.Phase `json:"phases"`
	Booted   bool            `json:"booted"`             // every check held, on machines that booted
	Failures []string        `json:"failures,omitempty"` // each check that did not hold, by name
	Untried  []string        `json:"untried,omitempty"`  // what could not be tried, and why
}

// trial is one run.
type trial struct {
	entry  images.Entry
	dir    string // everything that is written
	tree   string // the unpacked image
	say    func(phase string, took time.Duration)
	result Result
}

// Run tries an image. Whatever happens, it leaves nothing behind. An error is a trial that could not be made; what is wrong
// with the image is in the result. Say is told each phase when it is over.
func Run(ctx context.Context, entry images.Entry, say func(phase string, took time.Duration)) (result Result, err error) {
	host, err := machine.ThisHost()
	if err != nil {
		return Result{}, err
	}
	// Not in memory: a tree may be larger than that, and an overlay needs a disk's file system below it.
	dir, err := os.MkdirTemp(workDir, "cincbake-trial-")
	if err != nil {
		return Result{}, err
	}
	t := &trial{entry: entry, dir: dir, tree: filepath.Join(dir, "tree"), say: say, result: Result{Image: entry.ID}}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return t.result, t.run(ctx, host)
}

// workDir is where trees are unpacked.
const workDir = "/var/tmp"

func (t *trial) run(ctx context.Context, host machine.Host) error {
	for _, phase := range []struct {
		name string
		run  func(context.Context, machine.Host) error
	}{
		{"files", t.files},
		{"unpack", t.unpack},
		{"digest", t.digest},
		{"checks", t.checks},
		{"boot", t.boot},
		{"digest again", t.digest},
	} {
		if phase.name != "files" && !t.hasTree() {
			continue
		}
		began := time.Now()
		if err := phase.run(ctx, host); err != nil {
			return fmt.Errorf("%s: %s: %w", t.entry.ID, phase.name, err)
		}
		took := time.Since(began)
		t.result.Phases = append(t.result.Phases, cluster.Phase{Name: phase.name, Seconds: took.Round(time.Millisecond).Seconds()})
		t.say(phase.name, took)
	}
	t.result.Booted = t.hasTree() && len(t.result.Failures) == 0
	return nil
}

func (t *trial) hasTree() bool {
	_, ok := t.entry.Record.Artefact(images.KindRootfs)
	return ok
}

func (t *trial) fail(check, format string, args ...any) {
	t.result.Failures = append(t.result.Failures, check+": "+fmt.Sprintf(format, args...))
}

// files compares every file of the image with its record.
func (t *trial) files(context.Context, machine.Host) error {
	for _, a := range t.entry.Record.Artefacts {
		switch {
		case a.File == "":
			t.result.Untried = append(t.result.Untried, fmt.Sprintf("%s %s lies in a cloud", a.Kind, a.ID))
		case a.Kind == images.KindRootfs: // unpacking reads it
		default:
			if err := t.entry.Check(a); err != nil {
				t.fail("artefact", "%v", err)
			}
			if !t.hasTree() {
				t.result.Untried = append(t.result.Untried, fmt.Sprintf("%s was not booted: only its bytes were compared; bake with the format rootfs too", a.File))
			}
		}
	}
	return nil
}

func (t *trial) unpack(ctx context.Context, _ machine.Host) error {
	file, artefact, err := t.entry.File(images.KindRootfs)
	if err != nil {
		return err
	}
	if err := os.Mkdir(t.tree, 0o755); err != nil { //nolint:gosec // the / of a machine; the folder around it is closed
		return err
	}
	return machine.UnpackInto(ctx, file, artefact.SHA256, t.tree)
}

// digest compares the tree's content with the record: before anything ran on it, and after machines have booted over it.
func (t *trial) digest(context.Context, machine.Host) error {
	digest, err := images.Digest(t.tree)
	if err == nil && digest != t.entry.Record.ContentDigest {
		t.fail("content-digest", "the tree has %s, its record says %s", digest, t.entry.Record.ContentDigest)
	}
	return err
}

// checkWithin bounds the agent's checks, which take a second.
const checkWithin = 2 * time.Minute

// checks lets the image's own agent look at the image, as it is before the first boot: in a container that can write nowhere
// and reaches nothing.
func (t *trial) checks(ctx context.Context, _ machine.Host) error {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	command := exec.CommandContext(ctx, "systemd-nspawn", "--quiet", "--settings=no", "--register=no", "--keep-unit", "--as-pid2",
		"--directory="+t.tree, "--read-only", "--private-network", "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--pipe",
		"--", role.AgentPath, "verify", "--recipe", role.RecipeFile)
	command.Env = append(os.Environ(), "SYSTEMD_NSPAWN_LOCK=0")
	said, err := command.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !errors.As(err, &exit):
		return err
	}
	for line := range strings.Lines(string(said)) {
		if line = strings.TrimSpace(line); strings.Contains(line, ": ") && !strings.HasPrefix(line, "cincbake-node:") {
			t.result.Failures = append(t.result.Failures, line)
		}
	}
	if len(t.result.Failures) == 0 {
		return fmt.Errorf("the image's agent could not look at it: %w\n%s", err, said)
	}
	return nil
}

// boot boots two machines of the image at once, each over a layer of its own, and compares what they say of themselves.
func (t *trial) boot(ctx context.Context, host machine.Host) (err error) {
	network := machine.Network{Path: filepath.Join(t.dir, "network"), Gateway: netip.MustParsePrefix("10.254.0.1/24")}
	if err := network.Up(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, network.Down()) }()

	var said [2]report
	id := strings.ToLower(rand.Text()[:6])
	var boots sync.WaitGroup
	var failed [2]error
	for i := range said {
		m := machine.Machine{
			Unit: fmt.Sprintf("cincbake-trial-%s-%d", id, i+1), Dir: filepath.Join(t.dir, fmt.Sprint("machine-", i+1)), Tree: t.tree,
			Interface: "eth0", Port: fmt.Sprintf("t%s-%d", id, i+1), Network: network,
		}
		boots.Go(func() { said[i], failed[i] = bootOnce(ctx, host, m, fmt.Sprintf("10.254.0.%d/24", i+2)) })
	}
	boots.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		return err
	}
	t.result.Failures = append(t.result.Failures, said[0].failures()...)
	t.result.Failures = append(t.result.Failures, alike(said[0], said[1])...)
	return nil
}
