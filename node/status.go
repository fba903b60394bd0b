package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// StatusFile holds where the boot stands. It lies in /run, so no document of an earlier boot or of the image can stay.
const StatusFile = "/run/cincbake/status.json"

const statusFormat = 1

// reporter keeps the status document true and tells people on the console. It is safe for use by several goroutines.
type reporter struct {
	mu     sync.Mutex
	files  step.Files
	out    io.Writer
	status cluster.Status
	// began is when the present phase began, waited how much of it went into waiting for others.
	began       time.Time
	waited      time.Duration
	waitingFrom time.Time
}

func newReporter(files step.Files, out io.Writer) *reporter {
	return &reporter{files: files, out: out, status: cluster.Status{Format: statusFormat, Result: cluster.ResultRunning}}
}

// identify fills in who the machine is, as soon as that is known.
func (r *reporter) identify(m Machine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Cluster, r.status.Node, r.status.Role = m.Document.Cluster.Name, m.Self.Name, m.Self.Role
	r.status.InstanceID = m.instance()
}

func (r *reporter) begin(phase string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Phase, r.status.Result, r.status.Reason, r.status.Hint = phase, cluster.ResultRunning, "", ""
	r.began, r.waited, r.waitingFrom = time.Now(), 0, time.Time{}
	return r.write()
}

// wait says that the machine waits for something outside itself. The same reason is told once.
func (r *reporter) wait(reason, hint string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waitingFrom.IsZero() {
		r.waitingFrom = time.Now()
	}
	if r.status.Result == cluster.ResultWaiting && r.status.Reason == reason {
		return nil
	}
	r.status.Result, r.status.Reason, r.status.Hint = cluster.ResultWaiting, reason, hint
	r.say("waiting: %s", reason)
	return r.write()
}

// resume ends a wait.
func (r *reporter) resume() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waitingFrom.IsZero() {
		return nil
	}
	r.waited += time.Since(r.waitingFrom)
	r.waitingFrom = time.Time{}
	r.status.Result, r.status.Reason, r.status.Hint = cluster.ResultRunning, "", ""
	return r.write()
}

func (r *reporter) end() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	took := time.Since(r.began)
	r.status.Phases = append(r.status.Phases, cluster.Phase{Name: r.status.Phase, Seconds: seconds(took), Waited: seconds(r.waited)})
	r.say("%-8s %6.2f s%s", r.status.Phase, took.Seconds(), waitedFor(r.waited))
	return r.write()
}

// finish says how the boot ended.
func (r *reporter) finish(failure error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Reason, r.status.Hint = "", ""
	var refusal *role.Refusal
	switch {
	case failure == nil:
		r.status.Result = cluster.ResultReady
	case errors.As(failure, &refusal):
		r.status.Result, r.status.Reason, r.status.Hint = cluster.ResultRefused, refusal.Reason, refusal.Hint
	default:
		r.status.Result, r.status.Reason, r.status.Hint = cluster.ResultFailed, failure.Error(), "it is tried again by itself; journalctl -u cincbake-boot"
	}
	r.say("%s %s", r.status.Result, r.status.Reason)
	return r.write()
}

func (r *reporter) say(format string, args ...any) {
	fmt.Fprintf(r.out, "cincbake: "+format+"\n", args...) //nolint:errcheck // a console that can't be written to must not stop a boot
}

func (r *reporter) write() error {
	r.status.Updated = time.Now().UTC().Truncate(time.Millisecond)
	return writeStatus(r.files, r.status)
}

func writeStatus(files step.Files, status cluster.Status) error {
	text, err := json.MarshalIndent(status, "", "  ")
	if err != nil {
		return err
	}
	if err := files.Put("/run/cincbake", step.Entry{Kind: step.KindDir, Mode: 0o755, Owner: "root", Group: "root"}); err != nil {
		return err
	}
	return files.Put(StatusFile, step.Entry{Kind: step.KindFile, Mode: 0o644, Owner: "root", Group: "root", Content: append(text, '\n')})
}

// ReadStatus returns the status document of this boot. A document of another boot, and a missing one, say that the agent
// has not begun.
func ReadStatus(files step.Files, bootID string) (cluster.Status, error) {
	status := cluster.Status{Format: statusFormat, Result: cluster.ResultRunning, Phase: "none", Reason: "the agent has not begun", BootID: bootID}
	text, err := read(files, StatusFile)
	if errors.Is(err, fs.ErrNotExist) {
		return status, nil
	}
	if err != nil {
		return status, err
	}
	var found cluster.Status
	if err := json.Unmarshal(text, &found); err != nil {
		return status, fmt.Errorf("%s: %w", StatusFile, err)
	}
	if found.BootID != bootID {
		return status, nil
	}
	return found, nil
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

func waitedFor(d time.Duration) string {
	if d < 10*time.Millisecond {
		return ""
	}
	return fmt.Sprintf(" (%.2f s of it waiting for others)", d.Seconds())
}

// Status returns where this machine's boot stands.
func (a Agent) Status() (cluster.Status, error) {
	facts, err := gather(a.Host)
	if err != nil {
		return cluster.Status{}, err
	}
	return ReadStatus(a.Host, facts.BootID)
}
