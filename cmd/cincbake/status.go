package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/operate"
)

// clusterStatus is what `status -o json` prints. Lacks is what a whole cluster would have besides, Urgent what it will lack
// within days unless somebody sees to it, Warnings what it will lack before long.
type clusterStatus struct {
	Whole    bool                 `json:"whole"`
	Lacks    []string             `json:"lacks"`
	Urgent   []string             `json:"urgent"`
	Warnings []string             `json:"warnings"`
	Nodes    []operate.NodeStatus `json:"nodes"`
}

// watchPause is how long status waits before it asks again.
const watchPause = 2 * time.Second

func newStatus() *cobra.Command {
	var (
		operator operatorFlags
		output   outputFlag
		look     statusLook
	)
	c := &cobra.Command{
		Use:   "status",
		Short: "Ask every machine how it is",
		Long: `Status asks every machine of the cluster and draws one table: how far each has come and why it waits, who is primary and how
far the others are behind, how the quorum, the search cluster and every Cinc Server are, which balancer holds the clients'
address, and how long certificates last. It ends with exit code 1 when the cluster is not whole, or a machine's certificate is
in its last 7 days.

With --watch it asks every two seconds until it is stopped, and with --until-whole until the cluster is whole: exit code 4
when that takes longer.`,
		Example: "  cincbake status\n  cincbake status --lab\n  cincbake status --watch\n  cincbake status --until-whole 10m -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("until-whole") && look.within <= 0 {
				return exit.Errorf(exit.Invalid, "--until-whole %v: name a time that is more than nothing, like 10m", look.within)
			}
			client, err := operator.client(c.Context())
			if err != nil {
				return err
			}
			look.cluster, look.ask, look.pause = client.Cluster, client.Status, watchPause
			look.w, look.json = c.OutOrStdout(), output.json()
			_, look.clear = terminal(look.w)
			return look.run(c.Context())
		},
	}
	operator.register(c)
	output.register(c)
	c.Flags().BoolVar(&look.watch, "watch", false, "ask again every two seconds, until stopped with Ctrl-C")
	c.Flags().DurationVar(&look.within, "until-whole", 0, "ask until the cluster is whole, for so long at most")
	return c
}

// statusLook is one or many looks at a cluster.
type statusLook struct {
	cluster *cluster.Resolved
	ask     func(context.Context) []operate.NodeStatus
	pause   time.Duration

	w     io.Writer
	json  bool
	clear bool // w is a terminal

	watch  bool          // print every look, not just the last one
	within time.Duration // how long to look for a whole cluster; 0: its being whole ends nothing
}

func (l statusLook) run(ctx context.Context) error {
	if l.within > 0 {
		limited, cancel := context.WithTimeout(ctx, l.within)
		defer cancel()
		return l.repeat(ctx, limited)
	}
	if l.watch {
		return l.repeat(ctx, ctx)
	}
	all := l.ask(ctx)
	if err := l.print(all); err != nil {
		return err
	}
	if operate.Whole(all) != nil || len(operate.Urgent(all, time.Now())) > 0 {
		return errTold
	}
	return nil
}

// repeat looks again and again until what it waits for is there, or the limit ends. The limit is the user's own context,
// with a deadline perhaps.
func (l statusLook) repeat(ctx, limit context.Context) error {
	var last []operate.NodeStatus
	for {
		all := l.ask(limit)
		if limit.Err() == nil { // else the answers are about our own hurry
			last = all
			whole := l.within > 0 && operate.Whole(all) == nil
			if l.watch || whole {
				if err := l.print(all); err != nil {
					return err
				}
			}
			if whole {
				return nil
			}
		}
		select {
		case <-limit.Done():
			return l.ended(ctx, last)
		case <-time.After(l.pause):
		}
	}
}

// ended is how repeat ends without what it waited for.
func (l statusLook) ended(ctx context.Context, last []operate.NodeStatus) error {
	switch {
	case ctx.Err() != nil && l.within == 0:
		return nil // watching ends so
	case ctx.Err() != nil:
		return ctx.Err()
	case last == nil:
		return exit.Errorf(exit.TimedOut, "the machines were not all asked within %v", l.within)
	case !l.watch:
		if err := l.print(last); err != nil {
			return err
		}
	}
	return exit.Errorf(exit.TimedOut, "the cluster is not whole after %v", l.within)
}

// print prints one look, all at once: a terminal that is cleared first would flicker.
func (l statusLook) print(all []operate.NodeStatus) error {
	var text bytes.Buffer
	now := time.Now()
	if l.watch && !l.json {
		if l.clear {
			text.WriteString("\x1b[H\x1b[2J")
		}
		text.WriteString(now.Format(time.TimeOnly) + "\n")
	}
	err := l.draw(&text, all, now)
	if l.watch && !l.json && !l.clear {
		text.WriteString("\n")
	}
	_, failed := l.w.Write(text.Bytes())
	return errors.Join(err, failed)
}

func (l statusLook) draw(w io.Writer, all []operate.NodeStatus, now time.Time) error {
	if !l.json {
		return operate.Table(w, l.cluster, all, now)
	}
	lacks := operate.Whole(all)
	report := clusterStatus{
		Whole: lacks == nil, Lacks: []string{}, Nodes: all,
		Urgent: append([]string{}, operate.Urgent(all, now)...), Warnings: append([]string{}, operate.Warnings(all, now)...),
	}
	if lacks != nil {
		report.Lacks = strings.Split(lacks.Error(), "\n")
	}
	return printJSON(w, report)
}
