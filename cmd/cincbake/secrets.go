package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/secrets/store"
)

func newSecrets() *cobra.Command {
	return group("secrets", "Make and keep a cluster's secrets", `A cluster's secrets are one file, the bundle that the spec names under secrets.file. It belongs to the operator; machines get
the part that their role needs. With a name that ends in .age it is encrypted, to the age recipients under
secrets.recipients, and opened with the identity in the file that CINCBAKE_AGE_IDENTITY names (by default
~/.config/cincbake/identity.txt, as age-keygen writes it).`,
		newSecretsInit(), newSecretsShow(), newSecretsCheck(), newSecretsRotate(), newSecretsPush())
}

// bundleOf reads the spec and the bundle that it names.
func (f *specFlag) bundle() (*cluster.Spec, *cluster.Resolved, *secrets.Bundle, error) {
	spec, resolved, err := f.load()
	if err != nil {
		return nil, nil, nil, err
	}
	bundle, err := store.Load(spec.SecretsPath())
	if err != nil {
		return nil, nil, nil, err
	}
	return spec, resolved, bundle, nil
}

// checked is what `secrets check -o json` prints.
type checked struct {
	File     string   `json:"file"`
	Valid    bool     `json:"valid"`
	Problems []string `json:"problems"`
	Warnings []string `json:"warnings"`
}

func newSecretsCheck() *cobra.Command {
	var (
		spec   specFlag
		output outputFlag
	)
	c := &cobra.Command{
		Use:   "check",
		Short: "Check that the secrets are whole, fit the spec, and last",
		Long: `Check reads the bundle, proves that every key belongs to its certificate and every certificate to the CA and its owner, and
holds it against the spec: is there everything that each machine needs, for the addresses that they have now? It
ends with exit code 3 when something is missing or has ended. What ends soon is a warning.`,
		Example: "  cincbake secrets check\n  cincbake secrets check -f staging.yaml -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			wanted, resolved, bundle, err := spec.bundle()
			if err != nil {
				return err
			}
			now := time.Now()
			problem := bundle.Check(resolved, now)
			warnings := warningsOf(bundle, wanted, resolved, now)
			if output.json() {
				result := checked{File: wanted.SecretsPath(), Valid: problem == nil, Problems: []string{}, Warnings: warnings}
				if problem != nil {
					result.Problems = strings.Split(problem.Error(), "\n")
					problem = exit.As(exit.CodeOf(problem), errTold)
				}
				return errors.Join(printJSON(c.OutOrStdout(), result), problem)
			}
			warn(c, warnings)
			if problem == nil {
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s holds all that cluster %s needs\n", wanted.SecretsPath(), resolved.Name)
				return err
			}
			return problem
		},
	}
	spec.register(c)
	output.register(c)
	return c
}

// warningsOf tells what will be a problem one day.
func warningsOf(b *secrets.Bundle, spec *cluster.Spec, r *cluster.Resolved, now time.Time) []string {
	warnings := append([]string{}, b.Warnings(r, now)...)
	if !slices.Equal(b.Recipients, spec.Secrets.Recipients) {
		warnings = append(warnings, "the file is encrypted to other recipients than secrets.recipients: run cincbake secrets init; who is left out can still open older copies")
	}
	return warnings
}

func warn(c *cobra.Command, warnings []string) {
	for _, warning := range warnings {
		fmt.Fprintf(c.ErrOrStderr(), "warning: %s\n", warning)
	}
}
