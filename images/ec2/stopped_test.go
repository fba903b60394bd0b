package ec2_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/ec2"
	"github.com/cincbake/cincbake/test/fakeaws"
)

// Whatever stops a command before or after any of its changes, running it again completes it: AWS is as if nothing had
// happened, nothing is untagged meanwhile, and one more run changes nothing.
func TestStoppedAnywhere(t *testing.T) {
	type scene struct {
		a *account
		e images.Entry
	}
	ctx := t.Context()
	for name, command := range map[string]struct {
		prepare func(a *account) scene
		do      func(s scene) (ec2.Work, error)
		changes int // at least so many, so that the test is about something
	}{
		"push": {
			func(a *account) scene { e, _ := a.bake(cluster.RolePostgres, "a", nil); return scene{a, e} },
			func(s scene) (ec2.Work, error) { return s.a.baking.Push(ctx, s.e) }, 5,
		},
		"copy": {
			func(a *account) scene { e, _ := a.pushed(cluster.RolePostgres, "a"); return scene{a, e} },
			func(s scene) (ec2.Work, error) {
				_, work, err := s.a.catalogue.Copy(ctx, s.e.ID, []ec2.Target{{Region: frankfurt, Key: ourKey}, {Region: ireland}}, []ec2.Sharer{"444455556666"})
				return work, err
			}, 4,
		},
		"promote": {
			func(a *account) scene {
				old, _ := a.pushed(cluster.RolePostgres, "b")
				_, work, err := a.in(ireland).Promote(ctx, old.ID, "stable", false)
				a.do(work, err)
				e, _ := a.pushed(cluster.RolePostgres, "a")
				_, work, err = a.catalogue.Copy(ctx, e.ID, []ec2.Target{{Region: frankfurt, Key: ourKey}}, nil)
				a.do(work, err)
				return scene{a, e}
			},
			func(s scene) (ec2.Work, error) {
				_, work, err := s.a.catalogue.Promote(ctx, s.e.ID, "stable", false)
				return work, err
			}, 6,
		},
		"deprecate": {
			func(a *account) scene {
				e, _ := a.pushed(cluster.RolePostgres, "a")
				_, work, err := a.catalogue.Copy(ctx, e.ID, []ec2.Target{{Region: frankfurt, Key: ourKey}}, nil)
				a.do(work, err)
				return scene{a, e}
			},
			func(s scene) (ec2.Work, error) {
				_, work, err := s.a.catalogue.Deprecate(ctx, s.e.ID, time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC))
				return work, err
			}, 2,
		},
		"remove": {
			func(a *account) scene {
				// What goes: an image that was promoted once, in two regions.
				e, _ := a.pushed(cluster.RolePostgres, "a")
				_, work, err := a.catalogue.Copy(ctx, e.ID, []ec2.Target{{Region: frankfurt, Key: ourKey}}, nil)
				a.do(work, err)
				_, work, err = a.catalogue.Promote(ctx, e.ID, "stable", false)
				a.do(work, err)
				a.now = a.now.Add(day)
				next, _ := a.pushed(cluster.RolePostgres, "b")
				_, work, err = a.catalogue.Copy(ctx, next.ID, []ec2.Target{{Region: frankfurt, Key: ourKey}}, nil)
				a.do(work, err)
				_, work, err = a.catalogue.Promote(ctx, next.ID, "stable", false)
				a.do(work, err)
				a.now = a.now.Add(day)
				return scene{a, e}
			},
			func(s scene) (ec2.Work, error) { return s.a.remove(s.a.catalogue) }, 6,
		},
		"remove what has no tags": {
			func(a *account) scene {
				a.bare()
				return scene{a, images.Entry{}}
			},
			func(s scene) (ec2.Work, error) { return s.a.remove(s.a.unlimited) }, 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			clean := newAccount(t, 1)
			s := command.prepare(clean)
			calls := len(clean.server.Calls(""))
			clean.do(command.do(s))
			changed := clean.changes(calls)
			want := clean.state()
			if len(changed) < command.changes {
				t.Fatalf("it changes only %q", lines(changed))
			}
			seen := map[string]int{}
			for _, c := range changed {
				skip := seen[c.Action]
				seen[c.Action]++
				for _, late := range []bool{false, true} {
					fault := fakeaws.Refuse(c.Action, "Stopped", "the client is no more").After(skip)
					if late {
						fault = fault.Late()
					}
					t.Run(c.Region+" "+c.Action+" "+fault.Name, func(t *testing.T) {
						a := newAccount(t, 1)
						s := command.prepare(a)
						s.a.server.Inject(fault)
						work, err := command.do(s)
						a.check(err)
						if err := work.Do(ctx, func(ec2.Step) {}); err == nil {
							t.Fatal("the fault stopped nothing")
						}
						if !strings.HasPrefix(name, "remove") { // there the bare snapshot is the test's own
							same(t, "untagged", a.untagged(), []string(nil))
						}
						a.server.Mend()
						a.do(command.do(s))
						same(t, "after another run", a.state(), want)
						same(t, "one more run", a.do(command.do(s)), []string{})
					})
				}
			}
		})
	}
}

// Answers that are lost, and throttling, are met by trying again within the same run.
func TestTriesAgain(t *testing.T) {
	for _, action := range []string{"PutObject", "CreateTags", "CopyImage", "PutParameter", "EnableImageDeregistrationProtection", "DescribeImages"} {
		for _, fault := range []fakeaws.Fault{fakeaws.Lose(action, 1), fakeaws.Throttle(action, 2)} {
			t.Run(fault.Name+" "+action, func(t *testing.T) {
				a := newAccount(t, 1)
				e, _ := a.bake(cluster.RolePostgres, "a", nil)
				a.server.Inject(fault)
				a.do(a.baking.Push(t.Context(), e))
				_, work, err := a.catalogue.Copy(t.Context(), e.ID, []ec2.Target{{Region: frankfurt, Key: ourKey}}, nil)
				a.do(work, err)
				_, work, err = a.catalogue.Promote(t.Context(), e.ID, "stable", false)
				a.do(work, err)
				image, err := a.catalogue.Show(t.Context(), "postgres@stable")
				a.check(err)
				if len(image.Places) != 2 || !image.Places[0].Protected || !image.Places[1].Protected {
					t.Errorf("the image is %+v", image)
				}
			})
		}
	}
}

// bare makes an AMI of the cluster that nobody pushed, and whose snapshot has no tags.
func (a *account) bare() {
	a.t.Helper()
	a.tag(ireland, a.ami(ireland, "bare"), cluster.TagCluster, "prod")
	a.now = a.now.Add(day)
}

// remove plans and removes whatever may go.
func (a *account) remove(c *ec2.Catalogue) (ec2.Work, error) {
	p := ec2.Policy{Keep: 1, MinAge: time.Hour, Now: a.now, Broken: true}
	fates, err := c.Plan(a.t.Context(), p)
	if err != nil {
		return nil, err
	}
	return c.Remove(a.t.Context(), p, fates)
}

// A snapshot without tags is nobody's: whoever promotes may not make it the cluster's, and so its AMI stays.
func TestRemoveNobodysSnapshot(t *testing.T) {
	a := newAccount(t, 0)
	a.bare()
	before := a.state()
	work, err := a.remove(a.catalogue)
	a.check(err)
	if err := work.Do(t.Context(), func(ec2.Step) {}); err == nil || !strings.Contains(err.Error(), "lacks a permission") {
		t.Errorf("got %v", err)
	}
	same(t, "what is there", a.state(), before)
}
