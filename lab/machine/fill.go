package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNoDisk is a machine that keeps its state on its root disk, which it shares with this host.
var ErrNoDisk = errors.New("it has no data disk")

// ErrNotMounted is a machine whose data disk is nowhere in its file system yet.
var ErrNotMounted = errors.New("its data disk is not mounted")

// ballast is the file that takes the room on a disk that is to be full.
const ballast = "cincbake-lab-ballast"

// slack is how far from the order a filled disk may be: what the file system keeps about the ballast itself.
const slack = 1 << 20

// Fill takes the room on the machine's data disk until only so many bytes are left for anyone but root. The file system
// hands the room out at once and nothing is written, so it takes no room on the host.
func (m Machine) Fill(ctx context.Context, host Host, leave int64) error {
	at, err := m.mountPoint(host)
	if err != nil {
		return err
	}
	if err := m.Empty(ctx, host); err != nil {
		return err
	}
	free, err := m.free(ctx, host, at)
	if err != nil || free <= leave {
		return err
	}
	file := filepath.Join(at, ballast)
	filling := m.Exec(ctx, host, Program{Argv: []string{"fallocate", "--length=" + strconv.FormatInt(free-leave, 10), file}})
	left, err := m.free(ctx, host, at)
	if err != nil {
		return errors.Join(filling, err)
	}
	// When the room ends too early, fallocate fails, and what it got stays taken: as full as was asked for.
	if left > leave+slack {
		return errors.Join(filling, fmt.Errorf("filling %s: %d bytes are left, not %d", at, left, leave))
	}
	return nil
}

// Empty takes back what Fill did.
func (m Machine) Empty(ctx context.Context, host Host) error {
	at, err := m.mountPoint(host)
	if err != nil {
		return err
	}
	return m.Exec(ctx, host, Program{Argv: []string{"rm", "-f", filepath.Join(at, ballast)}})
}

// free is how many bytes of a file system are left for anyone but root.
func (m Machine) free(ctx context.Context, host Host, at string) (int64, error) {
	var output bytes.Buffer
	if err := m.Exec(ctx, host, Program{Argv: []string{"stat", "--file-system", "--format=%a %S", at}, Stdout: &output}); err != nil {
		return 0, err
	}
	var blocks, size int64
	if _, err := fmt.Sscan(output.String(), &blocks, &size); err != nil {
		return 0, fmt.Errorf("stat says %q of %s: %w", output.String(), at, err)
	}
	return blocks * size, nil
}

// mountPoint returns where the machine has mounted its data disk.
func (m Machine) mountPoint(host Host) (at string, err error) {
	if m.Disk == "" {
		return "", ErrNoDisk
	}
	err = m.inside(host, func(proc string) error {
		mounts, err := os.ReadFile(filepath.Join(proc, "mountinfo"))
		if err != nil {
			return err
		}
		if at = mountedAt(string(mounts), m.Disk); at == "" {
			return ErrNotMounted
		}
		return nil
	})
	return at, err
}

// mountedAt reads from a machine's mountinfo where the whole of a device is mounted; empty: nowhere.
func mountedAt(mounts, device string) string {
	for line := range strings.Lines(mounts) {
		// id parent major:minor root MOUNT-POINT options [tags] - TYPE SOURCE OPTIONS, see proc(5)
		before, after, _ := strings.Cut(line, " - ")
		mount, filesystem := strings.Fields(before), strings.Fields(after)
		if len(mount) < 5 || len(filesystem) < 2 || filesystem[1] != device || mount[3] != "/" {
			continue
		}
		return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(mount[4])
	}
	return ""
}
