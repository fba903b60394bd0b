package step

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// File is a regular file with exactly this content.
type File struct {
	Path    string
	Mode    fs.FileMode
	Owner   string // root when empty
	Group   string // the owner's name when empty
	Content []byte
	// Reader is a program that must accept the content before the file has its name: whatever starts by itself later, after a
	// crash or at the next boot, finds a file that it can read. The path of a file beside is added as its last argument.
	Reader []string
}

// Directory is a directory; what is below it stays.
type Directory struct {
	Path  string
	Mode  fs.FileMode
	Owner string
	Group string
}

// Symlink is a symbolic link.
type Symlink struct {
	Path   string
	Target string
}

// Absent is a path that must not exist. Path may hold a pattern of path.Match in its last element.
type Absent struct{ Path string }

// Emptied is a directory that must hold nothing.
type Emptied struct{ Path string }

var (
	_ Action = File{}
	_ Action = Directory{}
	_ Action = Symlink{}
	_ Action = Absent{}
	_ Action = Emptied{}
)

func owners(owner, group string) (string, string) {
	if owner == "" {
		owner = "root"
	}
	if group == "" {
		group = owner
	}
	return owner, group
}

func (f File) entry() Entry {
	owner, group := owners(f.Owner, f.Group)
	return Entry{Kind: KindFile, Mode: f.Mode, Owner: owner, Group: group, Content: f.Content}
}

// Check compares content, mode and owner.
func (f File) Check(_ context.Context, run *Run) (bool, error) { return same(run, f.Path, f.entry()) }

// Apply writes the file and its missing parents.
func (f File) Apply(ctx context.Context, run *Run) error {
	if err := f.accepted(ctx, run); err != nil {
		return err
	}
	return put(run, f.Path, f.entry())
}

// accepted has the reader look at the content, which lies beside meanwhile.
func (f File) accepted(ctx context.Context, run *Run) error {
	if len(f.Reader) == 0 {
		return nil
	}
	beside := f.Path + ".new"
	if err := parents(run, path.Dir(beside)); err != nil {
		return err
	}
	if err := run.Put(beside, f.entry()); err != nil {
		return err
	}
	_, err := run.Run(ctx, Command{Argv: append(slices.Clone(f.Reader), beside)})
	return errors.Join(err, run.Remove(beside))
}

func (f File) String() string {
	text := fmt.Sprintf("write %s (%04o)", f.Path, f.Mode)
	if len(f.Reader) > 0 {
		text += ", once it is accepted by " + strings.Join(f.Reader, " ")
	}
	return text
}

func (d Directory) entry() Entry {
	owner, group := owners(d.Owner, d.Group)
	return Entry{Kind: KindDir, Mode: d.Mode, Owner: owner, Group: group}
}

// Check compares mode and owner.
func (d Directory) Check(_ context.Context, run *Run) (bool, error) {
	return same(run, d.Path, d.entry())
}

// Apply makes the directory and its missing parents, or corrects its mode and owner.
func (d Directory) Apply(_ context.Context, run *Run) error { return put(run, d.Path, d.entry()) }

func (d Directory) String() string { return fmt.Sprintf("make directory %s (%04o)", d.Path, d.Mode) }

func (l Symlink) entry() Entry { return Entry{Kind: KindSymlink, Target: l.Target} }

// Check compares the target.
func (l Symlink) Check(_ context.Context, run *Run) (bool, error) {
	return same(run, l.Path, l.entry())
}

// Apply makes the link, in place of whatever file or link is there.
func (l Symlink) Apply(_ context.Context, run *Run) error { return put(run, l.Path, l.entry()) }

func (l Symlink) String() string { return fmt.Sprintf("link %s to %s", l.Path, l.Target) }

// Check tells whether nothing matches.
func (a Absent) Check(_ context.Context, run *Run) (bool, error) {
	found, err := a.matches(run)
	return len(found) == 0, err
}

// Apply removes every match.
func (a Absent) Apply(_ context.Context, run *Run) error {
	found, err := a.matches(run)
	if err != nil {
		return err
	}
	return removeAll(run, found)
}

func (a Absent) String() string { return "remove " + a.Path }

func (a Absent) matches(run *Run) ([]string, error) {
	names, err := run.List(path.Dir(a.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range names {
		matched, err := path.Match(path.Base(a.Path), name)
		if err != nil {
			return nil, fmt.Errorf("pattern %s: %w", a.Path, err)
		}
		if matched {
			found = append(found, path.Join(path.Dir(a.Path), name))
		}
	}
	return found, nil
}

// Check tells whether the directory is missing or empty.
func (e Emptied) Check(_ context.Context, run *Run) (bool, error) {
	names, err := run.List(e.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return len(names) == 0, err
}

// Apply removes what is in the directory.
func (e Emptied) Apply(_ context.Context, run *Run) error {
	names, err := run.List(e.Path)
	if err != nil {
		return err
	}
	for i, name := range names {
		names[i] = path.Join(e.Path, name)
	}
	return removeAll(run, names)
}

func (e Emptied) String() string { return "empty " + e.Path }

func removeAll(run *Run, paths []string) error {
	for _, p := range paths {
		if err := run.Touch(p); err != nil {
			return err
		}
		if err := run.Remove(p); err != nil {
			return err
		}
	}
	return nil
}

// same tells whether the host already holds want at path.
func same(run *Run, at string, want Entry) (bool, error) {
	got, err := run.Read(at)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if got.Kind != want.Kind {
		return false, nil
	}
	if want.Kind == KindSymlink {
		return got.Target == want.Target, nil
	}
	return got.Mode == want.Mode && got.Owner == want.Owner && got.Group == want.Group &&
		bytes.Equal(got.Content, want.Content), nil
}

// put makes path what entry says, its missing parents being root's and 0755.
func put(run *Run, at string, entry Entry) error {
	if err := parents(run, path.Dir(at)); err != nil {
		return err
	}
	if err := run.Touch(at); err != nil {
		return err
	}
	return run.Put(at, entry)
}

func parents(run *Run, dir string) error {
	if dir == "/" || dir == "." {
		return nil
	}
	_, err := run.List(dir) // follows links: /lib may be one
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := parents(run, path.Dir(dir)); err != nil {
		return err
	}
	return run.Put(dir, Entry{Kind: KindDir, Mode: 0o755, Owner: "root", Group: "root"})
}
