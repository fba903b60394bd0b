package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
)

// completeLab completes the name of a machine of the lab.
func (f *specFlag) completeLab(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	_, resolved, err := f.load()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return described(labNodes(resolved)), cobra.ShellCompDirectiveNoFileComp
}

// completeAddable completes the name of a machine of the API pool that the lab has not got.
func (f *specFlag) completeAddable(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	_, resolved, err := f.load()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	there := labNodes(resolved)
	rest := slices.DeleteFunc(slices.Clone(everyMachine(resolved)), func(n cluster.Node) bool {
		return slices.ContainsFunc(there, func(other cluster.Node) bool { return other.Name == n.Name })
	})
	return described(rest), cobra.ShellCompDirectiveNoFileComp
}

// labNodes are the machines of the cluster's lab. Only root may read which were added to it: for anybody else, and before
// there is a lab, they are those that it begins with.
func labNodes(r *cluster.Resolved) []cluster.Node {
	if l, err := openLab(r); err == nil {
		if nodes, err := l.Nodes(); err == nil {
			return nodes
		}
	}
	return r.Nodes
}

func described(nodes []cluster.Node) []cobra.Completion {
	words := make([]cobra.Completion, len(nodes))
	for i, n := range nodes {
		words[i] = cobra.CompletionWithDesc(n.Name, string(n.Role))
	}
	return words
}
