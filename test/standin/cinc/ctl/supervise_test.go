package main

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
)

// Services are started, stopped, restarted and told to read again, as with runit.
func TestObey(t *testing.T) {
	var hups atomic.Int32
	began := make(chan struct{})
	s := &service{
		run: func(ctx context.Context) error { began <- struct{}{}; <-ctx.Done(); return nil },
		hup: func() error { hups.Add(1); return nil },
	}
	all := map[string]*service{"nginx": s}
	for _, step := range []struct {
		order, want string
		begins      bool
	}{
		{"status nginx", "ok down", false},
		{"start nginx", "ok run", true},
		{"start nginx", "ok run", false},
		{"hup nginx", "ok run", false},
		{"restart nginx", "ok run", true},
		{"kill nginx", "ok run", true},
		{"stop nginx", "ok down", false},
		{"stop nginx", "ok down", false},
		{"status apache", "no service apache", false},
		{"eat nginx", "no verb eat", false},
	} {
		if got := obey(t.Context(), all, step.order); !strings.HasPrefix(got, step.want) {
			t.Errorf("%s: %q, want %q", step.order, got, step.want)
		}
		if step.begins {
			<-began
		}
	}
	if hups.Load() != 1 {
		t.Errorf("read again %d times, want 1", hups.Load())
	}
}

// What is external can't be managed; that ends with the status that the real one has.
func TestControlOfExternal(t *testing.T) {
	var printed bytes.Buffer
	i := invocation{layout: layout{t.TempDir()}, out: &printed}
	if exit := run(t.Context(), []string{"start", "postgresql"}, i, &printed); exit != 8 || !strings.Contains(printed.String(), "cannot be managed") {
		t.Errorf("exit %d: %s", exit, printed.String())
	}
	if exit := run(t.Context(), []string{"hup", "nginx"}, i, &printed); exit != 1 || !strings.Contains(printed.String(), "the supervisor does not run") {
		t.Errorf("exit %d: %s", exit, printed.String())
	}
	if exit := run(t.Context(), []string{"backup"}, i, &printed); exit != 1 || !strings.Contains(printed.String(), "has no command") {
		t.Errorf("exit %d: %s", exit, printed.String())
	}
}
