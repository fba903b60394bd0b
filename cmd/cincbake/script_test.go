package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cincbake": func() {
			s := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}
			os.Exit(int(run(context.Background(), os.Args[1:], s)))
		},
	})
}

// update rewrites what the scripts compare with, and fails: a rewrite is to be looked at.
var update = flag.Bool("update", false, "rewrite the expected output in testdata/script")

// TestScripts runs the command as its users do. Each script of testdata/script is one story.
func TestScripts(t *testing.T) {
	if *update {
		t.Cleanup(func() { t.Error("rewrote testdata/script: read the difference, then run without -update") })
	}
	testscript.Run(t, testscript.Params{
		UpdateScripts:       *update,
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"ends": ends},
	})
}

// ends runs a program and checks its exit code, which the scripts' own exec does not tell: ends CODE PROGRAM [ARG…]
func ends(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) < 2 {
		ts.Fatalf("usage: ends CODE PROGRAM [ARG…]")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var failed *exec.ExitError
		if !errors.As(err, &failed) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		code = failed.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s ended with %d, want %s", args[1], code, args[0])
	}
}
