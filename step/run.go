package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Run is one application of a plan to a host: the host, and which files have changed on it that programs have not read since.
type Run struct {
	Host
	journal string // the file that keeps changed; "": nothing outlives the run
	// changed are the paths that changed, each with its readers since: whoever was told to read it again.
	changed map[string][]string
}

// NewRun begins an application to host.
func NewRun(host Host) *Run { return &Run{Host: host, changed: map[string][]string{}} }

// Resume begins an application that goes on where earlier ones ended, and if they were killed: what those changed and nobody
// has read since is in the file journal. It must not outlive the programs, which read everything when they start.
func Resume(host Host, journal string) (*Run, error) {
	run := NewRun(host)
	run.journal = journal
	entry, err := host.Read(journal)
	if errors.Is(err, fs.ErrNotExist) {
		return run, nil
	}
	if err == nil {
		err = json.Unmarshal(entry.Content, &run.changed)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", journal, err)
	}
	return run, nil
}

// Touch records that path changes. Whoever changes it says so before: one that is cut off in between has nothing to lose.
func (r *Run) Touch(path string) error {
	if readers, touched := r.changed[path]; touched && len(readers) == 0 {
		return nil
	}
	r.changed[path] = nil
	return r.keep()
}

// unread tells whether one of the paths changed, and reader has not been told since.
func (r *Run) unread(reader fmt.Stringer, paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		readers, touched := r.changed[path]
		return touched && !slices.Contains(readers, reader.String())
	})
}

// told records that reader reads the paths again. What one program has read, another may still have to.
func (r *Run) told(reader fmt.Stringer, paths []string) error {
	if !r.unread(reader, paths) {
		return nil
	}
	for _, path := range paths {
		if readers, touched := r.changed[path]; touched && !slices.Contains(readers, reader.String()) {
			r.changed[path] = append(readers, reader.String())
		}
	}
	return r.keep()
}

// Settle forgets what changed, once the whole plan is applied: everybody has been told.
func (r *Run) Settle() error {
	clear(r.changed)
	if r.journal == "" {
		return nil
	}
	return r.Remove(r.journal)
}

func (r *Run) keep() error {
	if r.journal == "" {
		return nil
	}
	text, err := json.Marshal(r.changed)
	if err != nil {
		return err
	}
	return r.Put(r.journal, Entry{Kind: KindFile, Mode: 0o600, Owner: "root", Group: "root", Content: append(text, '\n')})
}
