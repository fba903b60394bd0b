package step

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Machine is this machine, or a folder that holds one's root file system.
type Machine struct {
	root string // "" for this machine
}

var _ Host = Machine{}

// This returns the machine that the program runs on.
func This() Machine { return Machine{} }

// Folder returns the tree below dir as a host without programs: file steps work, others fail with ErrNoRunner.
func Folder(dir string) Machine { return Machine{root: filepath.Clean(dir)} }

// Read returns what lies at path.
func (m Machine) Read(path string) (Entry, error) {
	at := m.root + path
	info, err := os.Lstat(at)
	if err != nil {
		return Entry{}, err
	}
	entry := Entry{Mode: info.Mode().Perm()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		entry.Owner, entry.Group = m.name("passwd", stat.Uid), m.name("group", stat.Gid)
	}
	switch {
	case info.Mode().IsRegular():
		entry.Kind = KindFile
		entry.Content, err = os.ReadFile(at)
	case info.IsDir():
		entry.Kind = KindDir
	case info.Mode()&fs.ModeSymlink != 0:
		entry.Kind = KindSymlink
		entry.Target, err = os.Readlink(at)
	default:
		return Entry{}, fmt.Errorf("%s is neither file, directory nor link: %v", path, info.Mode().Type())
	}
	return entry, err
}

// Put writes beside and renames, so a reader sees the old entry or the new one, never half of it.
func (m Machine) Put(path string, entry Entry) error {
	at := m.root + path
	uid, gid, err := m.ids(entry)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	switch entry.Kind {
	case KindDir:
		if err := os.Mkdir(at, entry.Mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := os.Chown(at, uid, gid); err != nil {
			return err
		}
		return os.Chmod(at, entry.Mode)
	case KindSymlink:
		beside := beside(at)
		if err := os.Symlink(entry.Target, beside); err != nil {
			return err
		}
		return rename(beside, at)
	case KindFile:
		beside := beside(at)
		if err := write(beside, entry, uid, gid); err != nil {
			_ = os.Remove(beside) // the first error says more
			return err
		}
		return rename(beside, at)
	}
	return fmt.Errorf("%s: unknown kind %q", path, entry.Kind)
}

func beside(at string) string { return fmt.Sprintf("%s.cincbake-%d", at, os.Getpid()) }

func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		_ = os.Remove(from)
		return err
	}
	return nil
}

func write(at string, entry Entry, uid, gid int) error {
	// 0600 until it has its owner: a secret must at no time be readable by others.
	f, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // the Close that counts is below
	if _, err := f.Write(entry.Content); err != nil {
		return err
	}
	if err := f.Chown(uid, gid); err != nil {
		return err
	}
	if err := f.Chmod(entry.Mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil { // a power-off after the rename must not leave an empty file
		return err
	}
	return f.Close()
}

// Remove takes away path and what is below it.
func (m Machine) Remove(path string) error { return os.RemoveAll(m.root + path) }

// List returns the names in a directory.
func (m Machine) List(path string) ([]string, error) {
	entries, err := os.ReadDir(m.root + path)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	sort.Strings(names)
	return names, nil
}

// stopGrace is how long a cancelled program may take to end by itself.
const stopGrace = 5 * time.Second

// Run starts a program with a small, fixed environment.
func (m Machine) Run(ctx context.Context, command Command) (Output, error) {
	if m.root != "" {
		return Output{}, &ExitError{Argv: command.Argv, Status: -1, Err: ErrNoRunner}
	}
	argv := command.Argv
	if command.As != "" {
		argv = append([]string{"runuser", "--user", command.As, "--"}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // running a plan's programs is the purpose
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"}, command.Env...)
	cmd.Stdin = bytes.NewReader(command.Stdin)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := Output{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	if err == nil {
		return out, nil
	}
	failure := &ExitError{Argv: command.Argv, Status: -1, LastRows: tail(out)}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		failure.Err = ctx.Err()
	case errors.As(err, &exit):
		failure.Status = exit.ExitCode()
	default:
		failure.Err = err
	}
	return out, failure
}

// tail returns the last lines of what a program printed: those of standard error, where programs say what went wrong, and
// before them as many of standard output as there is room for, since some say only there why.
func tail(out Output) []string {
	rows := append(lastOf(out.Stdout), lastOf(out.Stderr)...)
	return rows[max(0, len(rows)-lastRows):]
}

func lastOf(text []byte) []string {
	trimmed := strings.TrimSpace(string(text))
	if trimmed == "" {
		return nil
	}
	rows := strings.Split(trimmed, "\n")
	return rows[max(0, len(rows)-lastRows):]
}

// name returns the name that the host's own user database gives a number, which may differ from the running machine's.
func (m Machine) name(database string, id uint32) string {
	number := strconv.FormatUint(uint64(id), 10)
	for fields := range m.accounts(database) {
		if fields[2] == number {
			return fields[0]
		}
	}
	return number
}

func (m Machine) ids(entry Entry) (uid, gid int, err error) {
	if entry.Kind == KindSymlink {
		return 0, 0, nil
	}
	if uid, err = m.id("passwd", entry.Owner); err != nil {
		return 0, 0, err
	}
	gid, err = m.id("group", entry.Group)
	return uid, gid, err
}

func (m Machine) id(database, name string) (int, error) {
	if name == "root" {
		return 0, nil
	}
	for fields := range m.accounts(database) {
		if fields[0] == name {
			return strconv.Atoi(fields[2])
		}
	}
	if id, err := strconv.Atoi(name); err == nil {
		return id, nil
	}
	return 0, fmt.Errorf("no %q in /etc/%s: the image lacks the package or step that makes it", name, database)
}

// accounts walks the rows of /etc/passwd or /etc/group.
func (m Machine) accounts(database string) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		text, err := os.ReadFile(m.root + "/etc/" + database)
		if err != nil {
			return // a tree without users has numbers only
		}
		for row := range strings.Lines(string(text)) {
			fields := strings.Split(strings.TrimSpace(row), ":")
			if len(fields) >= 3 && !yield(fields) {
				return
			}
		}
	}
}
