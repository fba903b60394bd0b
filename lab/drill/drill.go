// Package drill strikes a running cluster while clients write to it, and measures what they notice: how long no write was
// acknowledged, and how many acknowledged writes are lost.
package drill

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cincbake/cincbake/internal/exit"
)

// Cluster says how the cluster is.
type Cluster interface {
	// Primary returns the node that is primary now.
	Primary(ctx context.Context) (string, error)
	// DatabaseRole returns what a node is to the database: primary, sync_standby or replica.
	DatabaseRole(ctx context.Context, node string) (string, error)
	// WaitWhole waits until nothing is missing of the cluster.
	WaitWhole(ctx context.Context, within time.Duration) error
}

// Drill is what is done, and how often.
type Drill struct {
	Cluster Cluster
	Store   Store
	Fault   Fault
	// Node is who is struck; empty: who is primary then.
	Node string
	Runs int // 0 is 1
}

const (
	writerCount   = 4
	steady        = 3 * time.Second // of writing before the strike, and after the cluster is whole again
	firstDeadline = 30 * time.Second
	flowDeadline  = 2 * time.Minute
	wholeDeadline = 5 * time.Minute
)

// Result is what one run came to.
type Result struct {
	Fault string `json:"fault"`
	Node  string `json:"node"` // who was struck
	// GapSeconds is the longest time in which no writer had a write acknowledged.
	GapSeconds float64 `json:"gapSeconds"`
	// Acknowledged writes were promised to last. Lost counts those of them that are gone.
	Acknowledged  int    `json:"acknowledged"`
	Lost          int    `json:"lost"`
	PrimaryBefore string `json:"primaryBefore"`
	PrimaryAfter  string `json:"primaryAfter"`
	// FullRedundancySeconds is how long after the strike the cluster was whole again.
	FullRedundancySeconds float64 `json:"fullRedundancySeconds"`
	// NodeRole is what the struck node is to the database at the end; empty for a node that runs none.
	NodeRole string `json:"nodeRole,omitempty"`
}

// Report is what all runs came to.
type Report struct {
	Results []Result `json:"results"`
	// MedianGapSeconds and WorstGapSeconds are of the runs' gaps.
	MedianGapSeconds float64 `json:"medianGapSeconds"`
	WorstGapSeconds  float64 `json:"worstGapSeconds"`
	Acknowledged     int     `json:"acknowledged"`
	Lost             int     `json:"lost"`
}

// Run does the drill. Heard hears of each run that is done. A lost write is no error of the drill: the report says it.
func (d Drill) Run(ctx context.Context, heard func(Result)) (Report, error) {
	var results []Result
	for range max(d.Runs, 1) {
		result, err := d.once(ctx)
		if err != nil {
			return summarise(results), fmt.Errorf("drill %s, run %d: %w", d.Fault.Name, len(results)+1, err)
		}
		results = append(results, result)
		heard(result)
	}
	return summarise(results), nil
}

func (d Drill) once(ctx context.Context) (Result, error) {
	if err := d.Cluster.WaitWhole(ctx, wholeDeadline); err != nil {
		return Result{}, fmt.Errorf("before the strike: %w", err)
	}
	primary, err := d.Cluster.Primary(ctx)
	if err != nil {
		return Result{}, err
	}
	result := Result{Fault: d.Fault.Name, Node: d.Node, PrimaryBefore: primary}
	if result.Node == "" {
		result.Node = primary
	}
	if err := d.Store.Prepare(ctx); err != nil {
		return Result{}, fmt.Errorf("preparing a table to write to: %w", err)
	}
	w := startWriters(ctx, d.Store, writerCount)
	err = d.strike(ctx, w, &result)
	rows, gap := w.halt()
	if err != nil {
		return Result{}, err
	}
	there, err := d.Store.Rows(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("reading back what was written: %w", err)
	}
	result.GapSeconds, result.Acknowledged, result.Lost = gap.Seconds(), len(rows), lost(rows, there)
	return result, nil
}

// strike is the drill while the writers write.
func (d Drill) strike(ctx context.Context, w *writers, result *Result) error {
	if err := w.untilFlowing(ctx, time.Time{}, firstDeadline); err != nil {
		return fmt.Errorf("before the strike: %w", err)
	}
	if err := pause(ctx, steady); err != nil {
		return err
	}
	began := time.Now()
	if err := d.Fault.Strike(ctx, result.Node); err != nil {
		return fmt.Errorf("striking %s: %w", result.Node, err)
	}
	if err := w.untilFlowing(ctx, time.Now(), flowDeadline); err != nil {
		return exit.As(exit.TimedOut, err)
	}
	if d.Fault.Mend != nil {
		if err := d.Fault.Mend(ctx, result.Node); err != nil {
			return fmt.Errorf("mending %s: %w", result.Node, err)
		}
	}
	if err := d.Cluster.WaitWhole(ctx, wholeDeadline); err != nil {
		return fmt.Errorf("after the strike: %w", err)
	}
	result.FullRedundancySeconds = time.Since(began).Seconds()
	var err error
	if result.PrimaryAfter, err = d.Cluster.Primary(ctx); err != nil {
		return err
	}
	if result.NodeRole, err = d.Cluster.DatabaseRole(ctx, result.Node); err != nil {
		return err
	}
	return pause(ctx, steady)
}

func summarise(results []Result) Report {
	report := Report{Results: results}
	var gaps []float64
	for _, r := range results {
		gaps = append(gaps, r.GapSeconds)
		report.Acknowledged += r.Acknowledged
		report.Lost += r.Lost
	}
	if len(gaps) > 0 {
		report.MedianGapSeconds, report.WorstGapSeconds = median(gaps), slices.Max(gaps)
	}
	return report
}

// median returns the middle value, or the mean of the middle two.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// WriteText writes a result for people.
func (r Result) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, `%s of %s
  without an acknowledged write   %.1f s
  acknowledged writes lost        %d of %d
  primary                         %s, was %s
  %-31s %s
  whole again after               %.1f s
`, r.Fault, r.Node, r.GapSeconds, r.Lost, r.Acknowledged, r.PrimaryAfter, r.PrimaryBefore,
		r.Node+" is now", orNone(r.NodeRole), r.FullRedundancySeconds)
	return err
}

// WriteText writes what several runs came to for people.
func (r Report) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%d runs: %.1f s without an acknowledged write in the middle, %.1f s at worst; %d of %d acknowledged writes lost\n",
		len(r.Results), r.MedianGapSeconds, r.WorstGapSeconds, r.Lost, r.Acknowledged)
	return err
}

func orNone(role string) string {
	if role == "" {
		return "no database node"
	}
	return role
}
