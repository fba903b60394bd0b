package main

import (
	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/operate"
)

func newDoctor() *cobra.Command {
	var (
		operator operatorFlags
		output   outputFlag
	)
	c := &cobra.Command{
		Use:   "doctor [MACHINE]",
		Short: "Have machines look themselves over",
		Long: `Doctor has a machine, or every machine, look itself over: its boot and last refresh, its address, free space, its clock against
its peers', how long its certificate lasts, failed units, and each probe of its role once. What is not well comes with
what to do about it, and the command ends with exit code 1. Nothing is changed.`,
		Example:           "  cincbake doctor\n  cincbake doctor postgres-1\n  cincbake doctor --lab -o json",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: operator.completeMachines,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := operator.client(c.Context())
			if err != nil {
				return err
			}
			all, err := client.Doctor(c.Context(), args...)
			if err != nil {
				return err
			}
			if output.json() {
				err = printJSON(c.OutOrStdout(), all)
			} else {
				err = operate.DoctorTable(c.OutOrStdout(), all)
			}
			for _, e := range all {
				if err == nil && !e.Well() {
					err = errTold
				}
			}
			return err
		},
	}
	operator.register(c)
	output.register(c)
	return c
}
