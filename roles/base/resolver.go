package base

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/cincbake/cincbake/step"
)

const resolverFile = "/etc/resolv.conf"

// forgetResolver removes the name server of the place where an image was baked. A machine elsewhere would ask it in vain, for
// most of a minute, before its boot writes the file. Where a bake has mounted the file of its host over it, what is below stays.
type forgetResolver struct{}

var _ step.Action = forgetResolver{}

func (forgetResolver) Check(ctx context.Context, run *step.Run) (bool, error) {
	mounts, err := run.Read("/proc/self/mountinfo") // proc(5): the fifth field of a row is the mount point
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	for row := range strings.Lines(string(mounts.Content)) {
		if fields := strings.Fields(row); len(fields) > 4 && fields[4] == resolverFile {
			return true, nil
		}
	}
	return step.Absent{Path: resolverFile}.Check(ctx, run)
}

func (forgetResolver) Apply(ctx context.Context, run *step.Run) error {
	return step.Absent{Path: resolverFile}.Apply(ctx, run)
}

func (forgetResolver) String() string { return step.Absent{Path: resolverFile}.String() }
