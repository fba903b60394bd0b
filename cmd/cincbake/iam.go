package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/launch/iam"
)

func newIAM() *cobra.Command {
	var (
		spec               specFlag
		output             outputFlag
		account, partition string
		trust              bool
		workflow           iam.Workflow
	)
	c := &cobra.Command{
		Use:   "iam [ROLE]",
		Short: "Print the least that each role must be allowed on AWS",
		Long: `IAM lists the roles that people, CI and machines have in the cluster's account, or prints what one of them must be allowed, as
a policy. With --trust it prints who may be that role: EC2 for machines, and for the others the workflows of a repository at
GitHub that run on its branch main, or in the environment that is named. It calls nothing.

What neither the spec nor a flag says stands there as a placeholder, like ${AWS::AccountId}: the template of "cincbake launch
foundation" fills it in; IAM itself takes no policy that has one. What is missing is said on standard error.`,
		Example: "  cincbake iam\n  cincbake iam api --account 111122223333\n  cincbake iam bake --trust --account 111122223333 --github acme/chef --environment images",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, resolved, err := spec.load()
			if err != nil {
				return err
			}
			at, err := iam.PlaceOf(resolved, account, partition)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				if trust {
					return exit.Errorf(exit.Invalid, "whose trust policy? Name a role")
				}
				roles := iam.Roles(resolved)
				if output.json() {
					return printJSON(c.OutOrStdout(), roles)
				}
				rows := make([][]string, len(roles))
				for i, role := range roles {
					rows[i] = []string{role.Name, role.What}
				}
				return printTable(c.OutOrStdout(), []string{"ROLE", "WHAT IT DOES"}, rows)
			}
			role, err := iam.Find(resolved, args[0])
			if err != nil {
				return err
			}
			document := iam.For(resolved, role, at)
			switch {
			case trust:
				if document, err = iam.Trust(role, at, workflow); err != nil {
					return err
				}
			case workflow != iam.Workflow{}:
				return exit.Errorf(exit.Invalid, "--github and --environment are about who may be a role: add --trust")
			}
			return printPolicy(c, document)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if _, resolved, err := spec.load(); err == nil && len(args) == 0 {
				for _, role := range iam.Roles(resolved) {
					names = append(names, role.Name+"\t"+role.What)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	spec.register(c)
	output.register(c)
	c.Flags().StringVar(&account, "account", "", "the account's 12 digits (default a placeholder)")
	c.Flags().StringVar(&partition, "partition", "", "the partition, like aws-cn (default that of the spec's region)")
	c.Flags().BoolVar(&trust, "trust", false, "print who may be the role")
	c.Flags().StringVar(&workflow.Repository, "github", "", "with --trust: the repository whose workflows may, as OWNER/REPO")
	c.Flags().StringVar(&workflow.Environment, "environment", "", "with --github: the deployment environment that they must run in")
	return c
}

// printPolicy prints a policy, and says of one that IAM would not take why.
func printPolicy(c *cobra.Command, document iam.Document) error {
	text, err := document.JSON()
	if err != nil {
		return err
	}
	if _, err := c.OutOrStdout().Write(text); err != nil {
		return err
	}
	missing, err := document.Placeholders()
	if err != nil || len(missing) == 0 {
		return err
	}
	_, err = fmt.Fprintf(c.ErrOrStderr(), "placeholders: %s. IAM takes no policy with one: add --account, and the section aws to the spec\n", strings.Join(missing, ", "))
	return err
}
