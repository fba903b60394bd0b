// Package step turns a machine into what a Plan says: an ordered list of typed, idempotent steps, each with a title and a
// reason, applied to a Host. The same plan is applied for real, printed as a dry run, or recorded in a test.
package step

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Host is what a plan is applied to.
type Host interface {
	Files
	Runner
}

// Files is a host's file tree. Every path is absolute and slash-separated.
type Files interface {
	// Read returns the entry at path with its content. A missing path is fs.ErrNotExist.
	Read(path string) (Entry, error)
	// Put makes path what entry says, whole or not at all: written beside, then renamed. Parents must exist.
	Put(path string, entry Entry) error
	// Remove takes path away, with everything below it. A missing path is no error.
	Remove(path string) error
	// List returns the names below a directory, sorted.
	List(path string) ([]string, error)
}

// Runner runs programs on a host.
type Runner interface {
	// Run returns the program's output. A program that exits with another status than 0 is an *ExitError.
	Run(ctx context.Context, command Command) (Output, error)
}

// Kind is what lies at a path.
type Kind string

// The kinds of entries.
const (
	KindFile    Kind = "file"
	KindDir     Kind = "dir"
	KindSymlink Kind = "symlink"
)

// Entry is a file, a directory or a symbolic link.
type Entry struct {
	Kind    Kind
	Mode    fs.FileMode // permission bits; not of a link
	Owner   string      // a user's name, or its number where the host has no name for it
	Group   string
	Content []byte // of a file
	Target  string // of a link
}

// Command is a program to run. Its arguments never hold a secret: any user of a machine can read them.
type Command struct {
	Argv  []string
	Env   []string // NAME=value, added to the host's own
	Stdin []byte
	// As is the user that runs it; empty is root.
	As string
}

// Output is what a program printed.
type Output struct {
	Stdout []byte
	Stderr []byte
}

// ExitError is a program that failed.
type ExitError struct {
	Argv     []string
	Status   int      // exit status, -1 when it was killed or never started
	LastRows []string // the last lines of what it printed
	Err      error    // why it never started; nil when it ran
}

// lastRows is how many lines of a failed program's output an error shows.
const lastRows = 12

func (e *ExitError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", strings.Join(e.Argv, " "))
	switch {
	case e.Err != nil:
		fmt.Fprint(&b, e.Err)
	default:
		fmt.Fprintf(&b, "exit status %d", e.Status)
	}
	for _, row := range e.LastRows {
		fmt.Fprintf(&b, "\n    | %s", row)
	}
	return b.String()
}

func (e *ExitError) Unwrap() error { return e.Err }

// ExitStatus returns the status of a program that ran and ended by itself with another than 0. Of any other error, such as that it
// was killed or never started, it is 0.
func ExitStatus(err error) int {
	var exit *ExitError
	if errors.As(err, &exit) && exit.Err == nil {
		return max(exit.Status, 0)
	}
	return 0
}

// ErrNoRunner is what a host without programs answers, such as a bare folder.
var ErrNoRunner = errors.New("this host runs no programs")
