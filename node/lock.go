package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cincbake/cincbake/roles/role"
)

// lockFile is held by whoever changes this machine: a boot or a refresh. The kernel gives it back when its holder ends,
// however it ends.
const lockFile = "/run/cincbake/lock"

// errBusy tells that somebody else changes this machine now.
var errBusy = errors.New("a boot or another refresh changes this machine now")

// tryLock takes the lock, or says errBusy.
func tryLock(path string) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as the status beside it, for everybody to read
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor is small
	if err != nil {
		_ = file.Close() // the first error says more
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errBusy
		}
		return nil, err
	}
	return func() { _ = file.Close() }, nil
}

// lockPause is about how long to wait for a lock before trying again. A refresh mostly takes less than a second.
const lockPause = 100 * time.Millisecond

// awaitLock takes the lock once it is free.
func awaitLock(ctx context.Context, path string) (release func(), err error) {
	for {
		release, err := tryLock(path)
		if !errors.Is(err, errBusy) {
			return release, err
		}
		if err := role.Pause(ctx, lockPause); err != nil {
			return nil, err
		}
	}
}
