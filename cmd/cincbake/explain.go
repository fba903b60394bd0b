package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/explain"
	"github.com/cincbake/cincbake/internal/exit"
)

// explainFlags are what `explain` reads besides the machine's name.
type explainFlags struct {
	spec   specFlag
	output outputFlag
	file   string
	role   string
	facts  string
	other  string
	join   bool
}

func newExplain() *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use:   "explain [MACHINE]",
		Short: "Show everything that a machine will be, before it exists",
		Long: `Explain runs the machine's own boot on a host in memory and prints what comes out: every file with its owner and content, the
units, each step with its reason, the ports and which secrets the machine holds. It needs no bundle of secrets, and what
would be one is redacted. Lines that another machine of the same kind may have otherwise are marked with the fact that
they follow from.

With --diff it compares with another spec instead: what each changed field does to running machines, and which lines
change on which machine. It ends with exit code 5 when a change is refused, since data would be lost.`,
		Example: `  cincbake explain postgres-1
  cincbake explain postgres-1 --file /etc/patroni/config.yml
  cincbake explain --role api --facts large.json
  cincbake explain --diff cluster.new.yaml`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: f.complete,
		RunE: func(c *cobra.Command, args []string) error {
			before, err := f.side(f.spec)
			if err != nil {
				return err
			}
			assume, err := f.assume()
			if err != nil {
				return err
			}
			if f.other != "" {
				return f.compare(c, before, assume, args)
			}
			node, err := f.node(before.Cluster, args)
			if err != nil {
				return exit.As(exit.Invalid, err)
			}
			machine, err := explain.Of(before.Cluster, node, assume)
			if err != nil {
				return err
			}
			return f.show(c, machine)
		},
	}
	// -f is the spec everywhere; --file is a machine's file here.
	c.Flags().StringVarP(&f.spec.path, "spec", "f", defaultSpec, "the cluster's spec")
	_ = c.MarkFlagFilename("spec", "yaml", "yml")
	f.output.register(c)
	c.Flags().StringVar(&f.file, "file", "", "print this file's content and nothing else")
	c.Flags().StringVar(&f.role, "role", "", "the first machine of a role, instead of one by name")
	c.Flags().StringVar(&f.facts, "facts", "", "a JSON file with the machine's facts: hostname, addresses, memoryBytes, cpus, bootId")
	c.Flags().StringVar(&f.other, "diff", "", "compare with this spec")
	c.Flags().BoolVar(&f.join, "join", false, "take a cluster that is formed already, which the machine joins")
	_ = c.MarkFlagFilename("facts", "json")
	_ = c.MarkFlagFilename("diff", "yaml", "yml")
	c.MarkFlagsMutuallyExclusive("file", "diff")
	return c
}

func (f *explainFlags) side(spec specFlag) (explain.Side, error) {
	wanted, resolved, err := spec.load()
	return explain.Side{Spec: wanted, Cluster: resolved}, err
}

// assume reads the facts, strictly: a misspelt one would be taken for zero.
func (f *explainFlags) assume() (explain.Assume, error) {
	assume := explain.Assume{Join: f.join}
	if f.facts == "" {
		return assume, nil
	}
	text, err := os.ReadFile(f.facts)
	if err != nil {
		return assume, exit.As(exit.Invalid, err)
	}
	var facts cluster.Facts
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&facts); err != nil {
		return assume, exit.Errorf(exit.Invalid, "%s: %w: it holds hostname, addresses, memoryBytes, cpus and bootId", f.facts, err)
	}
	assume.Facts = &facts
	return assume, nil
}

// node is the machine that the command is about.
func (f *explainFlags) node(r *cluster.Resolved, args []string) (cluster.Node, error) {
	switch {
	case len(args) == 1 && f.role != "":
		return cluster.Node{}, fmt.Errorf("a machine's name and --role exclude each other")
	case len(args) == 1:
		return explain.Find(r, args[0])
	case f.role == "":
		return cluster.Node{}, fmt.Errorf("name a machine, a role with --role, or another spec with --diff")
	}
	nodes := r.NodesOf(cluster.Role(f.role))
	if len(nodes) == 0 {
		return cluster.Node{}, fmt.Errorf("cluster %s has no machine of role %q", r.Name, f.role)
	}
	return nodes[0], nil
}

func (f *explainFlags) show(c *cobra.Command, machine *explain.Machine) error {
	if f.file == "" {
		if f.output.json() {
			return printJSON(c.OutOrStdout(), machine)
		}
		return machine.WriteText(c.OutOrStdout())
	}
	file, err := machine.File(f.file)
	if err != nil {
		return exit.As(exit.Invalid, err)
	}
	if f.output.json() {
		return printJSON(c.OutOrStdout(), file)
	}
	_, err = fmt.Fprint(c.OutOrStdout(), file.Content)
	return err
}

func (f *explainFlags) compare(c *cobra.Command, before explain.Side, assume explain.Assume, args []string) error {
	after, err := f.side(specFlag{f.other})
	if err != nil {
		return err
	}
	names := args
	if f.role != "" {
		node, err := f.node(before.Cluster, args)
		if err != nil {
			return exit.As(exit.Invalid, err)
		}
		names = []string{node.Name}
	}
	difference, err := explain.Between(before, after, assume, names...)
	if err != nil {
		return exit.As(exit.Invalid, err)
	}
	if f.output.json() {
		err = printJSON(c.OutOrStdout(), difference)
	} else {
		err = difference.WriteText(c.OutOrStdout())
	}
	if err == nil && difference.Refused() {
		return exit.Errorf(exit.Unsafe, "a change is refused: it would lose data")
	}
	return err
}

// complete offers the names of the cluster's machines.
func (f *explainFlags) complete(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	_, resolved, err := f.spec.load()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, n := range resolved.Nodes {
		names = append(names, n.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
