package step

import (
	"context"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Recorder is a host in memory. It keeps files and records programs, for tests and for explaining a plan.
type Recorder struct {
	Entries map[string]Entry
	Ran     []Command
	// Answer gives a program's output; nil answers nothing and success.
	Answer func(Command) (Output, error)
}

var _ Host = (*Recorder)(nil)

// NewRecorder returns an empty host.
func NewRecorder() *Recorder { return &Recorder{Entries: map[string]Entry{}} }

// Read returns what lies at path.
func (r *Recorder) Read(path string) (Entry, error) {
	entry, ok := r.Entries[path]
	if !ok {
		return Entry{}, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
	}
	return entry, nil
}

// Put keeps entry at path.
func (r *Recorder) Put(path string, entry Entry) error {
	r.Entries[path] = entry
	return nil
}

// Remove takes away path and what is below it.
func (r *Recorder) Remove(path string) error {
	maps.DeleteFunc(r.Entries, func(at string, _ Entry) bool { return at == path || strings.HasPrefix(at, path+"/") })
	return nil
}

// List returns the names in a directory.
func (r *Recorder) List(dir string) ([]string, error) {
	_, found := r.Entries[dir]
	var names []string
	for at := range r.Entries {
		if path.Dir(at) == dir && at != dir {
			names = append(names, path.Base(at))
		}
	}
	if !found && len(names) == 0 {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	slices.Sort(names)
	return names, nil
}

// Run records the program.
func (r *Recorder) Run(_ context.Context, command Command) (Output, error) {
	r.Ran = append(r.Ran, command)
	if r.Answer == nil {
		return Output{}, nil
	}
	return r.Answer(command)
}

// Files returns every file's path, sorted.
func (r *Recorder) Files() []string {
	var files []string
	for at, entry := range r.Entries {
		if entry.Kind == KindFile {
			files = append(files, at)
		}
	}
	slices.Sort(files)
	return files
}
