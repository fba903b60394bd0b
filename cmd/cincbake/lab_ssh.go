package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/lab/machine"
)

func newLabSSH() *cobra.Command {
	var (
		spec   specFlag
		dryRun bool
	)
	c := &cobra.Command{
		Use:   "ssh MACHINE [-- COMMAND…]",
		Short: "Open a root shell in a machine, or run a command there",
		Long: `Ssh enters a machine from its host, as at its console: there need be no ssh server, no key and no network. What runs there is the
machine's root, with no capability that the machine itself has not got.`,
		Example:           "  cincbake lab ssh postgres-1\n  cincbake lab ssh api-1 -- systemctl --failed",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: spec.completeLab,
		RunE: func(c *cobra.Command, args []string) error {
			l, _, resolved, err := spec.labOf()
			if err != nil {
				return err
			}
			p := machine.Program{Argv: args[1:], Stdin: c.InOrStdin(), Stdout: c.OutOrStdout(), Stderr: c.ErrOrStderr(), Term: os.Getenv("TERM")}
			console := len(p.Argv) == 0
			if console {
				p.Argv = shell(c.InOrStdin(), c.OutOrStdout())
			}
			if dryRun {
				fmt.Fprintf(c.ErrOrStderr(), "would run %q in %s of lab %s\n", p.Argv, args[0], l.Name())
				return nil
			}
			if err := requireRoot("the lab's machines are entered"); err != nil {
				return err
			}
			if console && len(resolved.Access.SSH) == 0 {
				fmt.Fprintf(c.ErrOrStderr(), "the console of %s, since the spec gives nobody a key for ssh\n", args[0])
			} else if console {
				fmt.Fprintf(c.ErrOrStderr(), "the console of %s; no ssh takes part\n", args[0])
			}
			return l.Run(c.Context(), args[0], p)
		},
	}
	spec.register(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be run")
	return c
}

// shell is the command line of a shell. For a person it gets a terminal of the machine's own: this host's is no device in
// there, so job control and programs that draw would not find it.
func shell(in io.Reader, out io.Writer) []string {
	_, sees := terminal(out)
	_, types := terminalOf(in)
	if sees && types {
		return []string{"script", "--quiet", "--return", "--command", "exec bash -l", "/dev/null"}
	}
	return []string{"bash", "-l"}
}

// terminalOf is terminal for what is read.
func terminalOf(in io.Reader) (int, bool) {
	file, ok := in.(*os.File)
	if !ok {
		return 0, false
	}
	return terminal(file)
}
