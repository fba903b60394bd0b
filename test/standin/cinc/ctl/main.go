// Ctl stands in for cinc-server-ctl in the tests of cincbake. What it does when, it takes from the table in contract.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// label comes before everything that it prints.
const label = "STAND-IN for tests, not Cinc Server: "

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// exitError ends the program with another status than 1.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// run does one subcommand, and returns the exit status.
func run(ctx context.Context, arguments []string, out, errs io.Writer) int {
	err := errors.New("usage: cinc-server-ctl COMMAND")
	if len(arguments) > 0 {
		err = fmt.Errorf("no command %q", arguments[0])
		if command, ok := commands()[arguments[0]]; ok {
			err = command(ctx, invocation{layout: layout{}, arguments: arguments[1:], out: out})
		}
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(errs, "%s%v\n", label, err) //nolint:errcheck // nowhere left to say so
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return 1
}

// invocation is what a subcommand works with.
type invocation struct {
	layout
	arguments []string
	out       io.Writer
}

// say prints a line, labelled.
func (i invocation) say(format string, values ...any) {
	fmt.Fprintf(i.out, label+format+"\n", values...) //nolint:errcheck // a reader who left
}

func commands() map[string]func(context.Context, invocation) error {
	return map[string]func(context.Context, invocation) error{
		"version": func(_ context.Context, i invocation) error { i.say("15.10.91"); return nil },
	}
}
