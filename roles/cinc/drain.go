package cinc

import (
	"errors"
	"io/fs"

	"github.com/cincbake/cincbake/step"
)

// drainedFile says that an operator wants no new clients on this machine. It outlives a reboot, and not the machine: what
// replaces it was never drained.
const drainedFile = "/var/lib/cincbake/drained"

// Drained tells whether an operator wants no new clients on this machine.
func Drained(files step.Files) (bool, error) {
	_, err := files.Read(drainedFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Drain keeps new clients from this machine, or lets them come again. The balancers learn it by their agent check.
func Drain(files step.Files, drained bool) error {
	if !drained {
		return files.Remove(drainedFile)
	}
	return files.Put(drainedFile, step.Entry{Kind: step.KindFile, Mode: 0o644, Owner: "root", Group: "root"})
}
