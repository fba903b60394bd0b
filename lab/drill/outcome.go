package drill

import (
	"slices"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// Outcome is what a suite came to: the report's data.
type Outcome struct {
	Format        int           `json:"format"` // 1
	Suite         string        `json:"suite"`
	Began         time.Time     `json:"began"`
	Seconds       float64       `json:"seconds"`
	Planned       int           `json:"planned"` // strikes of the suite
	Stopped       string        `json:"stopped,omitempty"`
	Configuration Configuration `json:"configuration"`
	Totals        Totals        `json:"totals"`
	Kinds         []KindSummary `json:"kinds"`
	Strikes       []Struck      `json:"strikes"`
	// LostLater counts acknowledged writes that were there after their own strike and are not there at the end.
	LostLater int `json:"lostLater"`
	// Problems are those of no single strike.
	Problems []string `json:"problems,omitempty"`
}

// Configuration is what was struck, and by what it was measured.
type Configuration struct {
	Cincbake string            `json:"cincbake"` // version of the command
	Cluster  string            `json:"cluster"`
	Topology cluster.Topology  `json:"topology"`
	Versions map[string]string `json:"versions"` // of what the machines run, by name
	Machines []StruckMachine   `json:"machines"`
	Traffic  []TrafficConfig   `json:"traffic"`
	Host     Host              `json:"host"`
}

// StruckMachine is a machine of the cluster.
type StruckMachine struct {
	Name    string       `json:"name"`
	Role    cluster.Role `json:"role"`
	Address string       `json:"address"`
	Image   string       `json:"image"` // the content digest of what it boots
}

// TrafficConfig says who worked.
type TrafficConfig struct {
	Kind         string   `json:"kind"`
	Clients      []Client `json:"clients"`
	PauseSeconds float64  `json:"pauseSeconds"` // of each client, between two operations
}

// Host is the machine that ran it all.
type Host struct {
	Cores       int    `json:"cores"`
	MemoryBytes uint64 `json:"memoryBytes"`
	Kernel      string `json:"kernel"`
}

// Totals are of all strikes.
type Totals struct {
	Strikes      int `json:"strikes"`
	Skipped      int `json:"skipped"`
	Failed       int `json:"failed"` // strikes with a problem
	Operations   int `json:"operations"`
	Acknowledged int `json:"acknowledged"` // writes
	Lost         int `json:"lost"`
	Hanging      int `json:"hanging"`
}

// KindSummary is what the strikes of one kind came to.
type KindSummary struct {
	Name    string           `json:"name"`
	Runs    int              `json:"runs"`
	Failed  int              `json:"failed"`
	Skipped int              `json:"skipped"`
	Whole   Spread           `json:"wholeSeconds"`
	Traffic []TrafficSummary `json:"traffic"`
}

// TrafficSummary is what one kind of traffic noticed of them.
type TrafficSummary struct {
	Kind         string  `json:"kind"`
	Gap          Spread  `json:"gapSeconds"`
	WorstClient  float64 `json:"worstClientSeconds"`
	Operations   int     `json:"operations"`
	PerSecond    float64 `json:"perSecond"`
	Acknowledged int     `json:"acknowledged"`
	Lost         int     `json:"lost"`
	Hanging      int     `json:"hanging"`
}

// Struck is one strike that was made. Seconds in it count from the first blow.
type Struck struct {
	Number   int             `json:"number"` // from 1
	Name     string          `json:"name"`
	Nodes    []string        `json:"nodes"`
	Began    time.Time       `json:"began"`
	From     float64         `json:"fromSeconds"` // where the counts begin, before the blow
	Seconds  float64         `json:"seconds"`     // how long it was watched, From included
	Whole    float64         `json:"wholeSeconds"`
	Events   []Event         `json:"events"`
	Traffic  []TrafficResult `json:"traffic"`
	Problems []string        `json:"problems,omitempty"`
	Skipped  string          `json:"skipped,omitempty"` // why it was not made
}

// The kinds of events.
const (
	EventStruck   = "struck"
	EventLost     = "service lost"
	EventBack     = "service back"
	EventRepaired = "repaired"
	EventWhole    = "whole"
)

// Event is something that happened.
type Event struct {
	At   float64 `json:"at"`
	What string  `json:"what"`
	Text string  `json:"text,omitempty"`
}

// TrafficResult is what one kind of traffic noticed.
type TrafficResult struct {
	Kind string `json:"kind"`
	// GapSeconds is the longest time in which nobody of this kind was served, and GapAt when it began.
	GapSeconds float64 `json:"gapSeconds"`
	GapAt      float64 `json:"gapAt"`
	// WorstClientSeconds is the longest time that a single client was not served, of those whose machine was not struck.
	WorstClientSeconds float64 `json:"worstClientSeconds"`
	Operations         int     `json:"operations"`   // acknowledged ones
	Acknowledged       int     `json:"acknowledged"` // of them, writes
	Lost               int     `json:"lost"`         // of those
	Hanging            int     `json:"hanging"`
	PerSecond          []int   `json:"perSecond"`
}

// OK tells whether nothing is wrong.
func (o Outcome) OK() bool {
	return o.Stopped == "" && o.Totals.Failed == 0 && o.Totals.Lost == 0 && o.Totals.Hanging == 0 && o.LostLater == 0 && len(o.Problems) == 0
}

// summarise makes the totals and the kinds, in the order in which they were first struck.
func (o *Outcome) summarise() {
	o.Totals, o.Kinds = Totals{}, nil
	var names []string
	for _, s := range o.Strikes {
		if !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	for _, name := range names {
		o.Kinds = append(o.Kinds, o.kind(name))
	}
	for _, k := range o.Kinds {
		o.Totals.Strikes += k.Runs
		o.Totals.Skipped += k.Skipped
		o.Totals.Failed += k.Failed
		for _, t := range k.Traffic {
			o.Totals.Operations += t.Operations
			o.Totals.Acknowledged += t.Acknowledged
			o.Totals.Lost += t.Lost
			o.Totals.Hanging += t.Hanging
		}
	}
}

func (o *Outcome) kind(name string) KindSummary {
	k := KindSummary{Name: name, Traffic: []TrafficSummary{}}
	var whole []float64
	gaps, seconds := map[string][]float64{}, map[string]float64{}
	at := map[string]int{}
	for _, s := range o.Strikes {
		switch {
		case s.Name != name:
			continue
		case s.Skipped != "":
			k.Skipped++
			continue
		case len(s.Problems) > 0:
			k.Failed++
		}
		k.Runs++
		if s.Whole > 0 {
			whole = append(whole, s.Whole)
		}
		for _, t := range s.Traffic {
			i, ok := at[t.Kind]
			if !ok {
				i = len(k.Traffic)
				at[t.Kind] = i
				k.Traffic = append(k.Traffic, TrafficSummary{Kind: t.Kind})
			}
			sum := &k.Traffic[i]
			gaps[t.Kind] = append(gaps[t.Kind], t.GapSeconds)
			seconds[t.Kind] += s.Seconds
			sum.WorstClient = max(sum.WorstClient, t.WorstClientSeconds)
			sum.Operations += t.Operations
			sum.Acknowledged += t.Acknowledged
			sum.Lost += t.Lost
			sum.Hanging += t.Hanging
		}
	}
	k.Whole = spread(whole)
	for i, t := range k.Traffic {
		k.Traffic[i].Gap = spread(gaps[t.Kind])
		if seconds[t.Kind] > 0 {
			k.Traffic[i].PerSecond = rounded(float64(t.Operations) / seconds[t.Kind])
		}
	}
	return k
}
