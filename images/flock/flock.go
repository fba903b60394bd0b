//go:build unix

// Package flock holds locks between processes that end with their holder, however it ends: flock(2) on a file or folder.
package flock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
)

// Lock is a held lock.
type Lock struct{ file *os.File }

// Exclusive waits until nobody else holds a lock on the file, which it makes when it is missing.
func Exclusive(ctx context.Context, name string) (*Lock, error) {
	return wait(ctx, name, syscall.LOCK_EX)
}

// Shared waits until nobody holds an exclusive lock on the file, which it makes when it is missing.
func Shared(ctx context.Context, name string) (*Lock, error) {
	return wait(ctx, name, syscall.LOCK_SH)
}

// ErrHeld is what Try answers when somebody else holds the lock.
var ErrHeld = errors.New("somebody else holds the lock")

// Try takes an exclusive lock on a file or folder that exists, or answers ErrHeld at once. Whoever works in a folder holds
// its lock, so a folder that can be locked was left behind.
func Try(name string) (*Lock, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return try(f, syscall.LOCK_EX)
}

// Release gives the lock up. The file stays.
func (l *Lock) Release() error { return l.file.Close() }

func wait(ctx context.Context, name string, how int) (*Lock, error) {
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		lock, err := try(f, how)
		if !errors.Is(err, ErrHeld) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the lock %s: %w", name, context.Cause(ctx))
		case <-time.After(200*time.Millisecond + rand.N(100*time.Millisecond)): //nolint:gosec // jitter, not a secret
		}
	}
}

// try locks an open file, or closes it.
func try(f *os.File, how int) (*Lock, error) {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return &Lock{file: f}, nil
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			err = ErrHeld
		}
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
}
