package main

import (
	"testing"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/launch"
)

func TestBackTo(t *testing.T) {
	for to, want := range map[string]struct {
		to    int64
		image string
		code  exit.Code
	}{
		"":                      {0, "", exit.Done},
		"7":                     {7, "", exit.Done},
		"ami-0a1b2c3d4e5f60718": {0, "ami-0a1b2c3d4e5f60718", exit.Done},
		"0":                     {0, "", exit.Invalid},
		"-1":                    {-1, "", exit.Invalid},
		"v7":                    {0, "", exit.Invalid},
	} {
		var back launch.Rollback
		if err := backTo(&back, to); back.To != want.to || back.Image != want.image || exit.CodeOf(err) != want.code {
			t.Errorf("%q: to %d, %q, %v", to, back.To, back.Image, err)
		}
	}
}
