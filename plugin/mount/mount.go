// Package mount mounts overlays, and takes away trees that may have mounts in them.
package mount

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Within is how long the last program in a tree may take to let go of it.
const Within = 10 * time.Second

// RemoveTree unmounts what is mounted at or below dir and then removes it. When something stays mounted, nothing is removed:
// what would be deleted through a mount is somebody else's.
func RemoveTree(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), Within)
	defer cancel()
	if err := UnmountAll(ctx, dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// UnmountAll unmounts everything at or below dir, the innermost first, and checks that nothing is left.
func UnmountAll(ctx context.Context, dir string) error {
	for {
		mounts, err := Below(dir)
		if err != nil || len(mounts) == 0 {
			return err
		}
		var busy error
		for _, mount := range slices.Backward(mounts) {
			if err := unmount(mount); err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: it is gone already
				busy = errors.Join(busy, fmt.Errorf("unmount %s: %w", mount, err))
			}
		}
		if busy == nil {
			continue // look whether something was mounted over
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: end what still uses it (fuser -vm %s), unmount it, then remove %s", busy, mounts[0], dir)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Below returns the mount points at or below dir, in the order in which they were mounted.
func Below(dir string) ([]string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if target, err := filepath.EvalSymlinks(dir); err == nil {
		dir = target
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return points(string(text), dir), nil
}

// points picks those at or below dir out of the kernel's list.
func points(mountinfo, dir string) []string {
	var found []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := unescape(fields[4])
		if point == dir || strings.HasPrefix(point, strings.TrimSuffix(dir, "/")+"/") {
			found = append(found, point)
		}
	}
	return found
}

// unescape undoes the kernel's \040 for a space and its like.
func unescape(field string) string {
	var b strings.Builder
	for i := 0; i < len(field); i++ {
		if field[i] == '\\' && i+3 < len(field) {
			if code, err := strconv.ParseUint(field[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		b.WriteByte(field[i])
	}
	return b.String()
}
