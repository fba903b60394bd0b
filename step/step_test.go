package step_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/step"
)

// me returns the owner and group of files that the test makes: plans may name users by number.
func me(t *testing.T, host step.Machine) (owner, group string) {
	t.Helper()
	entry, err := host.Read("/")
	if err != nil {
		t.Fatal(err)
	}
	return entry.Owner, entry.Group
}

func TestFileStepsAreIdempotent(t *testing.T) {
	dir := t.TempDir()
	host := step.Folder(dir)
	owner, group := me(t, host)
	if err := os.WriteFile(filepath.Join(dir, "gone-1"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "empty", "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	plan := step.Plan{
		{Title: "dir", Action: step.Directory{Path: "/d", Mode: 0o750, Owner: owner, Group: group}},
		{Title: "file", Action: step.File{Path: "/d/f", Mode: 0o600, Owner: owner, Group: group, Content: []byte("text")}},
		{Title: "link", Action: step.Symlink{Path: "/d/l", Target: "f"}},
		{Title: "gone", Action: step.Absent{Path: "/gone-*"}},
		{Title: "emptied", Action: step.Emptied{Path: "/empty"}},
	}
	for run, want := range []int{len(plan), 0} {
		changed, err := plan.Apply(context.Background(), host, nil)
		if err != nil {
			t.Fatal(err)
		}
		if changed != want {
			t.Errorf("run %d changed %d steps, want %d", run+1, changed, want)
		}
	}
	got, err := host.Read("/d/f")
	if err != nil {
		t.Fatal(err)
	}
	want := step.Entry{Kind: step.KindFile, Mode: 0o600, Owner: owner, Group: group, Content: []byte("text")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	names, err := host.List("/")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"d", "empty"}, names); diff != "" {
		t.Errorf("left in the root (-want +got):\n%s", diff)
	}
}

func TestEachDifferenceIsMended(t *testing.T) {
	host := step.Folder(t.TempDir())
	owner, group := me(t, host)
	file := step.File{Path: "/f", Mode: 0o600, Owner: owner, Group: group, Content: []byte("right")}
	for name, wrong := range map[string]step.Entry{
		"content": {Kind: step.KindFile, Mode: 0o600, Owner: owner, Group: group, Content: []byte("wrong")},
		"mode":    {Kind: step.KindFile, Mode: 0o644, Owner: owner, Group: group, Content: []byte("right")},
		"kind":    {Kind: step.KindSymlink, Target: "elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := host.Put("/f", wrong); err != nil {
				t.Fatal(err)
			}
			changed, err := step.Plan{{Action: file}}.Apply(context.Background(), host, nil)
			if err != nil || changed != 1 {
				t.Fatalf("changed %d, %v", changed, err)
			}
			got, err := host.Read("/f")
			if err != nil || got.Mode != 0o600 || string(got.Content) != "right" {
				t.Errorf("left %+v, %v", got, err)
			}
		})
	}
}

// A file has its name only once its reader has accepted what will be in it, and then nothing else is left.
func TestFileIsAcceptedFirst(t *testing.T) {
	dir := t.TempDir()
	host := accepting{step.Folder(dir)}
	owner, group := me(t, host.Machine)
	for _, content := range []string{"right", "wrong"} {
		file := step.File{Path: "/d/f", Mode: 0o600, Owner: owner, Group: group, Content: []byte(content), Reader: []string{"grep", "--quiet", "right"}}
		if _, err := (step.Plan{{Action: file}}).Apply(t.Context(), host, nil); (err == nil) != (content == "right") {
			t.Errorf("%s: %v", content, err)
		}
		got, err := host.Read("/d/f")
		if names, _ := host.List("/d"); err != nil || string(got.Content) != "right" || len(names) != 1 {
			t.Errorf("%s: it is %q now, beside it lies %v; %v", content, got.Content, names, err)
		}
	}
}

// accepting is a folder whose programs are this machine's.
type accepting struct{ step.Machine }

func (a accepting) Run(ctx context.Context, c step.Command) (step.Output, error) {
	last := len(c.Argv) - 1
	entry, err := a.Read(c.Argv[last])
	if err != nil {
		return step.Output{}, err
	}
	return step.This().Run(ctx, step.Command{Argv: c.Argv[:last], Stdin: entry.Content})
}

// A program that fails shows which step it was, why the step is there, and what the program last said.
func TestFailureNamesStepReasonAndLastLines(t *testing.T) {
	plan := step.Plan{{Title: "Try", Reason: "to see it fail", Action: step.Exec{Command: step.Command{
		Argv: []string{"sh", "-c", "for i in $(seq 30); do echo row $i >&2; done; exit 3"},
	}}}}
	_, err := plan.Apply(context.Background(), step.This(), nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"Try", "to see it fail", "exit status 3", "row 30"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error lacks %q:\n%v", part, err)
		}
	}
	if strings.Contains(err.Error(), "row 1\n") {
		t.Error("error shows everything, not the last lines")
	}
	var exit *step.ExitError
	if !errors.As(err, &exit) || exit.Status != 3 {
		t.Errorf("status %+v", exit)
	}
}

func TestPlanStopsAtTheFirstFailure(t *testing.T) {
	host := step.NewRecorder()
	host.Answer = func(c step.Command) (step.Output, error) {
		return step.Output{}, &step.ExitError{Argv: c.Argv, Status: 1}
	}
	var seen []string
	plan := step.Plan{
		{Title: "first", Action: step.File{Path: "/a", Mode: 0o644}},
		{Title: "second", Action: step.Exec{Command: step.Command{Argv: []string{"false"}}}},
		{Title: "third", Action: step.File{Path: "/c", Mode: 0o644}},
	}
	changed, err := plan.Apply(context.Background(), host, func(e step.Event) { seen = append(seen, e.Step.Title) })
	if err == nil || changed != 1 {
		t.Errorf("changed %d, %v", changed, err)
	}
	if diff := cmp.Diff([]string{"first", "second"}, seen); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	if _, ok := host.Entries["/c"]; ok {
		t.Error("the step after the failure ran")
	}
}

func TestCancelledProgramEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := step.This().Run(ctx, step.Command{Argv: []string{"sleep", "60"}})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestExec(t *testing.T) {
	act := step.Command{Argv: []string{"act"}}
	for name, test := range map[string]struct {
		exec   step.Exec
		exists string
		want   bool
	}{
		"always":              {step.Exec{Command: act}, "", true},
		"made already":        {step.Exec{Command: act, Creates: "/made"}, "/made", false},
		"not made yet":        {step.Exec{Command: act, Creates: "/made"}, "", true},
		"nothing it is after": {step.Exec{Command: act, After: []string{"/conf"}}, "/conf", false},
	} {
		t.Run(name, func(t *testing.T) {
			host := step.NewRecorder()
			if test.exists != "" {
				host.Entries[test.exists] = step.Entry{Kind: step.KindFile}
			}
			if _, err := (step.Plan{{Action: test.exec}}).Apply(context.Background(), host, nil); err != nil {
				t.Fatal(err)
			}
			ran := len(host.Ran) > 0 && host.Ran[len(host.Ran)-1].Argv[0] == "act"
			if ran != test.want {
				t.Errorf("ran: %v, want %v", ran, test.want)
			}
		})
	}
}

func TestUnit(t *testing.T) {
	watched := step.File{Path: "/conf", Mode: 0o644, Content: []byte("new")}
	for name, test := range map[string]struct {
		unit  step.Unit
		state string
		files step.Plan
		want  string // the last systemctl verb that changes something; empty: none
	}{
		"runs":                      {step.Unit{Name: "u", State: step.Started}, "active", nil, ""},
		"does not run":              {step.Unit{Name: "u", State: step.Started}, "inactive", nil, "restart"},
		"comes up, and may":         {step.Unit{Name: "u", State: step.Started, NoWait: true}, "activating", nil, ""},
		"runs with an old file":     {step.Unit{Name: "u", State: step.Started, Watch: []string{"/conf"}}, "active", step.Plan{{Action: watched}}, "restart"},
		"reads an old file again":   {step.Unit{Name: "u", State: step.Started, Reload: true, Watch: []string{"/conf"}}, "active", step.Plan{{Action: watched}}, "reload-or-restart"},
		"runs, could reload":        {step.Unit{Name: "u", State: step.Started, Reload: true, Watch: []string{"/conf"}}, "active", nil, ""},
		"is down, could reload":     {step.Unit{Name: "u", State: step.Started, Reload: true}, "failed", nil, "reload-or-restart"},
		"enabled already":           {step.Unit{Name: "u", State: step.Enabled}, "enabled", nil, ""},
		"to be enabled":             {step.Unit{Name: "u", State: step.Enabled}, "disabled", nil, "enable"},
		"to be disabled":            {step.Unit{Name: "u", State: step.Disabled}, "enabled", nil, "disable"},
		"can't be enabled anyway":   {step.Unit{Name: "u", State: step.Disabled}, "static", nil, ""},
		"to be masked":              {step.Unit{Name: "u", State: step.Masked}, "disabled", nil, "mask"},
		"masked already":            {step.Unit{Name: "u", State: step.Masked}, "masked", nil, ""},
		"masked counts as disabled": {step.Unit{Name: "u", State: step.Disabled}, "masked", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			host := step.NewRecorder()
			host.Answer = func(step.Command) (step.Output, error) { return step.Output{Stdout: []byte(test.state + "\n")}, nil }
			plan := append(test.files, step.Step{Action: test.unit})
			if _, err := plan.Apply(context.Background(), host, nil); err != nil {
				t.Fatal(err)
			}
			var verb string
			for _, c := range host.Ran {
				if c.Argv[1] != "show" && c.Argv[1] != "is-enabled" {
					verb = c.Argv[1]
				}
			}
			if verb != test.want {
				t.Errorf("systemctl %q, want %q", verb, test.want)
			}
		})
	}
}

// dying is a host that dies at a moment: once it has written a file, or before it runs a program.
type dying struct {
	*step.Recorder
	at string // the file's path, or the program's last argument
}

var errDied = errors.New("died")

func (d *dying) Put(path string, entry step.Entry) error {
	if err := d.Recorder.Put(path, entry); err != nil || path != d.at {
		return err
	}
	return errDied
}

func (d *dying) Run(ctx context.Context, c step.Command) (step.Output, error) {
	if c.Argv[len(c.Argv)-1] == d.at {
		return step.Output{}, errDied
	}
	return d.Recorder.Run(ctx, c)
}

// Wherever an application ends, the one that resumes it tells whoever was not told, and nobody twice.
func TestResumeTellsWhoeverWasNotTold(t *testing.T) {
	unit := func(name string) step.Step {
		return step.Step{Action: step.Unit{Name: name, State: step.Started, Watch: []string{"/conf", "/other"}}}
	}
	plan := step.Plan{
		{Action: step.File{Path: "/conf", Mode: 0o644, Content: []byte("new")}},
		unit("first"),
		{Action: step.Exec{Command: step.Command{Argv: []string{"between"}}}},
		unit("second"),
		{Action: step.Exec{Command: step.Command{Argv: []string{"hup"}}, After: []string{"/conf"}}},
	}
	const all = "restart first, restart second, hup"
	for name, test := range map[string]struct {
		diesAt, before, after string
	}{
		"as soon as the file changed": {"/conf", "", all},
		"before anybody was told":     {"first", "", all},
		"between two that are told":   {"between", "restart first", "restart second, hup"},
		"before the last":             {"hup", "restart first, restart second", "hup"},
		"when everybody was told":     {"", all, ""},
	} {
		t.Run(name, func(t *testing.T) {
			host := &dying{step.NewRecorder(), test.diesAt}
			host.Answer = func(step.Command) (step.Output, error) { return step.Output{Stdout: []byte("active\n")}, nil }
			apply := func() (told string, err error) {
				host.Ran = nil
				run, err := step.Resume(host, "/journal")
				if err != nil {
					t.Fatal(err)
				}
				_, err = plan.Continue(t.Context(), run, nil)
				for _, c := range host.Ran {
					if verb := c.Argv[1%len(c.Argv)]; verb == "restart" || verb == "hup" {
						told += ", " + strings.TrimPrefix(strings.Join(c.Argv, " "), "systemctl ")
					}
				}
				if err == nil {
					err = run.Settle()
				}
				return strings.TrimPrefix(told, ", "), err
			}
			if told, err := apply(); told != test.before || (err == nil) != (test.diesAt == "") {
				t.Errorf("told %q, want %q; %v", told, test.before, err)
			}
			test.diesAt, host.at = "", ""
			if told, err := apply(); told != test.after || err != nil {
				t.Errorf("then told %q, want %q; %v", told, test.after, err)
			}
			if _, left := host.Entries["/journal"]; left {
				t.Error("all were told, and the journal is still there")
			}
		})
	}
}

// A journal that nobody can read is no reason to tell nobody.
func TestResumeNeedsItsJournal(t *testing.T) {
	host := step.NewRecorder()
	host.Entries["/journal"] = step.Entry{Kind: step.KindFile, Content: []byte("{")}
	if _, err := step.Resume(host, "/journal"); err == nil || !strings.Contains(err.Error(), "/journal") {
		t.Errorf("%v", err)
	}
}

// A unit that nobody waits for is told, and then its old process is gone, however long that takes: a question to the program
// would be answered by it.
func TestUnitOutlivesNoOldProcess(t *testing.T) {
	for name, test := range map[string]struct {
		processes []string // the main process each time that somebody looks; the first time is before the restart
		looks     int
	}{
		"runs, and takes a while to end": {[]string{"41", "41", "41", "0"}, 4},
		"runs, and is back at once":      {[]string{"41", "42"}, 2},
		"does not run":                   {[]string{"0", "0", "0"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			host := step.NewRecorder()
			looked := 0
			host.Answer = func(c step.Command) (step.Output, error) {
				if !slices.Contains(c.Argv, "--property=MainPID") {
					return step.Output{}, nil
				}
				looked++
				return step.Output{Stdout: []byte(test.processes[looked-1] + "\n")}, nil
			}
			unit := step.Unit{Name: "u", State: step.Started, NoWait: true}
			if _, err := (step.Plan{{Action: unit}}).Apply(t.Context(), host, nil); err != nil || looked != test.looks {
				t.Errorf("looked %d times, want %d; %v", looked, test.looks, err)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	host := step.NewRecorder()
	host.Answer = func(step.Command) (step.Output, error) { return step.Output{Stdout: []byte("41\n")}, nil }
	_, err := step.Plan{{Action: step.Unit{Name: "u", State: step.Started, NoWait: true}}}.Apply(ctx, host, nil)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "41") {
		t.Errorf("a process that never ends: %v", err)
	}
}

func TestPackages(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		err    error
		want   bool
	}{
		"all there":     {"ii \nii \n", nil, false},
		"one removed":   {"ii \nrc \n", nil, true},
		"one never had": {"ii \n", &step.ExitError{Status: 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			host := step.NewRecorder()
			host.Answer = func(c step.Command) (step.Output, error) {
				if c.Argv[0] == "dpkg-query" {
					return step.Output{Stdout: []byte(test.answer)}, test.err
				}
				return step.Output{}, nil
			}
			changed, err := step.Plan{{Action: step.Packages{Names: []string{"a", "b"}}}}.Apply(context.Background(), host, nil)
			if err != nil || (changed == 1) != test.want {
				t.Errorf("changed %d, %v; want installed: %v", changed, err, test.want)
			}
		})
	}
}

func TestFolderRunsNoPrograms(t *testing.T) {
	_, err := step.Folder(t.TempDir()).Run(context.Background(), step.Command{Argv: []string{"true"}})
	if !errors.Is(err, step.ErrNoRunner) {
		t.Errorf("%v", err)
	}
}
