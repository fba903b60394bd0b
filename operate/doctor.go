package operate

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// doctorDeadline bounds one examination. Each of a machine's probes takes ten seconds at most.
const doctorDeadline = 100 * time.Second

// Examination is what a machine's doctor found.
type Examination struct {
	Node     string            `json:"node"`
	Findings []cluster.Finding `json:"findings"`
}

// Well tells whether no check failed.
func (e Examination) Well() bool {
	for _, f := range e.Findings {
		if !f.OK {
			return false
		}
	}
	return true
}

// Doctor has the named machines look themselves over, all at once; without a name, every machine, those of the pool that are
// there among them. A machine that does not answer is a finding of its own.
func (c Client) Doctor(ctx context.Context, names ...string) ([]Examination, error) {
	ctx, cancel := context.WithTimeout(ctx, doctorDeadline)
	defer cancel()
	var nodes []cluster.Node
	for _, name := range names {
		node, err := c.node(name)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	if len(names) == 0 {
		nodes = c.machines(ctx)
	}
	all := make([]Examination, len(nodes))
	var asking sync.WaitGroup
	for i, node := range nodes {
		asking.Go(func() {
			all[i].Node = node.Name
			if err := c.call(ctx, node, http.MethodGet, "/v1/doctor", nil, &all[i].Findings); err != nil {
				all[i].Findings = []cluster.Finding{{
					Check: "agent", Detail: err.Error(), Hint: "is the machine on, and its address reached from here? look at its console",
				}}
			}
		})
	}
	asking.Wait()
	return all, nil
}

// DoctorTable draws the findings for people: a line for each, and what to do below those that need it.
func DoctorTable(w io.Writer, all []Examination) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join([]string{"NODE", "CHECK", "", "DETAIL"}, "\t"))
	var hints strings.Builder
	for _, e := range all {
		for _, f := range e.Findings {
			// One line each: a detail of several is a program's output, whose first line says most.
			detail, _, _ := strings.Cut(f.Detail, "\n")
			fmt.Fprintln(table, strings.Join([]string{e.Node, f.Check, f.Mark(), detail}, "\t"))
			if f.Hint != "" {
				fmt.Fprintf(&hints, "%s\n%s\n", fold(e.Node+": "+f.Check+": "+f.Mark()), fold("  → "+f.Hint))
			}
		}
	}
	if err := table.Flush(); err != nil || hints.Len() == 0 {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s", hints.String())
	return err
}
