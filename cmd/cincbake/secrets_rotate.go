package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/secrets/store"
)

// rotated is what `secrets rotate -o json` prints after a rotation.
type rotated struct {
	Replaced []string `json:"replaced"`
	Left     []string `json:"left"`
	Then     []string `json:"then"`
	// CA is how far the CA's replacement is, where that is what was done.
	CA secrets.CAStage `json:"ca,omitempty"`
}

// rotation is a row of what it prints without arguments.
type rotation struct {
	Secrets []string     `json:"secrets"`
	Rotate  string       `json:"rotate,omitempty"` // the word for it
	Cost    secrets.Cost `json:"cost"`
	How     string       `json:"how"`
}

func newSecretsRotate() *cobra.Command {
	var (
		spec        specFlag
		output      outputFlag
		allowOutage bool
		proceed     bool
	)
	c := &cobra.Command{
		Use:   "rotate [leaves | operator | ca | passwords | NAME]...",
		Short: "Replace secrets",
		Long: `Rotate replaces secrets in the bundle, and says what is to be done with the machines then: they learn of it when they are
replaced. Without arguments it prints how every secret is replaced, and what that costs.

  leaves     the certificates of all machines, and the one that clients see if the cluster's CA signed it
  operator   the operator's certificate
  passwords  every password and key that can be replaced without an outage; with --allow-outage, all that can be replaced
  ca         the CA, in three steps: run it once to begin, and with --continue for each of the other two
  NAME       one secret, by its name in cincbake secrets show

What cannot be replaced without an outage is refused unless --allow-outage says that you want one. Nothing is replaced unless
everything that was named can be.`,
		Example: `  cincbake secrets rotate
  cincbake secrets rotate leaves operator
  cincbake secrets rotate nodes.api-1
  cincbake secrets rotate ca --continue
  cincbake secrets rotate cinc.bookshelfSecret --allow-outage`,
		RunE: func(c *cobra.Command, words []string) error {
			ca := slices.Contains(words, secrets.WordCA)
			switch {
			case len(words) == 0:
				return printRotations(c.OutOrStdout(), output.json())
			case ca && len(words) > 1:
				return exit.Errorf(exit.Invalid, "the CA is replaced alone, in steps of its own: run cincbake secrets rotate ca")
			case proceed && !ca:
				return exit.Errorf(exit.Invalid, "--continue is for the CA, which alone is replaced in steps")
			}
			wanted, resolved, bundle, err := spec.bundle()
			if err != nil {
				return err
			}
			now := time.Now()
			result := rotated{Replaced: []string{}, Left: []string{}, Then: []string{}}
			if ca {
				next, err := bundle.RotateCA(resolved, proceed, now)
				if err != nil {
					return err
				}
				result.Replaced, result.CA = []string{secrets.WordCA}, bundle.CAStage()
				if next != "" {
					result.Then = []string{next}
				}
			} else {
				done, err := bundle.Rotate(resolved, words, allowOutage, now)
				if err != nil {
					return err
				}
				result.Replaced = append(result.Replaced, done.Replaced...)
				result.Left = append(result.Left, done.Left...)
				result.Then = append(result.Then, done.Then...)
			}
			if err := store.Replace(bundle, wanted.SecretsPath()); err != nil {
				return err
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), result)
			}
			tellRotated(c.ErrOrStderr(), wanted.SecretsPath(), result)
			return nil
		},
	}
	spec.register(c)
	output.register(c)
	c.Flags().BoolVar(&allowOutage, "allow-outage", false, "replace what cannot be replaced without an outage, too")
	c.Flags().BoolVar(&proceed, "continue", false, "take the next step of replacing the CA: all machines were replaced since the last one")
	return c
}

func tellRotated(w io.Writer, path string, result rotated) {
	switch result.CA {
	case secrets.CAIntroduced:
		fmt.Fprintf(w, "%s: made the next CA, for machines to trust; the old one signs\n", path)
	case secrets.CASwitched:
		fmt.Fprintf(w, "%s: the new CA has signed everything anew; machines trust the old one, too\n", path)
	case secrets.CASteady:
		fmt.Fprintf(w, "%s: the old CA is gone; machines that are still to be replaced may keep trusting it until they are\n", path)
	default:
		fmt.Fprintf(w, "%s: replaced %s\n", path, strings.Join(result.Replaced, ", "))
	}
	for _, then := range result.Then {
		fmt.Fprintf(w, "next: %s\n", then)
	}
	if len(result.Left) > 0 {
		fmt.Fprintf(w, "left as they are: %s (cincbake secrets rotate says why)\n", strings.Join(result.Left, ", "))
	}
}

func printRotations(out io.Writer, asJSON bool) error {
	table := secrets.Rotations()
	list := make([]rotation, len(table))
	var text strings.Builder
	for i, row := range table {
		list[i] = rotation{row.Secrets, row.Word, row.Cost, row.How}
		cost := map[secrets.Cost]string{
			secrets.CostNone:   "without an outage",
			secrets.CostOutage: "with an outage",
			secrets.CostNever:  "not from here",
		}[row.Cost]
		fmt.Fprintf(&text, "%s\n  %s: %s\n", strings.Join(row.Secrets, ", "), cost, row.How)
	}
	if asJSON {
		return printJSON(out, list)
	}
	_, err := io.WriteString(out, text.String())
	return err
}
