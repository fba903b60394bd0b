package cinc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cincbake/cincbake/step"
)

// trust adds certificate authorities to the bundle that Cinc Server brings along: its programs do not read the system's.
type trust struct{ certificates []byte }

var _ step.Action = trust{}

const (
	trustBegin = "# cincbake: begin\n"
	trustEnd   = "# cincbake: end\n"
)

func (t trust) Check(_ context.Context, run *step.Run) (bool, error) {
	entry, err := t.read(run)
	return err == nil && bytes.Equal(entry.Content, t.edit(entry.Content)), err
}

func (t trust) Apply(_ context.Context, run *step.Run) error {
	entry, err := t.read(run)
	if err != nil {
		return err
	}
	entry.Content = t.edit(entry.Content)
	if err := run.Touch(trustFile); err != nil {
		return err
	}
	return run.Put(trustFile, entry)
}

func (trust) String() string { return "add to " + trustFile }

func (trust) read(run *step.Run) (step.Entry, error) {
	entry, err := run.Read(trustFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is not where this release knows its bundle of certificate authorities: %w", PackageName, err)
	}
	return entry, err
}

// edit returns the bundle with our part at its end, in place of an earlier one.
func (t trust) edit(bundle []byte) []byte {
	before, rest, found := bytes.Cut(bundle, []byte(trustBegin))
	if found {
		_, after, _ := bytes.Cut(rest, []byte(trustEnd))
		before = append(bytes.Clone(before), after...)
	}
	var b bytes.Buffer
	b.Write(before)
	if len(before) > 0 && !bytes.HasSuffix(before, []byte("\n")) {
		b.WriteByte('\n')
	}
	b.WriteString(trustBegin)
	b.Write(t.certificates)
	b.WriteString(trustEnd)
	return b.Bytes()
}
