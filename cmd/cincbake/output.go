package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// outputFlag is -o: the form in which a command prints its data.
type outputFlag struct{ form string }

func (o *outputFlag) register(c *cobra.Command) {
	c.Flags().VarP(o, "output", "o", "print as text or json")
}

func (o *outputFlag) json() bool { return o.form == "json" }

// String returns the form; text where none was asked for.
func (o *outputFlag) String() string {
	if o.form == "" {
		return "text"
	}
	return o.form
}

// Set refuses any other form.
func (o *outputFlag) Set(form string) error {
	if form != "text" && form != "json" {
		return fmt.Errorf("%q is not a form of output: text or json", form)
	}
	o.form = form
	return nil
}

// Type names the value in the help.
func (o *outputFlag) Type() string { return "form" }

func printJSON(w io.Writer, data any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(data)
}

// printTable prints rows below a header in aligned columns.
func printTable(w io.Writer, header []string, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		if _, err := fmt.Fprintln(table, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return table.Flush()
}
