package agent

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cincbake/cincbake/cluster"
)

func TestFrom(t *testing.T) {
	built := fstest.MapFS{
		"bin/cincbake-node_linux_amd64":     {Data: []byte("program")},
		"bin/cincbake-node_aws_linux_amd64": {Data: []byte("for AWS")},
		"bin/cincbake-node_linux_arm64":     {Data: []byte("for arm")},
	}
	for _, test := range []struct {
		platform cluster.Platform
		arch     string
		want     string // empty: there is none
	}{
		{cluster.OnPrem, "amd64", "program"},
		{cluster.AWS, "amd64", "for AWS"},
		{cluster.OnPrem, "arm64", "for arm"},
		{cluster.AWS, "arm64", ""}, // the other one would refuse to boot there
		{cluster.OnPrem, "pdp11", ""},
	} {
		program, err := from(built, test.platform, test.arch)
		if string(program) != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s, %s: got %q, %v", test.platform, test.arch, program, err)
		}
		if err != nil && !strings.Contains(err.Error(), "make plugin") {
			t.Errorf("%s, %s: %v, want it to say make plugin", test.platform, test.arch, err)
		}
	}
}

func TestForUnknownProcessor(t *testing.T) {
	if _, err := For(cluster.OnPrem, "pdp11"); err == nil {
		t.Error("there is an agent for a pdp11")
	}
}
