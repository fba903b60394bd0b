package packer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Grace is how long a cancelled build may take to unmount, end and remove what it made. It is long because being killed in the
// middle is what leaves mounts and instances behind.
func (b Builder) Grace() time.Duration {
	if b == AmazonEBS {
		return 15 * time.Minute // EC2 takes minutes to end an instance, and its volume and group go only then
	}
	return 90 * time.Second
}

// shownRows is how many of its last lines a failed build shows.
const shownRows = 25

// Build is one run of `packer build`.
type Build struct {
	Template string            // path of the template
	Only     string            // the source to build, like cincbake-rootfs.postgres
	Vars     map[string]string // the template's variables
	Log      string            // path of the file that keeps everything Packer prints
	Grace    time.Duration     // how long it may clean up when it is stopped
}

// Args are the arguments of the run, in an order that does not change.
func (b Build) Args() []string {
	args := []string{"build", "-color=false", "-only=" + b.Only}
	names := make([]string, 0, len(b.Vars))
	for name := range b.Vars {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		args = append(args, "-var", name+"="+b.Vars[name])
	}
	return append(args, b.Template)
}

// Command is the run as a person would type it.
func (b Build) Command(p Packer) string {
	words := append([]string{p.Path}, b.Args()...)
	for i, word := range words {
		if strings.ContainsAny(word, " \t\n\"'$`\\*?[](){}<>|&;~#!") {
			words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// Build runs Packer and waits for it. Each step that it announces goes to step, everything to the log; an error holds the
// log's last lines. When ctx ends, Packer is asked to stop and given time to clean up behind itself.
func (p Packer) Build(ctx context.Context, b Build, step func(string)) error {
	log, err := os.Create(b.Log)
	if err != nil {
		return err
	}
	defer log.Close()

	command := p.command(ctx, b.Args()...)
	// A group of its own: a terminal's Ctrl-C reaches us alone, and Packer hears of it once. It must be SIGTERM: Packer
	// ignores a SIGINT that is sent to its process only.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = b.Grace

	said := &listener{log: log, step: step, prefix: "==> " + b.Only + ": "}
	command.Stdout, command.Stderr = said, said
	err = command.Run()
	said.flush()
	switch {
	case err == nil && said.err != nil:
		return fmt.Errorf("the build went well, but its log could not be written: %w", said.err)
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("packer was stopped: %w", context.Cause(ctx))
	default:
		return fmt.Errorf("packer build: %w; the log is %s, it ends with\n%s", err, b.Log, said.last())
	}
}

// listener hears what Packer prints: it logs every line, keeps the last ones, and passes steps on.
type listener struct {
	log    io.Writer
	step   func(string)
	prefix string
	rest   []byte // a line that has not ended yet
	rows   []string
	over   bool  // Packer sums up, which says everything once more
	err    error // the first failure to write the log
}

// Write takes the next piece. exec writes from one goroutine when stdout and stderr are the same writer.
func (l *listener) Write(piece []byte) (int, error) {
	if l.err == nil {
		_, l.err = l.log.Write(piece)
	}
	l.rest = append(l.rest, piece...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 {
			return len(piece), nil
		}
		l.line(string(l.rest[:end]))
		l.rest = l.rest[end+1:]
	}
}

func (l *listener) flush() {
	if len(l.rest) > 0 {
		l.line(string(l.rest))
		l.rest = nil
	}
}

func (l *listener) line(row string) {
	row = strings.TrimRight(row, "\r ")
	if row == "" {
		return
	}
	if l.over = l.over || strings.HasPrefix(row, "==> Wait completed after "); l.over {
		return
	}
	if l.rows = append(l.rows, row); len(l.rows) > shownRows {
		l.rows = l.rows[1:]
	}
	if said, ok := strings.CutPrefix(row, l.prefix); ok && said != "" {
		l.step(said)
	}
}

func (l *listener) last() string {
	var b strings.Builder
	for _, row := range l.rows {
		fmt.Fprintf(&b, "    | %s\n", row)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
