package ec2_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/ec2"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/test/fakeaws"
)

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// An image goes all the way: each command does what it says, in this order, and nothing when it runs again.
func TestLifeOfAnImage(t *testing.T) {
	a := newAccount(t, 2)
	ctx := t.Context()
	e, id := a.bake(cluster.RolePostgres, "a", nil)
	snapshot := a.server.Image(ireland, id).Devices[0].EBS.Snapshot
	before, err := a.catalogue.List(ctx)
	a.check(err)
	if len(before) != 1 || before[0].Recorded || before[0].ID != "postgres/"+id {
		t.Errorf("before the push: %+v", before)
	}

	var copied string
	deadline := time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, command := range []struct {
		name string
		do   func() (ec2.Work, error)
		want func() []string
	}{
		{"push", func() (ec2.Work, error) { return a.baking.Push(ctx, e) }, func() []string {
			return []string{
				"write s3://records/images/" + e.ID + "/manifest.zst", "write s3://records/images/" + e.ID + "/sbom.cdx.json",
				"write s3://records/images/" + e.ID + "/record.json", ireland + " tag " + id + ", " + snapshot, ireland + " record " + id,
			}
		}},
		{"copy", func() (ec2.Work, error) {
			_, work, err := a.catalogue.Copy(ctx, e.ID, []ec2.Target{{Region: frankfurt, Key: ourKey}}, []ec2.Sharer{"444455556666"})
			return work, err
		}, func() []string {
			return []string{
				frankfurt + " copy " + id + " of eu-west-1, encrypted with alias/ours",
				frankfurt + " wait for the copy, let 444455556666 launch it, and record it",
			}
		}},
		{"promote", func() (ec2.Work, error) {
			_, work, err := a.catalogue.Promote(ctx, e.ID, "stable", false)
			return work, err
		}, func() []string {
			var steps []string
			for _, one := range [][2]string{{ireland, id}, {frankfurt, copied}} {
				steps = append(steps, one[0]+" let postgres@stable be "+one[1], one[0]+" tag "+one[1]+" as protected by its promotion",
					one[0]+" protect "+one[1]+" from being deregistered")
			}
			return steps
		}},
		{"deprecate", func() (ec2.Work, error) {
			_, work, err := a.catalogue.Deprecate(ctx, "postgres@stable", deadline)
			return work, err
		}, func() []string {
			return []string{frankfurt + " deprecate " + copied + " from 2027-06-01T00:00:00Z on", ireland + " deprecate " + id + " from 2027-06-01T00:00:00Z on"}
		}},
	} {
		calls := len(a.server.Calls(""))
		work, err := command.do()
		a.check(err)
		same(t, command.name+", only asked for", lines(a.changes(calls)), []string{})
		steps := a.do(work, nil)
		if image, err := a.catalogue.Show(ctx, e.ID); err == nil {
			if p, ok := image.In(frankfurt); ok {
				copied = p.AMI
			}
		}
		same(t, command.name, steps, command.want())
		calls = len(a.server.Calls(""))
		same(t, command.name+" again", a.do(command.do()), []string{})
		same(t, command.name+" again calls", lines(a.changes(calls)), []string{})
	}

	same(t, "the calls that changed something", lines(a.changes(0)), []string{
		"s3 eu-west-1 PutObject", "s3 eu-west-1 PutObject", "s3 eu-west-1 PutObject",
		"ec2 eu-west-1 CreateTags", "ec2 eu-west-1 CreateTags",
		"ec2 eu-central-1 CopyImage", "ec2 eu-central-1 ModifyImageAttribute", "ec2 eu-central-1 CreateTags",
		"ssm eu-west-1 PutParameter", "ec2 eu-west-1 CreateTags", "ec2 eu-west-1 EnableImageDeregistrationProtection",
		"ssm eu-central-1 PutParameter", "ec2 eu-central-1 CreateTags", "ec2 eu-central-1 EnableImageDeregistrationProtection",
		"ec2 eu-central-1 EnableImageDeprecation", "ec2 eu-west-1 EnableImageDeprecation",
	})
	for _, c := range a.server.Calls("PutObject") {
		if c.Params.String("If-None-Match") != "*" {
			t.Errorf("%s was written over whatever is there", c.Params.String("Key"))
		}
	}
	put := a.server.Calls("PutParameter")[0].Params
	same(t, "the parameter", []string{put.String("Name"), put.String("Value"), put.String("Type"), put.String("DataType")},
		[]string{"/cincbake/prod/postgres/stable", id, "String", "aws:ec2:image"})
	asked := a.server.Calls("CopyImage")[0].Params
	same(t, "the copy", []string{asked.String("Encrypted"), asked.String("KmsKeyId"), asked.String("SourceRegion")}, []string{"true", ourKey, ireland})
	same(t, "its snapshot's tags", asked.TagsFor("snapshot")[cluster.TagContent], e.Record.ContentDigest)

	image, err := a.catalogue.Show(ctx, "postgres@stable")
	a.check(err)
	same(t, "regions", []string{image.Places[0].Region, image.Places[1].Region}, []string{frankfurt, ireland})
	same(t, "channels", image.Channels(), []string{"stable"})
	if !image.Recorded || !image.Created.Equal(e.Record.Created) || !image.Booted.Equal(e.Record.Booted) || image.RecipeDigest != e.Record.RecipeDigest {
		t.Errorf("the image is %+v", image)
	}
	record, err := a.catalogue.Record(ctx, image)
	a.check(err)
	want := e.Record
	want.Artefacts = []images.Artefact{{Kind: images.KindAMI, Region: frankfurt, ID: copied}, {Kind: images.KindAMI, Region: ireland, ID: id}}
	same(t, "its record", record, want)
	for _, name := range []string{e.ID[:13], strings.TrimPrefix(e.ID, "postgres/")[:6], e.Record.ContentDigest, copied} {
		if found, err := a.catalogue.Show(ctx, name); err != nil || found.ID != e.ID {
			t.Errorf("%q is %q, %v", name, found.ID, err)
		}
	}
}

// List asks each region once for AMIs and once for channels; the bucket is not asked.
func TestListIsCheap(t *testing.T) {
	a := newAccount(t, 0)
	a.pushed(cluster.RolePostgres, "a")
	a.pushed(cluster.RoleHeartbeat, "b")
	calls := len(a.server.Calls(""))
	all, err := a.catalogue.List(t.Context())
	a.check(err)
	same(t, "images", len(all), 2)
	counts := map[string]int{}
	for _, c := range a.server.Calls("")[calls:] {
		counts[c.Action]++
	}
	same(t, "calls", counts, map[string]int{"DescribeImages": 2, "GetParametersByPath": 2})
	if all[0].Created.Before(all[1].Created) {
		t.Error("not the newest first")
	}
}

// What a push brings that is there already, in another state.
func TestPushAgain(t *testing.T) {
	t.Run("it booted on trial since", func(t *testing.T) {
		a := newAccount(t, 0)
		e, id := a.bake(cluster.RolePostgres, "a", func(r *images.Record) { r.Booted = time.Time{} })
		a.do(a.baking.Push(t.Context(), e))
		if _, _, err := a.catalogue.Promote(t.Context(), e.ID, "stable", false); !errors.Is(err, images.ErrUntried) {
			t.Errorf("an untried image: %v", err)
		}
		if _, _, err := a.in(ireland).Promote(t.Context(), e.ID, "stable", true); err != nil {
			t.Errorf("an untried image, with a word: %v", err)
		}
		e, err := a.local.SetBooted(t.Context(), e, a.now)
		a.check(err)
		snapshot := a.server.Image(ireland, id).Devices[0].EBS.Snapshot
		same(t, "steps", a.do(a.baking.Push(t.Context(), e)), []string{"write s3://records/images/" + e.ID + "/record.json", ireland + " tag " + id + ", " + snapshot})
		image, err := a.catalogue.Show(t.Context(), e.ID)
		a.check(err)
		record, err := a.catalogue.Record(t.Context(), image)
		a.check(err)
		if !record.Booted.Equal(a.now) || !image.Booted.Equal(a.now) {
			t.Errorf("booted %s by its record, %s by its tags", record.Booted, image.Booted)
		}
		same(t, "again", a.do(a.baking.Push(t.Context(), e)), []string{})
	})
	t.Run("the same content, baked again", func(t *testing.T) {
		a := newAccount(t, 0)
		_, first := a.pushed(cluster.RolePostgres, "a")
		a.now = a.now.Add(time.Hour)
		e, second := a.bake(cluster.RolePostgres, "a", nil)
		a.do(a.baking.Push(t.Context(), e))
		image, err := a.catalogue.Show(t.Context(), e.ID)
		a.check(err)
		if p, _ := image.In(ireland); p.AMI != first || len(image.Places) != 2 || image.Places[1].AMI != second || image.Places[1].Recorded {
			t.Errorf("the places are %+v", image.Places)
		}
		same(t, "again", a.do(a.baking.Push(t.Context(), e)), []string{})
	})
}

// A promotion moves the channel, and the parameter's history has what it was.
func TestPromoteMoves(t *testing.T) {
	a := newAccount(t, 0)
	c := a.in(ireland)
	first, one := a.pushed(cluster.RolePostgres, "a")
	second, two := a.pushed(cluster.RolePostgres, "b")
	for _, e := range []images.Entry{first, second} {
		_, work, err := c.Promote(t.Context(), e.ID, "stable", false)
		a.do(work, err)
	}
	history, err := a.clients[ireland].parameters.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: aws.String("/cincbake/prod/postgres/stable")})
	a.check(err)
	var values []string
	for _, p := range history.Parameters {
		values = append(values, aws.ToString(p.Value))
	}
	same(t, "history", values, []string{one, two})
	if image, err := c.Show(t.Context(), "postgres@stable"); err != nil || image.ID != second.ID {
		t.Errorf("stable is %s, %v", image.ID, err)
	}
}

// What may not be is refused before anything is changed, and says what to do.
func TestRefuses(t *testing.T) {
	unverified := func(r *images.Record) { r.Verified = false }
	for name, test := range map[string]struct {
		code exit.Code
		says string
		try  func(a *account) error
	}{
		"push, not verified": {exit.Unsafe, "bake it again", func(a *account) error {
			e, _ := a.bake(cluster.RolePostgres, "a", unverified)
			_, err := a.baking.Push(a.t.Context(), e)
			return err
		}},
		"push, no AMI": {exit.Invalid, "amazon-ebs", func(a *account) error {
			e, _ := a.bake(cluster.RolePostgres, "a", nil)
			e.Record.Artefacts = nil
			_, err := a.baking.Push(a.t.Context(), e)
			return err
		}},
		"push, an AMI that is gone": {exit.Invalid, "there is no AMI", func(a *account) error {
			_, err := a.baking.Push(a.t.Context(), a.entry(cluster.RolePostgres, "a", "ami-00000000000000000", nil))
			return err
		}},
		"push, an AMI of another cluster": {exit.Unsafe, "cincbake:cluster=test", func(a *account) error {
			id := a.ami(ireland, "theirs", cluster.TagCluster, "test")
			_, err := a.baking.Push(a.t.Context(), a.entry(cluster.RolePostgres, "a", id, nil))
			return err
		}},
		"push, a region that is not the catalogue's": {exit.Invalid, "none of the catalogue's regions", func(a *account) error {
			e, _ := a.bake(cluster.RolePostgres, "a", nil)
			_, err := a.in(frankfurt).Push(a.t.Context(), e)
			return err
		}},
		"promote, not in every region": {exit.Missing, "images copy", func(a *account) error {
			e, _ := a.pushed(cluster.RolePostgres, "a")
			_, _, err := a.catalogue.Promote(a.t.Context(), e.ID, "stable", false)
			return err
		}},
		"promote, a channel's name": {exit.Invalid, "small letters", func(a *account) error {
			_, _, err := a.catalogue.Promote(a.t.Context(), "x", "../stable", false)
			return err
		}},
		"promote, a record of something else": {exit.Unsafe, "somebody changed", func(a *account) error {
			e, id := a.pushed(cluster.RolePostgres, "a")
			other := e.Record.ContentDigest[:len("sha256:")+12] + strings.Repeat("0", 52)
			a.tag(ireland, id, cluster.TagContent, other)
			_, _, err := a.in(ireland).Promote(a.t.Context(), e.ID, "stable", false)
			return err
		}},
		"copy, nobody": {exit.Invalid, "12 digits", func(a *account) error {
			_, _, err := a.catalogue.Copy(a.t.Context(), "x", nil, []ec2.Sharer{"everybody"})
			return err
		}},
		"copy, what is not recorded": {exit.Missing, "images push", func(a *account) error {
			_, id := a.bake(cluster.RolePostgres, "a", nil)
			_, _, err := a.catalogue.Copy(a.t.Context(), id, []ec2.Target{{Region: frankfurt}}, nil)
			return err
		}},
		"deprecate, in the past": {exit.Invalid, "is past", func(a *account) error {
			_, _, err := a.catalogue.Deprecate(a.t.Context(), "x", a.now.Add(-day))
			return err
		}},
		"without a permission": {exit.Missing, "lacks a permission", func(a *account) error {
			a.server.Inject(fakeaws.Deny("DescribeImages"))
			_, err := a.catalogue.List(a.t.Context())
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t, 0)
			err := test.try(a)
			if err == nil || !strings.Contains(err.Error(), test.says) || exit.CodeOf(err) != test.code {
				t.Errorf("got %v (code %d), want it to say %q (code %d)", err, exit.CodeOf(err), test.says, test.code)
			}
		})
	}
}

// tag gives an AMI a tag behind the catalogue's back.
func (a *account) tag(region, id, key, value string) {
	a.t.Helper()
	_, err := a.clients[region].CreateTags(a.t.Context(), &awsec2.CreateTagsInput{Resources: []string{id}, Tags: tagList(key, value)})
	a.check(err)
}

// A copy is deprecated when its source is, and a source that is deprecated already has copies that are not.
func TestCopyIsDeprecated(t *testing.T) {
	for name, test := range map[string]struct {
		later time.Duration
		want  string
	}{"to come": {0, "2027-01-01T00:00:00.000Z"}, "past": {60 * day, ""}} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t, 1)
			e, _ := a.pushed(cluster.RolePostgres, "a")
			_, work, err := a.catalogue.Deprecate(t.Context(), e.ID, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
			a.do(work, err)
			a.now = a.now.Add(test.later)
			a.do(copyOf(a, e.ID))
			image, err := a.catalogue.Show(t.Context(), e.ID)
			a.check(err)
			p, _ := image.In(frankfurt)
			same(t, "the copy's moment", a.server.Image(frankfurt, p.AMI).Deprecated, test.want)
			same(t, "again", a.do(copyOf(a, e.ID)), []string{})
		})
	}
}

// What AWS refuses, or never finishes, is said with what to do.
func TestCopyFails(t *testing.T) {
	t.Run("shared without a key", func(t *testing.T) {
		a := newAccount(t, 0)
		e, _ := a.pushed(cluster.RolePostgres, "a")
		_, work, err := a.catalogue.Copy(t.Context(), e.ID, []ec2.Target{{Region: frankfurt}}, []ec2.Sharer{"444455556666"})
		a.check(err)
		if err := work.Do(t.Context(), func(ec2.Step) {}); err == nil || !strings.Contains(err.Error(), "a key of your own") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another image has the name", func(t *testing.T) {
		a := newAccount(t, 0)
		e, id := a.pushed(cluster.RolePostgres, "a")
		a.ami(frankfurt, a.server.Image(ireland, id).Name)
		_, work, err := a.catalogue.Copy(t.Context(), e.ID, []ec2.Target{{Region: frankfurt}}, nil)
		a.check(err)
		if err := work.Do(t.Context(), func(ec2.Step) {}); exit.CodeOf(err) != exit.Unsafe {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a channel whose value is not taken", func(t *testing.T) {
		a := newAccount(t, 0)
		e, _ := a.pushed(cluster.RolePostgres, "a")
		a.server.Inject(fakeaws.Stall("PutParameter"))
		_, work, err := a.open(promoter, 50*time.Millisecond, ireland).Promote(t.Context(), e.ID, "stable", false)
		a.check(err)
		if err := work.Do(t.Context(), func(ec2.Step) {}); exit.CodeOf(err) != exit.TimedOut || !strings.Contains(err.Error(), "ec2:DescribeImages") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it never ends", func(t *testing.T) {
		a := newAccount(t, 1)
		e, _ := a.pushed(cluster.RolePostgres, "a")
		a.server.Inject(fakeaws.Stall("CopyImage"))
		c := a.impatient()
		_, work, err := c.Copy(t.Context(), e.ID, []ec2.Target{{Region: frankfurt}}, nil)
		a.check(err)
		if err := work.Do(t.Context(), func(ec2.Step) {}); exit.CodeOf(err) != exit.TimedOut || !strings.Contains(err.Error(), "run this again") {
			t.Errorf("got %v", err)
		}
		_, work, err = c.Copy(t.Context(), e.ID, []ec2.Target{{Region: frankfurt}}, nil)
		a.check(err)
		same(t, "again", fmt.Sprint(len(work), " ", work[0].What), "1 wait for the copy, and record it")
	})
}
