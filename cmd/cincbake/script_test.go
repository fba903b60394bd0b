package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cincbake": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(int(run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})))
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
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"ends": ends, "image": image},
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

// image adds a verified image to a folder of images, of the recipe that ./cluster.yaml gives a role: image DIR ROLE TIME
// PACKAGE=VERSION…
func image(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) < 4 {
		ts.Fatalf("usage: image DIR ROLE TIME PACKAGE=VERSION…")
	}
	spec, err := cluster.Load(ts.MkAbs("cluster.yaml"))
	ts.Check(err)
	resolved, err := spec.Resolve()
	ts.Check(err)
	record := images.Report{Recipe: resolved.Recipe(cluster.Role(args[1])), AgentVersion: "dev", DocumentFormat: 1}.Record()
	record.Created, err = time.Parse(time.RFC3339, args[2])
	ts.Check(err)
	sum := sha256.Sum256([]byte(strings.Join(args, " ")))
	record.ContentDigest = "sha256:" + hex.EncodeToString(sum[:])
	record.Phases = []cluster.Phase{{Name: "base", Seconds: 1.5}, {Name: "bake", Seconds: 12.25}, {Name: "nothing", Seconds: 0.01}}
	for _, held := range args[3:] {
		name, version, _ := strings.Cut(held, "=")
		record.Packages = append(record.Packages, images.Package{Name: name, Version: version, Arch: "amd64"})
	}
	catalogue, err := images.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = catalogue.Add(context.Background(), func(draft *images.Draft) (images.Record, error) {
		return record, draft.Stream(images.KindRootfs, func(w io.Writer) error {
			_, err := io.WriteString(w, "the image of "+args[1])
			return err
		})
	})
	ts.Check(err)
}
