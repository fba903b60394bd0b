package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
)

// shown is a row of `secrets show -o json`. It has no place for a value.
type shown struct {
	Name        string       `json:"name"`
	Kind        secrets.Kind `json:"kind"`
	Ends        time.Time    `json:"ends,omitzero"`
	Fingerprint string       `json:"fingerprint,omitempty"`
	Rotation    secrets.Cost `json:"rotation"` // what replacing it costs
}

// revealed is what `secrets show --reveal NAME -o json` prints.
type revealed struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func newSecretsShow() *cobra.Command {
	var (
		spec   specFlag
		output outputFlag
		reveal string
	)
	c := &cobra.Command{
		Use:   "show",
		Short: "List the secrets, or print one of them",
		Long: `Show lists what the bundle holds: names, when certificates end, and fingerprints by which two bundles can be compared. It
prints no value. What can be imported has no fingerprint, since a password that somebody chose could be guessed from one.

With --reveal it prints the value of the one that you name, and nothing else: to read it, or to hand it to another program.
Certificates are no secrets, but are printed the same way.`,
		Example: `  cincbake secrets show
  cincbake secrets show --reveal ca.certificate > ca.pem
  cincbake secrets show --reveal cinc.superuserKey | install -m 600 /dev/stdin pivotal.pem`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			one := c.Flags().Changed("reveal")
			if one && reveal == "" {
				return exit.Errorf(exit.Invalid, "--reveal needs the name of one secret; cincbake secrets show lists them")
			}
			_, _, bundle, err := spec.bundle()
			switch {
			case err != nil:
				return err
			case one:
				return printSecret(c.OutOrStdout(), bundle, reveal, output.json())
			default:
				return printItems(c.OutOrStdout(), bundle.Items(), output.json())
			}
		},
	}
	spec.register(c)
	output.register(c)
	c.Flags().StringVar(&reveal, "reveal", "", "print the value of the secret of this name")
	return c
}

// printSecret prints a secret in the clear, as it was asked to.
func printSecret(out io.Writer, bundle *secrets.Bundle, name string, asJSON bool) error {
	for _, item := range bundle.Items() {
		if item.Name != name {
			continue
		}
		value := item.Value.Reveal()
		if asJSON {
			return printJSON(out, revealed{name, value})
		}
		_, err := fmt.Fprintln(out, strings.TrimSuffix(value, "\n"))
		return err
	}
	return exit.Errorf(exit.Invalid, "%s: no such secret; cincbake secrets show lists them", name)
}

func printItems(out io.Writer, items []secrets.Item, asJSON bool) error {
	list := make([]shown, len(items))
	rows := make([][]string, len(items))
	for i, item := range items {
		row, _ := secrets.RotationOf(item.Name)
		list[i] = shown{item.Name, item.Kind, item.Ends, item.Fingerprint, row.Cost}
		ends := "until rotated"
		if !item.Ends.IsZero() {
			ends = item.Ends.UTC().Format(time.DateOnly)
		}
		fingerprint := item.Fingerprint
		if len(fingerprint) > 19 { // a certificate's in full is for JSON
			fingerprint = fingerprint[:19]
		}
		if fingerprint == "" {
			fingerprint = "-"
		}
		rows[i] = []string{item.Name, string(item.Kind), ends, fingerprint}
	}
	if asJSON {
		return printJSON(out, list)
	}
	return printTable(out, []string{"NAME", "KIND", "ENDS", "FINGERPRINT"}, rows)
}
