// Command cincbake-node is the boot agent. It is baked into every image: it bakes the image itself, and at boot it wires
// the machine into its cluster.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/node"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// version is set by the linker.
var version = "dev"

const usage = `cincbake-node is the boot agent of a cincbake machine. Units and the Packer plugin run it; people rarely do.

usage: cincbake-node COMMAND

while baking (root, in the machine that becomes an image):
  bake   --recipe FILE [--dry-run]      install what the recipe asks for
  verify --recipe FILE                  check the image, naming each check that fails
  seal   --recipe FILE [--report FILE]  make it an image: remove what is one machine's own, verify, digest

on a booted machine:
  boot      wire this machine into its cluster (cincbake-boot.service)
  serve     answer peers and the operator (cincbake-agent.service)
  scrub     remove cloud-init's copies of secrets (cincbake-scrub.service)
  status    print where the boot stands, as JSON

  version   print the agent's version

exit status: 0 done, 1 failed, 2 bad arguments, 4 timed out, 5 unsafe and refused
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(explain(err, os.Stderr))
}

// errUsage is a command line that the agent does not understand.
var errUsage = errors.New("bad arguments; see cincbake-node help")

// explain prints what went wrong and returns the exit status.
func explain(err error, out io.Writer) int {
	var refusal *role.Refusal
	status := 1
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		status = 2
	case errors.As(err, &refusal):
		status = 5
	case errors.Is(err, context.DeadlineExceeded):
		status = 4
	}
	fmt.Fprintln(out, "cincbake-node:", err)
	if refusal != nil && refusal.Hint != "" {
		fmt.Fprintln(out, "hint:", refusal.Hint)
	}
	return status
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return errUsage
	}
	agent := node.Agent{Host: step.This(), Out: stdout}
	switch command, rest := args[0], args[1:]; command {
	case "bake", "verify", "seal":
		return build(ctx, agent, command, rest, stderr)
	case "boot":
		return agent.Boot(ctx)
	case "serve":
		return agent.Serve(ctx)
	case "scrub":
		return agent.Scrub(ctx)
	case "status":
		status, err := agent.Status()
		if err != nil {
			return err
		}
		return encode(stdout, status)
	case "version":
		_, err := fmt.Fprintln(stdout, version)
		return err
	case "help", "--help", "-h":
		_, err := fmt.Fprint(stdout, usage)
		return err
	default:
		return fmt.Errorf("no command %q: %w", command, errUsage)
	}
}

// build runs the commands of a bake, which all start from a recipe.
func build(ctx context.Context, agent node.Agent, command string, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	recipeFile := flags.String("recipe", "", "the recipe, as JSON")
	reportFile := flags.String("report", "", "where seal writes its report")
	dryRun := flags.Bool("dry-run", false, "print the steps only")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || *recipeFile == "" {
		return errUsage
	}
	text, err := os.ReadFile(*recipeFile)
	if err != nil {
		return err
	}
	recipe, err := cluster.DecodeRecipe(text)
	if err != nil {
		return fmt.Errorf("%s: %w", *recipeFile, err)
	}
	switch {
	case command == "bake" && *dryRun:
		plan, err := node.BakePlan(recipe)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(agent.Out, plan.Describe())
		return err
	case command == "bake":
		return agent.Bake(ctx, recipe)
	case command == "verify":
		return agent.Verify(ctx, recipe)
	}
	report, err := agent.Seal(ctx, recipe, version)
	if err != nil {
		return err
	}
	if *reportFile == "" {
		return encode(agent.Out, report)
	}
	out, err := os.Create(*reportFile)
	if err != nil {
		return err
	}
	return errors.Join(encode(out, report), out.Close())
}

func encode(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
