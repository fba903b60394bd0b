// Package program runs programs of the host that bakes.
package program

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/step"
)

const (
	// Grace is how long a stopped program may take to clean up before it is killed.
	Grace = 20 * time.Second
	// lastRows is how many lines of a failed program's output its error shows.
	lastRows = 15
)

// keepFiles keeps the programs that we start from inheriting open files which Packer left to us: with some of those taken,
// mmdebstrap gets numbers above 9, and no shell script of its can name them.
func keepFiles() error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range open {
		if number, err := strconv.Atoi(entry.Name()); err == nil && number > 2 {
			unix.CloseOnExec(number)
		}
	}
	return nil
}

// Run runs a program of the host, passes each line of its output on, and shows the last ones when it fails.
func Run(ctx context.Context, say func(line string), env []string, argv ...string) error {
	return RunFrom(ctx, say, nil, env, argv...)
}

// RunFrom is Run of a program that reads a file as its input; nil: it has none.
func RunFrom(ctx context.Context, say func(line string), stdin *os.File, env []string, argv ...string) error {
	if err := keepFiles(); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Env = append(os.Environ(), env...)
	// A group of its own, so that all that it started hears of the end, and a terminal's Ctrl-C does not reach it before us.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
	command.WaitDelay = Grace
	said := &lines{say: say}
	if stdin != nil { // a nil file in the interface would not be none
		command.Stdin = stdin
	}
	command.Stdout, command.Stderr = said, said
	err := command.Run()
	said.flush()
	if err == nil {
		return nil
	}
	failure := &step.ExitError{Argv: argv, Status: -1, LastRows: said.last}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		failure.Status = exit.ExitCode()
	} else {
		failure.Err = err
	}
	return failure
}

// lines cuts what is written into lines, passes them on and keeps the last ones.
type lines struct {
	mu   sync.Mutex
	say  func(string)
	rest []byte
	last []string
}

func (l *lines) Write(piece []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, piece...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 {
			return len(piece), nil
		}
		l.pass(l.rest[:end])
		l.rest = l.rest[end+1:]
	}
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass(l.rest)
	l.rest = nil
}

func (l *lines) pass(line []byte) {
	text := string(bytes.TrimRight(line, "\r \t"))
	if text == "" {
		return
	}
	if l.last = append(l.last, text); len(l.last) > lastRows {
		l.last = l.last[1:]
	}
	l.say(text)
}
