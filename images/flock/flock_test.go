//go:build unix

package flock

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

func TestExclusive(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	first, err := Exclusive(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for what, take := range map[string]func(context.Context, string) (*Lock, error){"exclusive": Exclusive, "shared": Shared} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := take(ctx, name); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s beside an exclusive one: %v", what, err)
		}
		cancel()
	}
	released := make(chan error, 1)
	go func() { released <- first.Release() }()
	second, err := Exclusive(t.Context(), name) // waits for the release
	if err := errors.Join(err, <-released); err != nil {
		t.Fatal(err)
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
}

func TestShared(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	for range 2 {
		lock, err := Shared(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = lock.Release() })
	}
	if _, err := Try(name); !errors.Is(err, ErrHeld) {
		t.Errorf("a shared lock is held, yet: %v", err)
	}
}

func TestTry(t *testing.T) {
	dir := t.TempDir()
	lock, err := Try(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Try(dir); !errors.Is(err, ErrHeld) {
		t.Errorf("locked twice: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := Try(filepath.Join(dir, "none")); err == nil || errors.Is(err, ErrHeld) {
		t.Errorf("a missing folder: %v", err)
	}
	if lock, err = Try(dir); err != nil {
		t.Fatalf("a released lock is not free: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}
