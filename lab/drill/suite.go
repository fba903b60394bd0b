package drill

import (
	"bytes"
	_ "embed" // the suites are data
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/internal/exit"
)

//go:embed suites.yaml
var suitesYAML []byte

// Suite is a list of strikes, made in that order.
type Suite struct {
	Name    string
	Strikes []Strike
}

// Strike is what befalls a cluster at once, or nearly so.
type Strike struct {
	Name      string   `yaml:"name"` // its kind, in reports
	Blows     []Blow   `yaml:"blows"`
	Runs      int      `yaml:"runs"`
	Within    duration `yaml:"within"`    // it is made at a random moment of so long
	Hold      duration `yaml:"hold"`      // it lasts at least that long before it is mended
	Patience  duration `yaml:"patience"`  // and at most that long, though clients are not served by then
	MendFirst bool     `yaml:"mendFirst"` // clients can't be served before it is mended
}

// Blow is one fault of a strike.
type Blow struct {
	Do       string   `yaml:"do"`
	To       string   `yaml:"to"`
	Programs []string `yaml:"programs"`
	With     []string `yaml:"with"`
	After    duration `yaml:"after"` // the first blow
}

// duration is one that is written like 10s.
type duration time.Duration

// UnmarshalText reads one.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// SuiteNames lists the suites.
func SuiteNames() []string { return []string{"reduced", "full"} }

// SuiteCalled returns the suite of that name.
func SuiteCalled(name string) (Suite, error) {
	if !slices.Contains(SuiteNames(), name) {
		return Suite{}, exit.Errorf(exit.Invalid, "%q is no suite: %s", name, strings.Join(SuiteNames(), " or "))
	}
	suites, err := readSuites(suitesYAML)
	return Suite{name, suites[name]}, err
}

func readSuites(text []byte) (map[string][]Strike, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var suites map[string][]Strike
	if err := decoder.Decode(&suites); err != nil {
		return nil, fmt.Errorf("the suites: %w", err)
	}
	return suites, nil
}

// Everybody is the target of a strike at all machines at once.
const Everybody = "all"

// Single is a suite of one kind of strike, at one target; the target of a rollout is every machine, whatever is named.
// It is mended after hold at the earliest. Programs are what dies if it is a kill.
func Single(fault, target string, runs int, hold time.Duration, programs ...string) Suite {
	if fault == actRollout {
		target = Everybody
	}
	blow := Blow{Do: fault, To: target}
	if fault == actKill {
		blow.Programs = programs
	}
	mendFirst := target == Everybody && fault != actRollout // else nobody is left who could serve
	return Suite{fault, []Strike{{Name: fault + " of " + target, Runs: runs, Hold: duration(hold), MendFirst: mendFirst, Blows: []Blow{blow}}}}
}

// Count is how many strikes the suite makes.
func (s Suite) Count() int {
	count := 0
	for _, strike := range s.Strikes {
		count += strike.Runs
	}
	return count
}

// fault returns what a blow does. with are the machines that its With names.
func (b Blow) fault(m Machines, site Site, with []string) (Fault, error) {
	switch b.Do {
	case actKill:
		return Kill(m, b.Programs...), nil
	case actPowerOff:
		return PowerOff(m), nil
	case actShutdown:
		return Shutdown(m), nil
	case actReplace:
		return Replace(m), nil
	case actPartition:
		return Partition(m, with...), nil
	case actFreeze:
		return Freeze(m), nil
	case actFill:
		return Fill(m), nil
	case actSwitchover:
		return Switchover(site.Switchover), nil
	case actRollout:
		return Rollout(site.Rollout), nil
	}
	return Fault{}, fmt.Errorf("nobody knows how to %q", b.Do)
}
