package ec2_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	scaling "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/ec2"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/test/fakeaws"
)

// template makes a launch template with a version for each AMI, and tells its id.
func (a *account) template(called string, tags []types.Tag, amis ...string) string {
	a.t.Helper()
	r := a.clients[ireland]
	data := func(ami string) *types.RequestLaunchTemplateData {
		return &types.RequestLaunchTemplateData{ImageId: aws.String(ami), InstanceType: types.InstanceTypeM6iLarge}
	}
	input := &awsec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String(called), LaunchTemplateData: data(amis[0])}
	if len(tags) > 0 {
		input.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeLaunchTemplate, Tags: tags}}
	}
	made, err := r.CreateLaunchTemplate(a.t.Context(), input)
	a.check(err)
	id := *made.LaunchTemplate.LaunchTemplateId
	for _, ami := range amis[1:] {
		_, err := r.CreateLaunchTemplateVersion(a.t.Context(), &awsec2.CreateLaunchTemplateVersionInput{LaunchTemplateId: aws.String(id), LaunchTemplateData: data(ami)})
		a.check(err)
	}
	return id
}

// Everything that keeps an image, each with its reason; what has none goes, with its snapshots, and nothing else does.
func TestPrune(t *testing.T) {
	a := newAccount(t, 0)
	ctx, r := t.Context(), a.clients[ireland]
	digits := "0123456789abcdefghijklmnopqr"
	ids, names := map[string]string{}, map[string]string{} // AMIs by what they are for, and the other way round
	made := func(what string, role cluster.Role, change func(*images.Record)) images.Entry {
		e, id := a.bake(role, digits[len(ids):len(ids)+1], change)
		a.do(a.baking.Push(ctx, e))
		ids[what], names[e.ID] = id, what
		return e
	}
	a.now = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for _, what := range []string{
		"nobody's", "copied", "in a channel", "of an instance", "of a stopped instance", "of a terminated instance", "of a group", "of an override", "of a default version", "of a latest version",
		"to roll back to", "too old to roll back to", "somebody protected it", "ours to unprotect", "shared", "shared snapshot", "public",
	} {
		made(what, cluster.RolePostgres, nil)
	}
	made("alone of its recipe", cluster.RoleHeartbeat, nil)
	a.do(copyOf(a, ids["copied"]))
	_, work, err := a.in(ireland).Promote(ctx, ids["in a channel"], "stable", false)
	a.do(work, err)
	_, work, err = a.in(ireland).Promote(ctx, ids["ours to unprotect"], "testing", false)
	a.do(work, err)
	twin, twinID := a.bake(cluster.RolePostgres, "0", nil)
	a.do(a.baking.Push(ctx, twin))
	unrecorded := a.ami(ireland, "half", cluster.TagCluster, "prod", cluster.TagRole, "postgres", cluster.TagRecipe, recipe(cluster.RolePostgres).Digest())
	untagged := a.ami(ireland, "untagged")
	others := a.ami(ireland, "others", cluster.TagCluster, "test", cluster.TagRole, "postgres")

	// Its users.
	a.run(ireland, ids["of an instance"])
	stopped := a.run(ireland, ids["of a stopped instance"])
	_, err = r.StopInstances(ctx, &awsec2.StopInstancesInput{InstanceIds: []string{stopped}})
	a.check(err)
	ended := a.run(ireland, ids["of a terminated instance"])
	_, err = r.TerminateInstances(ctx, &awsec2.TerminateInstancesInput{InstanceIds: []string{ended}})
	a.check(err)
	made("newest", cluster.RolePostgres, nil) // what the templates' latest versions hold, so that they show nothing else
	newest := ids["newest"]
	foreign := a.template("theirs", nil, newest, ids["of a group"], ids["of an override"], newest)
	a.template("defaults", nil, ids["of a default version"], ids["of a latest version"])
	a.template("ours", tagList(cluster.TagCluster, "prod"), newest, ids["too old to roll back to"], ids["to roll back to"], newest)
	version := func(number string) *scaling.LaunchTemplateSpecification {
		return &scaling.LaunchTemplateSpecification{LaunchTemplateId: aws.String(foreign), Version: aws.String(number)}
	}
	r.groups.all = []scaling.AutoScalingGroup{
		{AutoScalingGroupName: aws.String("one")},
		{AutoScalingGroupName: aws.String("two")}, // the rest is on another page
		{AutoScalingGroupName: aws.String("fleet"), LaunchTemplate: version("2")},
		{AutoScalingGroupName: aws.String("mixed"), MixedInstancesPolicy: &scaling.MixedInstancesPolicy{LaunchTemplate: &scaling.LaunchTemplate{
			LaunchTemplateSpecification: &scaling.LaunchTemplateSpecification{LaunchTemplateName: aws.String("defaults"), Version: aws.String("$Default")},
			Overrides:                   []scaling.LaunchTemplateOverrides{{LaunchTemplateSpecification: version("3")}},
		}}},
	}
	_, err = r.EnableImageDeregistrationProtection(ctx, &awsec2.EnableImageDeregistrationProtectionInput{ImageId: aws.String(ids["somebody protected it"])})
	a.check(err)
	share := func(what string, p types.LaunchPermission) {
		_, err := r.ModifyImageAttribute(ctx, &awsec2.ModifyImageAttributeInput{ImageId: aws.String(ids[what]), LaunchPermission: &types.LaunchPermissionModifications{Add: []types.LaunchPermission{p}}})
		a.check(err)
	}
	share("shared", types.LaunchPermission{UserId: aws.String("444455556666")})
	share("public", types.LaunchPermission{Group: types.PermissionGroupAll})
	sharedSnapshot := a.server.Image(ireland, ids["shared snapshot"]).Devices[0].EBS.Snapshot
	r.sharedSnapshots[sharedSnapshot] = "777788889999"

	// Months later.
	a.now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	made("young", cluster.RolePostgres, nil)
	made("newest two", cluster.RolePostgres, nil)
	_, work, err = a.in(ireland).Promote(ctx, newest, "testing", false)
	a.do(work, err)
	a.now = a.now.Add(day)

	policy := ec2.Policy{Keep: 1, MinAge: 7 * day, Versions: 2, Now: a.now}
	told := func(p ec2.Policy) map[string]string {
		calls := len(a.server.Calls(""))
		fates, err := a.catalogue.Plan(ctx, p)
		a.check(err)
		same(t, "a plan's changes", lines(a.changes(calls)), []string{})
		why := map[string]string{}
		for _, f := range fates {
			word := "goes: "
			if f.Keep {
				word = "stays: "
			}
			what := names[f.ID]
			if len(f.Places) > 0 {
				switch f.Places[0].AMI {
				case twinID:
					what = "its twin"
				case unrecorded:
					what = "unrecorded"
				case untagged:
					what = "untagged"
				case others:
					what = "another cluster's"
				}
			}
			text := word + f.Why
			for what, id := range ids {
				text = strings.ReplaceAll(text, id, "["+what+"]")
			}
			text = strings.NewReplacer(stopped, "[stopped]", sharedSnapshot, "[snapshot]").Replace(text)
			why[what] = text
		}
		return why
	}
	gone := "goes: made 2026-09-01 11:00:00, and nothing needs it"
	elsewhere := ", whose machines cannot be seen from here: --shared removes it"
	want := map[string]string{
		"nobody's":                 gone,
		"its twin":                 "goes: the same as [nobody's]",
		"copied":                   gone,
		"of a terminated instance": gone,
		"too old to roll back to":  gone,
		"ours to unprotect":        gone,
		"in a channel":             "stays: in the channel stable, in eu-west-1",
		"newest":                   "stays: in the channel testing, in eu-west-1",
		"of a stopped instance":    "stays: used by instance [stopped], which is stopped, in eu-west-1",
		"of a group":               "stays: used by version 2 of the launch template theirs, which the group fleet launches from, in eu-west-1",
		"of an override":           "stays: used by version 3 of the launch template theirs, which the group mixed launches from, in eu-west-1",
		"of a default version":     "stays: used by version 1 of the launch template defaults, its default one, in eu-west-1",
		"of a latest version":      "stays: used by version 2 of the launch template defaults, its latest one, in eu-west-1",
		"to roll back to":          "stays: used by version 3 of the launch template ours, one of its newest 2, to roll back to, in eu-west-1",
		"somebody protected it":    "stays: somebody protected [somebody protected it] in eu-west-1 from being deregistered",
		"shared":                   "stays: [shared] in eu-west-1 may be launched by 444455556666" + elsewhere,
		"shared snapshot":          "stays: [snapshot] in eu-west-1 may be used by 777788889999" + elsewhere,
		"public":                   "stays: [public] is public in eu-west-1" + elsewhere,
		"alone of its recipe":      "stays: number 1 of the newest 1 of its recipe",
		"unrecorded":               "stays: not recorded: cincbake images push completes it, and --broken removes it",
		"untagged":                 "stays: untagged: it does not say which cluster it is of",
		"another cluster's":        "stays: of the cluster test",
	}
	got := told(policy)
	for _, young := range []string{"young", "newest two"} { // they are of one moment: either is the newest
		if !strings.HasPrefix(got[young], "stays: number 1 of") && got[young] != "stays: made 24h0m0s ago in eu-west-1, less than 168h0m0s" {
			t.Errorf("%s %s", young, got[young])
		}
		delete(got, young)
	}
	if !strings.Contains(got["of an instance"], "running") || !strings.HasPrefix(got["of an instance"], "stays: used by instance ") {
		t.Errorf("of an instance %s", got["of an instance"])
	}
	delete(got, "of an instance")
	same(t, "fates", got, want)

	other := policy
	other.Role, other.Keep, other.Broken, other.Shared = cluster.RoleHeartbeat, 0, true, true
	got = told(other)
	same(t, "another role's", []string{got["nobody's"], got["alone of its recipe"], got["unrecorded"]}, []string{"stays: not a heartbeat image", gone, "stays: not a heartbeat image"})
	other.Role = ""
	got = told(other)
	same(t, "the broken and the shared", []string{got["unrecorded"], got["shared"], got["public"], got["shared snapshot"]}, []string{"goes: not recorded, and nothing needs it", gone, gone, gone})

	// What somebody has come to need since the plan is not removed, and neither is anything else then.
	fates, err := a.catalogue.Plan(ctx, policy)
	a.check(err)
	late := a.run(ireland, ids["nobody's"])
	if _, err := a.catalogue.Remove(ctx, policy, fates); exit.CodeOf(err) != exit.Unsafe || !strings.Contains(err.Error(), late) {
		t.Errorf("what an instance has come to use: %v", err)
	}
	_, err = r.TerminateInstances(ctx, &awsec2.TerminateInstancesInput{InstanceIds: []string{late}})
	a.check(err)

	before := a.state()
	calls := len(a.server.Calls(""))
	a.do(a.catalogue.Remove(ctx, policy, fates))
	counts := map[string]int{}
	var order []string
	for _, c := range a.changes(calls) {
		counts[c.Action]++
		if c.Params.String("ImageId") == ids["ours to unprotect"] {
			order = append(order, c.Action)
		}
	}
	same(t, "calls", counts, map[string]int{"DisableImageDeregistrationProtection": 1, "DeregisterImage": 7, "DeleteSnapshot": 7})
	same(t, "order", order, []string{"DisableImageDeregistrationProtection", "DeregisterImage"})
	if after := a.state(); len(before)-len(after) != 14 {
		t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	fates, err = a.catalogue.Plan(ctx, policy)
	a.check(err)
	if slices.ContainsFunc(fates, func(f ec2.Fate) bool { return !f.Keep }) {
		t.Errorf("something is left to go: %+v", fates)
	}
	same(t, "again", a.do(a.catalogue.Remove(ctx, policy, fates)), []string{})
}

// copyOf copies an image to Frankfurt.
func copyOf(a *account, name string) (ec2.Work, error) {
	_, work, err := a.catalogue.Copy(a.t.Context(), name, []ec2.Target{{Region: frankfurt, Key: ourKey}}, nil)
	return work, err
}

// A region that needs an image keeps it in all, and a copy that AWS is still making keeps what it is a copy of.
func TestPruneIsOfWholeImages(t *testing.T) {
	a := newAccount(t, 1)
	ctx := t.Context()
	e, _ := a.pushed(cluster.RolePostgres, "a")
	a.do(copyOf(a, e.ID))
	image, err := a.catalogue.Show(ctx, e.ID)
	a.check(err)
	p, _ := image.In(frankfurt)
	a.run(frankfurt, p.AMI)
	a.now = a.now.Add(30 * day)
	half, id := a.pushed(cluster.RolePostgres, "b")
	a.now = a.now.Add(30 * day)
	work, err := copyOf(a, half.ID)
	a.check(err)
	a.check(work[:1].Do(ctx, func(ec2.Step) {})) // stopped while AWS copies
	fates, err := a.catalogue.Plan(ctx, ec2.Policy{MinAge: day, Now: a.now, Broken: true})
	a.check(err)
	why := map[string]string{}
	for _, f := range fates {
		why[f.ID] = f.Why
		if !f.Keep {
			t.Errorf("%s goes: %s", f.ID, f.Why)
		}
	}
	if !strings.HasPrefix(why[e.ID], "used by instance ") || why[half.ID] != "made 0s ago in eu-central-1, less than 24h0m0s" {
		t.Errorf("%s: %v", id, why)
	}
}

// A snapshot that two AMIs have keeps both.
func TestPruneSpareSnapshotsOfTwo(t *testing.T) {
	a := newAccount(t, 0)
	_, id := a.pushed(cluster.RolePostgres, "a")
	snapshot := a.server.Image(ireland, id).Devices[0].EBS.Snapshot
	other, err := a.clients[ireland].RegisterImage(t.Context(), &awsec2.RegisterImageInput{
		Name: aws.String("other"), Architecture: types.ArchitectureValuesX8664, RootDeviceName: aws.String("/dev/xvda"),
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: aws.String(snapshot)}}},
	})
	a.check(err)
	fates, err := a.catalogue.Plan(t.Context(), ec2.Policy{Now: a.now.Add(day)})
	a.check(err)
	same(t, "why", fates[0].Why, "its snapshot "+snapshot+" in eu-west-1 is that of "+*other.ImageId+" too")
	if !fates[0].Keep {
		t.Error("it goes")
	}
}

// Templates of others change at any time, and may launch by parameters that nobody here may read: prune goes on where it can
// tell that no image of the cluster's is meant, and else says what it lacks.
func TestPruneBesideMovingTemplates(t *testing.T) {
	a := newAccount(t, 0)
	r := a.clients[ireland]
	_, kept := a.pushed(cluster.RolePostgres, "a")
	_, goes := a.pushed(cluster.RolePostgres, "b")
	a.now = a.now.Add(30 * day)
	plan := func() (map[string]bool, error) {
		fates, err := a.catalogue.Plan(t.Context(), ec2.Policy{MinAge: day, Now: a.now})
		stays := map[string]bool{}
		for _, f := range fates {
			stays[f.Places[0].AMI] = f.Keep
		}
		return stays, err
	}
	theirs := a.template("theirs", nil, kept)
	r.groups.all = []scaling.AutoScalingGroup{{
		AutoScalingGroupName: aws.String("fleet"),
		Instances:            []scaling.Instance{{LaunchTemplate: &scaling.LaunchTemplateSpecification{LaunchTemplateId: aws.String(theirs), Version: aws.String("7")}}},
	}}
	stays, err := plan()
	a.check(err)
	same(t, "a version is gone", stays, map[string]bool{kept: true, goes: false})

	r.groups.all = nil
	a.server.Inject(fakeaws.Refuse("DescribeLaunchTemplateVersions", "InvalidLaunchTemplateId.NotFound", "gone since it was listed"))
	stays, err = plan()
	a.check(err)
	same(t, "the template is gone", stays, map[string]bool{kept: false, goes: false})
	a.server.Mend()

	// What cannot be resolved.
	a.template("by AWS's parameter", nil, "resolve:ssm:/aws/service/debian")
	stays, err = plan()
	a.check(err)
	same(t, "an alias that is AWS's own", stays, map[string]bool{kept: true, goes: false})
	a.template("by a parameter", nil, "resolve:ssm:/theirs")
	if _, err := plan(); err == nil || !strings.Contains(err.Error(), "allow ssm:GetParameters") {
		t.Errorf("an alias that may stand for any image: %v", err)
	}
}
