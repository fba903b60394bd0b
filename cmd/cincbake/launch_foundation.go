package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/launch/foundation"
)

func newLaunchFoundation() *cobra.Command {
	var (
		spec    specFlag
		options foundation.Options
		out     string
	)
	c := &cobra.Command{
		Use:   "foundation",
		Short: "Write a CloudFormation template with what the cluster uses in its account",
		Long: `Foundation writes one CloudFormation template, as YAML: security groups from the cluster's port table, IAM roles with the
policies of "cincbake iam", a load balancer, a bucket and a key; for a database of RDS and a search of Amazon, those too. It
calls nothing: deploy the template, and write its outputs into the spec, under the keys that they name.

With --make-network the network is part of it, divided from network.prefix; otherwise it is the one of network.subnets. What
the template makes costs money once it is deployed.`,
		Example: "  cincbake launch foundation --out foundation.yaml\n" +
			"  aws cloudformation deploy --stack-name prod --template-file foundation.yaml --capabilities CAPABILITY_NAMED_IAM \\\n" +
			"    --parameter-overrides Vpc=vpc-0a1b2c3d4e5f60718",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, resolved, err := spec.load()
			if err != nil {
				return err
			}
			text, err := foundation.Write(resolved, options)
			if err != nil {
				return err
			}
			if len(text) > foundation.MaxBytes {
				fmt.Fprintf(c.ErrOrStderr(), "the template has %d bytes: above %d CloudFormation takes it from a bucket only (aws cloudformation deploy --s3-bucket)\n",
					len(text), foundation.MaxBytes)
			}
			if out == "" {
				_, err := c.OutOrStdout().Write(text)
				return err
			}
			if err := replaceFile(out, text); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "wrote %s\n", out)
			return nil
		},
	}
	spec.register(c)
	c.Flags().BoolVar(&options.Network, "make-network", false, "make the network too, from network.prefix")
	c.Flags().StringVar(&out, "out", "", "the file to write, instead of standard output")
	_ = c.MarkFlagFilename("out", "yaml", "yml")
	return c
}
