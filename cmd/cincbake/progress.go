package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/operate"
)

// progress tells a person what is going on, line by line with the time since it began. It may be used from several goroutines.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	began time.Time
}

func newProgress(w io.Writer) *progress { return &progress{w: w, began: time.Now()} }

// say prints what happens to whom: a role, a machine, or nobody in particular.
func (p *progress) say(whom, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "%7.1fs  %-12s %s\n", time.Since(p.began).Seconds(), whom, what)
}

// hear returns a listener that says what changed since it last heard of the machines: how each is and, once all are
// ready, what the cluster lacks.
func (p *progress) hear() func([]operate.NodeStatus) {
	last := make(map[string]string)
	news := func(whom, what string) {
		if last[whom] != what {
			last[whom] = what
			p.say(whom, what)
		}
	}
	return func(all []operate.NodeStatus) {
		ready := true
		for _, s := range all {
			ready = ready && s.Status.Result == cluster.ResultReady
			if !s.Answered() {
				continue // it boots, or is off
			}
			what := fmt.Sprintf("%s: %s", s.Status.Phase, s.Status.Result)
			if s.Status.Reason != "" {
				what += ": " + s.Status.Reason
			}
			news(s.Node.Name, what)
		}
		if lacks := operate.Whole(all); ready && lacks != nil {
			news("cluster", strings.ReplaceAll(lacks.Error(), "\n", ", "))
		}
	}
}
