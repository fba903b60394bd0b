//go:build integration

package moto_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/ec2"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/launch"
	"github.com/cincbake/cincbake/secrets/awssm"
)

// record brings the first image into the catalogue, into another region, and into a channel.
func (s *stage) record() {
	s.Helper()
	ctx := s.Context()
	entry, _ := s.bake(1)
	s.work("push", func() (ec2.Work, error) { return s.both.Push(ctx, entry) })
	s.work("copy", func() (ec2.Work, error) {
		_, work, err := s.both.Copy(ctx, entry.ID, []ec2.Target{{Region: frankfurt, Key: copyKey}}, []ec2.Sharer{"444455556666"})
		return work, err
	})
	s.work("promote", func() (ec2.Work, error) {
		_, work, err := s.both.Promote(ctx, entry.ID, "stable", false)
		return work, err
	})
	s.work("deprecate", func() (ec2.Work, error) {
		_, work, err := s.both.Deprecate(ctx, "api@stable", time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC))
		return work, err
	})
	image, err := s.both.Show(ctx, "api@stable")
	s.check(err)
	var places []string
	for _, p := range image.Places {
		places = append(places, fmt.Sprintf("%s: %s %s %s, recorded: %t, protected: %t, deprecated %s, channels %v, %d snapshots",
			p.Region, p.AMI, p.Name, p.State, p.Recorded, p.Protected, p.Deprecated.Format(time.DateOnly), p.Channels, len(p.Snapshots)))
	}
	s.fact("the image", strings.Join(places, "\n"))
	_, err = s.both.Record(ctx, image)
	s.fact("its record", code(err))
	all, err := s.both.List(ctx)
	s.check(err)
	s.fact("the list", fmt.Sprintf("%d images", len(all)))
	copied, _ := image.In(frankfurt)
	snapshots, err := s.ec2(frankfurt).DescribeSnapshots(ctx, &awsec2.DescribeSnapshotsInput{SnapshotIds: copied.Snapshots})
	s.check(err)
	encrypted := "no"
	if aws.ToBool(snapshots.Snapshots[0].Encrypted) {
		encrypted = "by " + aws.ToString(snapshots.Snapshots[0].KmsKeyId)
	}
	s.fact("the copy's snapshot is encrypted", encrypted)
	var tags []string
	for _, tag := range snapshots.Snapshots[0].Tags {
		tags = append(tags, *tag.Key+"="+*tag.Value)
	}
	s.fact("the copy's snapshot's tags", sorted(tags))
	s.rest()
}

// promoted bakes an image, records it and lets the channel point to it.
func (s *stage) promoted(n int) string {
	s.Helper()
	entry, ami := s.bake(n)
	s.work(fmt.Sprintf("push %d", n), func() (ec2.Work, error) { return s.here.Push(s.Context(), entry) })
	s.work(fmt.Sprintf("promote %d", n), func() (ec2.Work, error) {
		_, work, err := s.here.Promote(s.Context(), entry.ID, "stable", false)
		return work, err
	})
	return ami
}

// plan notes what applying would do.
func (s *stage) plan(name string) launch.Plan {
	s.Helper()
	found, err := s.fleet.Images(s.Context(), "stable", nil)
	s.check(err)
	if s.root == "" {
		s.fact("the root device of an image", found[cluster.RoleAPI].RootDevice)
		s.root = found[cluster.RoleAPI].RootDevice
	}
	s.rest()
	plan, err := s.fleet.Plan(s.Context(), found)
	s.check(err)
	var lines, own []string
	for line := range strings.Lines(plan.String()) {
		if line = strings.TrimRight(line, "\n"); strings.Contains(line, " tags.launch-template.") {
			own = append(own, strings.TrimSpace(line))
			continue
		}
		lines = append(lines, line)
	}
	s.fact(name, strings.Join(lines, "\n"))
	s.fact(name+": the template's own tags", strings.Join(own, "\n"))
	if made := s.changes(); made != "" {
		s.Errorf("%s called %s", name, made)
	}
	return plan
}

// apply applies twice: the second time nothing is left to do.
func (s *stage) apply(name string) {
	s.Helper()
	found, err := s.fleet.Images(s.Context(), "stable", nil)
	s.check(err)
	s.applied(name, s.fleet, found)
}

func (s *stage) applied(name string, fleet *launch.Fleet, found map[cluster.Role]launch.Image) {
	s.Helper()
	note := s.fact
	for _, again := range []string{"", " again"} {
		made, err := fleet.Apply(s.Context(), found)
		s.check(err)
		var lines []string
		for _, change := range made {
			lines = append(lines, change.Call+" "+change.Name)
		}
		note(name+again, strings.Join(lines, "\n"))
		note(name+again+": calls", s.changes())
		note = s.nothing
	}
}

// settled waits until the fleet is green, and notes how it is then.
func (s *stage) settled(name string) {
	s.Helper()
	ctx, stop := context.WithTimeout(s.Context(), 20*time.Second)
	defer stop()
	var status launch.Status
	var err error
	for ctx.Err() == nil {
		if status, err = s.fleet.Status(ctx); err == nil && status.Green() {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	s.check(err)
	if !status.Green() {
		s.Errorf("%s is not green: %+v", name, status)
	}
	var lines []string
	for _, g := range status.Groups {
		lines = append(lines, fmt.Sprintf("%s: version %d, %s, %d to %d machines, %d wanted", g.Name, g.Version, g.Image, g.Min, g.Max, g.Desired))
		for _, i := range g.Instances {
			lines = append(lines, fmt.Sprintf("  %s, healthy: %t, version %d, outdated: %t, drifted: %t, %s, has an address: %t", i.State, i.Healthy, i.Version, i.Outdated, i.Drifted, i.Image, i.Address != ""))
		}
	}
	s.fact(name, strings.Join(lines, "\n"))
	s.rest()
}

func (s *stage) rollout() launch.Rollout {
	return launch.Rollout{Fleet: s.fleet, Within: time.Minute, Rest: time.Second}
}

// launch begins with an empty account.
func (s *stage) launch() {
	s.Helper()
	plan := s.plan("plan")
	s.check(s.fleet.Preflight(s.Context(), plan))
	s.nothing("the preflight's calls", s.changes())
	s.apply("apply")
	s.settled("the fleet")
}

// replace brings the next image to all machines.
func (s *stage) replace() {
	s.Helper()
	s.promoted(2)
	s.plan("plan of the next image")
	s.apply("apply the next image")
	s.check(s.rollout().Run(s.Context()))
	s.fact("rollout", s.changes())
	s.check(s.rollout().Run(s.Context()))
	s.nothing("rollout again", s.changes())
	s.settled("the fleet with the next image")
}

// rescue goes back from an image whose machines do not get ready, and on to one whose do.
func (s *stage) rescue() {
	s.Helper()
	s.account.spoil(s.promoted(3))
	s.apply("apply a bad image")
	rollout := s.rollout()
	rollout.Within = 500 * time.Millisecond
	s.account.halt(true) // else it is a matter of luck how far the refresh comes until it is stopped
	err := rollout.Run(s.Context())
	s.account.halt(false)
	ended := "done"
	if err != nil {
		ended = fmt.Sprintf("exit code %d, the way back is told: %t", exit.CodeOf(err), strings.Contains(err.Error(), "cincbake launch rollback api"))
	}
	s.fact("rollout of a bad image", ended)
	s.fact("rollout of a bad image: calls", s.changes())
	back := launch.Rollback{Rollout: s.rollout()}
	back.Roles = []cluster.Role{cluster.RoleAPI}
	note := s.fact
	for _, again := range []string{"", " again"} {
		steps, err := back.Plan(s.Context())
		s.check(err)
		var lines []string
		for _, step := range steps {
			lines = append(lines, fmt.Sprintf("%s from version %d to %d, %s", step.Group, step.From, step.To, step.Image))
		}
		note("rollback"+again, strings.Join(lines, "\n"))
		s.rest()
		s.check(back.Run(s.Context(), steps))
		note("rollback"+again+": calls", s.changes())
		note = s.nothing
	}
	s.settled("the fleet with the old image")

	entry, _ := s.bake(4) // that nobody promotes
	s.work("push 4", func() (ec2.Work, error) { return s.here.Push(s.Context(), entry) })
	s.promoted(5)
	s.plan("plan of a good image")
	s.apply("apply a good image")
	s.check(s.rollout().Run(s.Context()))
	s.fact("rollout of a good image", s.changes())
	s.settled("the fleet with a good image")
}

// prune removes what nobody needs.
func (s *stage) prune() {
	s.Helper()
	ctx := s.Context()
	policy := ec2.Policy{Keep: 1, Versions: 2, Now: time.Now().Add(48 * time.Hour)}
	fates, err := s.both.Plan(ctx, policy)
	s.check(err)
	var lines []string
	gone := ""
	for _, f := range fates {
		lines = append(lines, fmt.Sprintf("%s in %d regions, stays: %t: %s", f.ID, len(f.Places), f.Keep, f.Why))
		if !f.Keep && gone == "" && len(f.Places) > 0 {
			gone = f.Places[0].Snapshots[0]
		}
	}
	s.fact("what prune would do", strings.Join(lines, "\n"))
	if made := s.changes(); made != "" {
		s.Errorf("a dry run called %s", made)
	}
	s.work("prune", func() (ec2.Work, error) { return s.both.Remove(ctx, policy, fates) })
	_, err = s.ec2(ireland).DescribeSnapshots(ctx, &awsec2.DescribeSnapshotsInput{SnapshotIds: []string{gone}})
	s.fact("a snapshot that was pruned", code(err))
	fates, err = s.both.Plan(ctx, policy)
	s.check(err)
	lines = nil
	for _, f := range fates {
		if !f.Keep {
			lines = append(lines, f.ID)
		}
	}
	s.nothing("what a second prune would remove", strings.Join(lines, "\n"))
	s.fact("what is left", fmt.Sprintf("%d images", len(fates)))
	s.rest()
}

// secrets pushes secrets, twice, and again after one has changed.
func (s *stage) secrets() {
	s.Helper()
	bundle, err := generated()
	s.check(err)
	client := secretsmanager.NewFromConfig(s.sdk(ireland))
	push := func(name string, dry bool, calls func(name, value string)) {
		s.Helper()
		pushed, err := awssm.Push(s.Context(), client, s.fleet.Cluster, bundle, dry)
		s.check(err)
		var lines []string
		for _, p := range pushed {
			lines = append(lines, p.Secret+": "+string(p.Change))
		}
		s.fact(name, strings.Join(lines, "\n"))
		calls(name+": calls", s.changes())
	}
	push("secrets, only asked for", true, s.nothing)
	push("secrets", false, s.fact)
	push("secrets again", false, s.nothing)
	_, err = bundle.Rotate(s.fleet.Cluster, []string{"leaves"}, false, time.Now())
	s.check(err)
	push("secrets after a rotation", false, s.fact)
	push("secrets after a rotation, again", false, s.nothing)
	for _, node := range s.fleet.Cluster.Nodes {
		text, err := awssm.Fetch(s.Context(), client, s.fleet.Cluster.SecretName(node))
		s.check(err)
		scoped, err := bundle.Scope(node)
		s.check(err)
		want, err := scoped.Encode()
		s.check(err)
		if string(text) != string(want) {
			s.Errorf("%s does not hold what was pushed last", node.Name)
		}
	}
	s.rest()
}
