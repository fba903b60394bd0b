// Ctl stands in for cinc-server-ctl in the tests of cincbake. What it does when, it takes from the table in contract.go.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// label comes before everything that it prints.
const label = "STAND-IN for tests, not Cinc Server: "

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	i := invocation{out: os.Stdout, wait: time.Second, newest: newest, memory: memory(), system: system, owner: goiardiIDs}
	os.Exit(run(ctx, os.Args[1:], i, os.Stderr)) //nolint:forbidigo // this is main
}

// invocation is what a subcommand works with.
type invocation struct {
	layout
	arguments []string
	out       io.Writer
	wait      time.Duration // of the first retry; each further one waits twice as long
	newest    int           // PostgreSQL
	memory    uint64
	system    func(context.Context, ...string) error
	owner     func() (uid, gid int, err error) // of what goiardi reads and writes
}

// say prints a line, labelled.
func (i invocation) say(format string, values ...any) {
	fmt.Fprintf(i.out, label+format+"\n", values...) //nolint:errcheck // a reader who left
}

// exitError ends the program with another status than 1.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// run does one subcommand, and returns the exit status. Whatever fails, Cinc Server's reconfigure returns 1.
func run(ctx context.Context, arguments []string, i invocation, errs io.Writer) int {
	err := errors.New("usage: cinc-server-ctl COMMAND")
	if len(arguments) > 0 {
		err = fmt.Errorf("the stand-in has no command %q", arguments[0])
		if command, ok := commands()[arguments[0]]; ok {
			i.arguments = arguments[1:]
			err = command(ctx, i)
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

func commands() map[string]func(context.Context, invocation) error {
	all := map[string]func(context.Context, invocation) error{
		"version":         func(_ context.Context, i invocation) error { i.say("15.10.91"); return nil },
		"reconfigure":     reconfigure,
		"upgrade":         upgrade,
		"supervise":       supervise,
		"status":          status,
		"reindex":         reindex,
		"show-secret":     showSecret,
		"add-user-key":    userKeys(addUserKey),
		"delete-user-key": userKeys(deleteUserKey),
		"list-user-key":   userKeys(listUserKeys),
		"list-user-keys":  userKeys(listUserKeys),
	}
	for _, verb := range []string{"start", "stop", "restart", "hup", "kill"} {
		all[verb] = func(ctx context.Context, i invocation) error { return control(ctx, i, verb) }
	}
	return all
}

// showSecret is "show-secret GROUP NAME".
func showSecret(_ context.Context, i invocation) error {
	if len(i.arguments) != 2 {
		return errors.New("usage: show-secret GROUP NAME")
	}
	s, err := loadStore(i.store())
	if err != nil {
		return err
	}
	value := s.get(i.arguments[0], i.arguments[1])
	if value == "" {
		return errors.New("no such secret")
	}
	_, err = fmt.Fprintln(i.out, value)
	return err
}

// memory is the machine's, in bytes.
func memory() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return info.Totalram * uint64(info.Unit)
}

// system runs a program.
func system(ctx context.Context, argv ...string) error {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput() //nolint:gosec // our own words
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// line reads one line.
func line(r io.Reader) (string, error) {
	text, err := bufio.NewReader(io.LimitReader(r, 1<<16)).ReadString('\n')
	return strings.TrimSpace(text), err
}
