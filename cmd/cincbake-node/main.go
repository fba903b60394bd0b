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
	"strings"
	"syscall"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/node"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// version is set by the linker.
var version = "dev"

const usage = `cincbake-node is the boot agent of a cincbake machine. Units and the Packer plugin run it; people rarely do.

usage: cincbake-node COMMAND

while baking (root, in the machine that becomes an image):
  bake   --recipe FILE [--site FILE] [--dry-run]
                            install what the recipe asks for, from what the site can reach
  verify --recipe FILE [--lock FILE]
                            check the image, naming each check that fails
  seal   --recipe FILE [--lock FILE] [--report FILE] [--manifest FILE]
                            make it an image: remove what is one machine's own, verify, digest

on a booted machine:
  boot      wire this machine into its cluster (cincbake-boot.service)
  serve     answer peers and the operator (cincbake-agent.service)
  refresh   let programs know what changed around this machine (cincbake-refresh.timer)
  scrub     remove cloud-init's copies of secrets (cincbake-scrub.service)
  take FILE take over new secrets where nobody gets through to the endpoint, from the user-data of this machine's
            new seed (-: standard input)
  reindex   fill the search index anew (ordered by cincbake reindex)
  status    print where the boot stands, as JSON
  doctor [-o json]
            look the machine over; it ends with 1 when something is not well

  version   print the agent's version

exit status: 0 done, 1 failed, 2 bad arguments or files, 4 timed out, 5 unsafe and refused
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(explain(err, os.Stderr))
}

// errUsage is a command line that the agent does not understand.
var errUsage = errors.New("bad arguments; see cincbake-node help")

// errInput is a file that the agent was handed, and can't use.
type errInput struct{ error }

func (e errInput) Unwrap() error { return e.error }

// explain prints what went wrong and returns the exit status.
func explain(err error, out io.Writer) int {
	var refusal *role.Refusal
	var input errInput
	status := 1
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage), errors.As(err, &input):
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
	host := step.This()
	agent := node.Agent{Host: host, Out: stdout, Platform: platformOf(host)}
	switch command, rest := args[0], args[1:]; command {
	case "bake", "verify", "seal":
		return build(ctx, agent, command, rest, stderr)
	case "boot":
		return agent.Boot(ctx)
	case "serve":
		return agent.Serve(ctx)
	case "refresh":
		return agent.Refresh(ctx)
	case "scrub":
		return agent.Scrub(ctx)
	case "take":
		return take(ctx, agent, rest)
	case "reindex":
		return agent.Reindex(ctx)
	case "status":
		status, err := agent.Status()
		if err != nil {
			return err
		}
		return encode(stdout, status)
	case "doctor":
		return examine(ctx, agent, rest, stderr)
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

func take(ctx context.Context, agent node.Agent, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	source := os.Stdin
	if args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // read only
		source = file
	}
	userData, err := io.ReadAll(source)
	if err != nil {
		return err
	}
	return agent.Take(ctx, userData)
}

// errIll ends the doctor when something is not well.
var errIll = errors.New("something is not well")

func examine(ctx context.Context, agent node.Agent, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	form := flags.String("o", "text", "text or json")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || *form != "text" && *form != "json" {
		return errUsage
	}
	findings, err := agent.Doctor(ctx)
	if err != nil {
		return err
	}
	if *form == "json" {
		err = encode(agent.Out, findings)
	}
	for _, f := range findings {
		if *form == "text" {
			fmt.Fprintf(agent.Out, "%-4s  %s: %s\n", f.Mark(), f.Check, f.Detail) //nolint:errcheck // nobody reads it
			if f.Hint != "" {
				fmt.Fprintf(agent.Out, "      → %s\n", f.Hint) //nolint:errcheck // as above
			}
		}
		if !f.OK && err == nil {
			err = errIll
		}
	}
	return err
}

// build runs the commands of a bake, which all start from a recipe.
func build(ctx context.Context, agent node.Agent, command string, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	var recipeFile, siteFile, lockFile, reportFile, manifestFile string
	var dryRun bool
	flags.StringVar(&recipeFile, "recipe", "", "the recipe, as JSON")
	switch command {
	case "bake":
		flags.StringVar(&siteFile, "site", "", "where the bake takes place, as JSON")
		flags.BoolVar(&dryRun, "dry-run", false, "print the steps only")
	case "seal":
		flags.StringVar(&reportFile, "report", "", "where the report goes")
		flags.StringVar(&manifestFile, "manifest", "", "where the manifest goes: what the content digest is over")
		fallthrough
	case "verify":
		flags.StringVar(&lockFile, "lock", "", "what must be installed, as JSON")
	}
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || recipeFile == "" {
		return errUsage
	}
	recipe, err := readRecipe(recipeFile)
	var site cluster.Site
	var lock *cluster.LockedImage
	if err := errors.Join(err, decode(siteFile, &site), decode(lockFile, &lock)); err != nil {
		return errInput{err}
	}
	switch {
	case command == "bake" && dryRun:
		open, plan, err := roles.Bake(recipe, site)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(agent.Out, append(open, plan...).Describe())
		return err
	case command == "bake":
		return agent.Bake(ctx, recipe, site)
	case command == "verify":
		return agent.Verify(ctx, recipe, lock)
	}
	report, manifest, err := agent.Seal(ctx, recipe, lock, version)
	if err != nil {
		return err
	}
	if manifestFile != "" {
		if err := os.WriteFile(manifestFile, []byte(strings.Join(manifest, "\n")+"\n"), 0o644); err != nil { //nolint:gosec // an image holds nothing secret
			return err
		}
	}
	if reportFile == "" {
		return encode(agent.Out, report)
	}
	out, err := os.Create(reportFile)
	if err != nil {
		return err
	}
	return errors.Join(encode(out, report), out.Close())
}

func readRecipe(name string) (cluster.Recipe, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return cluster.Recipe{}, err
	}
	recipe, err := cluster.DecodeRecipe(text)
	if err != nil {
		return recipe, fmt.Errorf("%s: %w", name, err)
	}
	return recipe, nil
}

// decode reads a file of JSON, strictly; without a name there is nothing to read.
func decode(name string, into any) error {
	if name == "" {
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // read only
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func encode(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
