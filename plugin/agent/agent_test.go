package agent

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestFrom(t *testing.T) {
	built := fstest.MapFS{"bin/cincbake-node_linux_amd64": {Data: []byte("program")}}
	if program, err := from(built, "amd64"); err != nil || string(program) != "program" {
		t.Errorf("got %q, %v", program, err)
	}
	if _, err := from(built, "arm64"); err == nil || !strings.Contains(err.Error(), "make plugin") {
		t.Errorf("a build without the agent: %v, want it to say make plugin", err)
	}
}

func TestForUnknownProcessor(t *testing.T) {
	if _, err := For("pdp11"); err == nil {
		t.Error("there is an agent for a pdp11")
	}
}
