package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/operate"
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
	// Delivered is what running machines took over, with --apply.
	Delivered []operate.Delivery `json:"delivered,omitempty"`
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
		spec        operatorFlags
		output      outputFlag
		allowOutage bool
		proceed     bool
		apply       bool
		dryRun      bool
	)
	c := &cobra.Command{
		Use:   "rotate [leaves | operator | ca | passwords | NAME]...",
		Short: "Replace secrets",
		Long: `Rotate replaces secrets in the bundle, and says what is to be done with the machines then: they learn of it when they are
replaced, or with --apply while they run. Without arguments it prints how every secret is replaced, and what that costs.

  leaves     the certificates of all machines, and the one that clients see if the cluster's CA signed it
  operator   the operator's certificate
  passwords  every password and key that can be replaced without an outage; with --allow-outage, all that can be replaced
  ca         the CA, in three steps: run it once to begin, and with --continue for each of the other two
  NAME       one secret, by its name in cincbake secrets show

What cannot be replaced without an outage is refused unless --allow-outage says that you want one. Nothing is replaced unless
everything that was named can be.

With --apply the machines of a running, whole cluster take their parts over, certificates and Patroni's password: one at a
time, the primary last, each only when the one before is ready with its own and the cluster is whole again. First every
machine is asked whether it could; if one could not, nothing is replaced. What is interrupted goes on with
"cincbake secrets rotate --apply" alone, which delivers the bundle as it is. What a running machine does not take over is
refused with --apply, with what to do instead.`,
		Example: `  cincbake secrets rotate
  cincbake secrets rotate leaves operator
  cincbake secrets rotate leaves --apply
  cincbake secrets rotate nodes.api-1
  cincbake secrets rotate ca --continue
  cincbake secrets rotate cinc.bookshelfSecret --allow-outage`,
		RunE: func(c *cobra.Command, words []string) error {
			ca := slices.Contains(words, secrets.WordCA)
			switch {
			case len(words) == 0 && !apply:
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
			result, err := rotateIn(bundle, resolved, words, choices{allowOutage, proceed, apply}, time.Now())
			if err != nil {
				return err
			}
			var client operate.Client
			if apply {
				if client, err = spec.clientWith(c.Context(), resolved, bundle); err != nil {
					return err
				}
				would, err := client.CheckDelivery(c.Context(), bundle)
				if err != nil {
					return fmt.Errorf("nothing was replaced: %w", err)
				}
				if dryRun {
					result.Delivered = would
				}
			}
			if !dryRun && len(words) > 0 {
				if err := store.Replace(bundle, wanted.SecretsPath()); err != nil {
					return err
				}
			}
			if !output.json() {
				tellRotated(c.ErrOrStderr(), wanted.SecretsPath(), result, dryRun)
			}
			if apply && !dryRun {
				result.Delivered, err = client.Deliver(c.Context(), bundle, func(d operate.Delivery) {
					if !output.json() {
						tellDelivery(c.ErrOrStderr(), d)
					}
				})
				if err != nil {
					return fmt.Errorf("%w\ngo on with cincbake secrets rotate --apply", err)
				}
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), result)
			}
			return nil
		},
	}
	spec.register(c)
	output.register(c)
	c.Flags().BoolVar(&allowOutage, "allow-outage", false, "replace what cannot be replaced without an outage, too")
	c.Flags().BoolVar(&proceed, "continue", false, "take the next step of replacing the CA: all machines have the last one's")
	c.Flags().BoolVar(&apply, "apply", false, "have the running machines take their parts over, one at a time")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be replaced, and with --apply whether every machine could take it over")
	return c
}

// choices are the flags that change what a rotation may do.
type choices struct{ allowOutage, proceed, apply bool }

// rotateIn replaces secrets in the bundle, which is not saved yet. No words replace nothing.
func rotateIn(bundle *secrets.Bundle, r *cluster.Resolved, words []string, may choices, now time.Time) (rotated, error) {
	result := rotated{Replaced: []string{}, Left: []string{}, Then: []string{}}
	if slices.Contains(words, secrets.WordCA) {
		next, err := bundle.RotateCA(r, may.proceed, now)
		if err != nil {
			return result, err
		}
		result.Replaced, result.CA = []string{secrets.WordCA}, bundle.CAStage()
		switch {
		case next != "" && may.apply:
			result.Then = []string{thenAfterApply(result.CA)}
		case next != "":
			result.Then = []string{next}
		}
		return result, nil
	}
	if len(words) == 0 {
		return result, nil
	}
	var done secrets.Rotated
	var err error
	if may.apply {
		if done, err = bundle.RotateOnline(r, words, now); err == nil {
			done.Then = []string{"cincbake render, for machines that are launched from now on: a seed of before has the old ones"}
		}
	} else {
		done, err = bundle.Rotate(r, words, may.allowOutage, now)
	}
	if err != nil {
		return result, err
	}
	result.Replaced = append(result.Replaced, done.Replaced...)
	result.Left = append(result.Left, done.Left...)
	result.Then = append(result.Then, done.Then...)
	return result, nil
}

// thenAfterApply is what is left between the CA's steps when the machines have theirs.
func thenAfterApply(stage secrets.CAStage) string {
	const proceed = "cincbake secrets rotate ca --continue --apply"
	if stage == secrets.CAIntroduced {
		return "give clients that trust the CA the next one as well (cincbake secrets show --reveal nextCA.certificate), then run " + proceed
	}
	return proceed
}

func tellDelivery(w io.Writer, d operate.Delivery) {
	if len(d.Changed) == 0 {
		fmt.Fprintf(w, "%s: has its own already\n", d.Node)
		return
	}
	fmt.Fprintf(w, "%s: took over %s, %.1f s\n", d.Node, strings.Join(d.Changed, ", "), d.Seconds)
}

func tellRotated(w io.Writer, path string, result rotated, dryRun bool) {
	if dryRun {
		fmt.Fprintf(w, "%s: would replace %s\n", path, cmp.Or(strings.Join(result.Replaced, ", "), "nothing"))
		for _, d := range result.Delivered {
			fmt.Fprintf(w, "%s: would take over %s\n", d.Node, cmp.Or(strings.Join(d.Changed, ", "), "nothing"))
		}
		return
	}
	if len(result.Replaced) == 0 {
		return
	}
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
