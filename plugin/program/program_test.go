package program

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/step"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRun(t *testing.T) {
	var said []string
	say := func(line string) { said = append(said, line) }
	must(t, Run(t.Context(), say, []string{"WHAT=that"}, "sh", "-c", `echo one; echo; printf "$WHAT" >&2`))
	if diff := cmp.Diff([]string{"one", "that"}, said); diff != "" {
		t.Error(diff)
	}

	err := Run(t.Context(), func(string) {}, nil, "sh", "-c", "for i in $(seq 99); do echo line $i; done; exit 4")
	var exit *step.ExitError
	if !errors.As(err, &exit) || exit.Status != 4 || len(exit.LastRows) != lastRows || exit.LastRows[lastRows-1] != "line 99" {
		t.Errorf("got %v, want status 4 and the last lines", err)
	}
	if err := Run(t.Context(), say, nil, "/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := Run(ctx, say, nil, "sh", "-c", "sleep 60 & wait"); err == nil {
		t.Error("a stopped program ended well")
	}
	if took := time.Since(began); took > Grace/2 {
		t.Errorf("its children held the stop up for %s", took)
	}
}

func TestRunPassesNoOpenFiles(t *testing.T) {
	// As Packer does: a file that a program which we start would inherit.
	read, write, err := os.Pipe()
	must(t, err)
	defer read.Close()
	defer write.Close()
	_, err = unix.FcntlInt(write.Fd(), unix.F_SETFD, 0)
	must(t, err)
	var said []string
	must(t, Run(t.Context(), func(line string) { said = append(said, line) }, nil, "sh", "-c", "ls /proc/self/fd"))
	if got := strings.Join(said, " "); got != "0 1 2 3" { // 3 is the folder that ls reads
		t.Errorf("the program has files %s", got)
	}
}
