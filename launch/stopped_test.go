package launch

import (
	"context"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/test/fakeaws"
)

// lived has all of a self-hosted cluster made, found changed by hand, and brought to three newer generations, the old versions
// pruned; applying is who does it.
func (w wired) lived(t *testing.T, applying func()) {
	t.Helper()
	w.Keep = 1
	for generation := 1; generation <= 4; generation++ {
		for _, role := range rolesOf(w.Cluster) {
			w.promoteFor(role, generation)
		}
		if generation == 2 {
			w.meddle(t)
		}
		applying()
	}
}

// standing is what the cluster has at AWS; the groups' machines come and go with the time.
func (w wired) standing(t *testing.T) State {
	t.Helper()
	state, err := w.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, g := range state.Groups {
		g.Instances = nil
		state.Groups[name] = g
	}
	return state
}

// rests checks that one more run changes nothing.
func (w wired) rests(t *testing.T) {
	t.Helper()
	if again := apply(t, w.Fleet); len(again) > 0 {
		t.Errorf("one more run changes %+v", again)
	}
}

// untagged are the things that somebody would have to find by hand.
func (w wired) untagged() (list []string) {
	for _, r := range w.server.Resources() {
		switch r.Kind {
		case "instance", "launch-template", "auto-scaling-group", "volume", "network-interface":
			if r.Tags[cluster.TagCluster] != "prod" {
				list = append(list, r.String())
			}
		}
	}
	return list
}

// Whatever strikes a call that changes something, before its effect or after it: the client's own tries or another run
// complete it, AWS is as if nothing had happened, nothing is there twice or untagged, and one more run changes nothing.
func TestStoppedAnywhere(t *testing.T) {
	clean := newWiredWith(t, cluster.SelfHosted, fakeaws.Options{})
	made := len(clean.server.Calls(""))
	clean.lived(t, func() { apply(t, clean.Fleet) })
	want := clean.standing(t)
	actions := clean.changes(made)
	slices.Sort(actions)
	actions = slices.Compact(actions)
	if len(actions) < 10 {
		t.Fatalf("it calls only %v", actions)
	}
	for _, action := range actions {
		for _, c := range []struct {
			fault func(stop func()) fakeaws.Fault
			ends  bool // a run
		}{
			{func(func()) fakeaws.Fault { return fakeaws.Throttle(action, 2) }, false},
			{func(func()) fakeaws.Fault { return fakeaws.Lose(action, 1) }, false},
			{func(func()) fakeaws.Fault { return fakeaws.Hang(action, 1) }, false},
			{func(func()) fakeaws.Fault { return fakeaws.Hang(action, 1).Late() }, false},
			{func(func()) fakeaws.Fault { return fakeaws.Deny(action) }, true},
			{func(stop func()) fakeaws.Fault { return fakeaws.Crash(action, stop) }, true},
			{func(stop func()) fakeaws.Fault { return fakeaws.Crash(action, stop).Late() }, true},
		} {
			t.Run(action+" "+c.fault(nil).Name, func(t *testing.T) {
				t.Parallel()
				w := newWiredWith(t, cluster.SelfHosted, fakeaws.Options{})
				w.Services = servicesWithin(w.server, launcher, 3*time.Second)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w.server.Inject(c.fault(cancel).By(launcher))
				ended := false
				w.lived(t, func() {
					if _, err := w.Apply(ctx, imagesOf(t, w.Fleet)); err != nil {
						if !c.ends {
							t.Errorf("a run ends: %v", err)
						}
						ended, ctx = true, t.Context()
						w.server.Mend()
						if list := w.untagged(); len(list) > 0 {
							t.Errorf("untagged: %q", list)
						}
						apply(t, w.Fleet)
						w.rests(t)
					}
				})
				w.rests(t)
				if ended != c.ends {
					t.Errorf("that a run ended is %v", ended)
				}
				if diff := gocmp.Diff(want, w.standing(t)); diff != "" {
					t.Errorf("what there is (-want +got)\n%s", diff)
				}
			})
		}
	}
}
