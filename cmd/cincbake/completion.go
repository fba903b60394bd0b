package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
)

// completer offers words for a flag or an argument, as the shell's completion asks for them.
type completer = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective)

// fixed offers the same words always.
func fixed[word ~string](words ...word) completer {
	var all []cobra.Completion
	for _, w := range words {
		all = append(all, string(w))
	}
	return cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp)
}

// completeRoles offers every role.
func completeRoles(c *cobra.Command, args []string, begin string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return fixed(cluster.Roles()...)(c, args, begin)
}

// completeRolesOf offers the roles of the cluster that the spec's flag names, less those that are there already.
func completeRolesOf(spec *specFlag) completer {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		_, resolved, err := spec.load()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		rest := slices.DeleteFunc(rolesIn(resolved), func(role string) bool { return slices.Contains(args, role) })
		return rest, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeNodes offers the machines of the cluster that the spec's flag names, those of its pool among them. A spec with
// mistakes offers none: completion is no place for a report.
func completeNodes(spec *specFlag) completer {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		_, resolved, err := spec.load()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for _, node := range everyMachine(resolved) {
			names = append(names, cobra.CompletionWithDesc(node.Name, string(node.Role)))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
