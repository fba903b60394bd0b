package ec2_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/ec2"
	"github.com/cincbake/cincbake/internal/sdk"
	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/fakeaws/rights"
)

const (
	ireland   = "eu-west-1"
	frankfurt = "eu-central-1"
	day       = 24 * time.Hour
	ourKey    = "alias/ours"
)

// The access keys. The test's own may do everything; the others may do what their roles may, in both regions.
const (
	anyone   = "AKIAEXAMPLE"
	promoter = "AKIAPROMOTE"
	baker    = "AKIABAKE"
)

// account is an account on a fake AWS, with the catalogue of the cluster "prod" in two regions.
type account struct {
	t         *testing.T
	server    *fakeaws.Server
	catalogue *ec2.Catalogue // as whoever promotes has it
	baking    *ec2.Catalogue // as whoever bakes has it
	unlimited *ec2.Catalogue // as somebody has it who may do everything
	local     *images.Catalogue
	clients   map[string]region
	now       time.Time
	builders  map[string]string // by region: an instance that AMIs are made of
}

// region is the real clients of one region. What the fake lacks is answered by the fields.
type region struct {
	*awsec2.Client
	parameters *ssm.Client
	groups     *groups
	// sharedSnapshots are those that others may make volumes of, with the account.
	sharedSnapshots map[string]string
}

func (r region) DescribeSnapshotAttribute(_ context.Context, in *awsec2.DescribeSnapshotAttributeInput, _ ...func(*awsec2.Options)) (*awsec2.DescribeSnapshotAttributeOutput, error) {
	reply := &awsec2.DescribeSnapshotAttributeOutput{SnapshotId: in.SnapshotId}
	if who := r.sharedSnapshots[*in.SnapshotId]; who != "" {
		reply.CreateVolumePermissions = []types.CreateVolumePermission{{UserId: aws.String(who)}}
	}
	return reply, nil
}

// groups are the autoscaling groups of a region, two on a page.
type groups struct{ all []scaling.AutoScalingGroup }

func (g *groups) DescribeAutoScalingGroups(_ context.Context, in *autoscaling.DescribeAutoScalingGroupsInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error) {
	from := len(aws.ToString(in.NextToken))
	to := min(from+2, len(g.all))
	reply := &autoscaling.DescribeAutoScalingGroupsOutput{AutoScalingGroups: g.all[from:to]}
	if to < len(g.all) {
		reply.NextToken = aws.String(strings.Repeat("x", to))
	}
	return reply, nil
}

// newAccount makes an account. Its clock stands at the end of November until a test sets it.
func newAccount(t *testing.T, polls int) *account {
	t.Helper()
	a := &account{t: t, now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), clients: map[string]region{}, builders: map[string]string{}}
	a.server = fakeaws.New(fakeaws.Options{
		Polls: polls, Now: func() time.Time { return a.now },
		Images: []fakeaws.Image{{Name: "debian-13-amd64-1", Owner: "136693071363", Created: "2026-11-01T12:00:00.000Z"}},
	})
	t.Cleanup(a.server.Close)
	a.server.AddBucket(ireland, "records")
	var err error
	if a.local, err = images.Open(filepath.Join(t.TempDir(), "images")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ireland, frankfurt} {
		a.clients[name] = region{awsec2.NewFromConfig(a.sdk(name, anyone)), ssm.NewFromConfig(a.sdk(name, anyone)), &groups{}, map[string]string{}}
	}
	text, err := cluster.Example(cluster.SelfHosted, cluster.AWS)
	a.check(err)
	var clusters []*cluster.Resolved
	for _, name := range []string{ireland, frankfurt} {
		spec, err := cluster.Parse("cluster.yaml", []byte(strings.ReplaceAll(text, ireland, name)))
		a.check(err)
		r, err := spec.Resolve()
		a.check(err)
		clusters = append(clusters, r)
	}
	rights.Limit(t, a.server, fakeaws.Caller{Key: promoter}, "promote", clusters...)
	rights.Limit(t, a.server, fakeaws.Caller{Key: baker}, "bake", clusters...)
	a.catalogue = a.in(ireland, frankfurt)
	a.baking = a.open(baker, time.Minute, ireland, frankfurt)
	a.unlimited = a.open(anyone, time.Minute, ireland, frankfurt)
	return a
}

// in returns a catalogue of some of the regions.
func (a *account) in(names ...string) *ec2.Catalogue {
	a.t.Helper()
	return a.open(promoter, time.Minute, names...)
}

// impatient returns a catalogue that waits for nothing long.
func (a *account) impatient() *ec2.Catalogue {
	a.t.Helper()
	return a.open(promoter, 50*time.Millisecond, ireland, frankfurt)
}

func (a *account) open(key string, patience time.Duration, names ...string) *ec2.Catalogue {
	a.t.Helper()
	options := ec2.Options{Cluster: "prod", Bucket: "records", Objects: s3.NewFromConfig(a.sdk(ireland, key)), Interval: time.Millisecond, Patience: patience, Now: func() time.Time { return a.now }}
	for _, name := range names {
		r := a.clients[name]
		r.Client, r.parameters = awsec2.NewFromConfig(a.sdk(name, key)), ssm.NewFromConfig(a.sdk(name, key))
		options.Regions = append(options.Regions, ec2.Region{Name: name, EC2: r, Parameters: r.parameters, Groups: r.groups})
	}
	c, err := ec2.New(options)
	a.check(err)
	return c
}

// sdk is how the real clients find the fake. They try again at once.
func (a *account) sdk(region, key string) aws.Config {
	return aws.Config{
		HTTPClient: sdk.ReadOnly(awshttp.NewBuildableClient()),
		Region:     region, BaseEndpoint: aws.String(a.server.URL), Credentials: credentials.NewStaticCredentialsProvider(key, "secret", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.RateLimiter = unlimited{}
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		},
	}
}

// unlimited lets clients try again as often as they like: faults are meant to be met.
type unlimited struct{}

func (unlimited) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (unlimited) AddTokens(uint) error { return nil }

func (a *account) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// run runs an instance of an AMI; of the public one with "".
func (a *account) run(name, ami string) string {
	a.t.Helper()
	r := a.clients[name]
	if ami == "" {
		all, err := r.DescribeImages(a.t.Context(), &awsec2.DescribeImagesInput{Owners: []string{"136693071363"}})
		a.check(err)
		ami = *all.Images[0].ImageId
	}
	made, err := r.RunInstances(a.t.Context(), &awsec2.RunInstancesInput{
		ImageId: aws.String(ami), InstanceType: types.InstanceTypeM6iLarge, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{Encrypted: aws.Bool(true), KmsKeyId: aws.String(ourKey)}}},
	})
	a.check(err)
	return *made.Instances[0].InstanceId
}

// ami makes an AMI with a snapshot, as a bake leaves it; tags are pairs, and both have them.
func (a *account) ami(name, called string, tags ...string) string {
	a.t.Helper()
	ctx, r := a.t.Context(), a.clients[name]
	if a.builders[name] == "" {
		a.builders[name] = a.run(name, "")
		for range 10 { // it takes its time
			_, err := r.DescribeInstances(ctx, &awsec2.DescribeInstancesInput{})
			a.check(err)
		}
	}
	input := &awsec2.CreateImageInput{InstanceId: aws.String(a.builders[name]), Name: aws.String(called)}
	if len(tags) > 0 {
		var list []types.Tag
		for n := 0; n < len(tags); n += 2 {
			list = append(list, types.Tag{Key: aws.String(tags[n]), Value: aws.String(tags[n+1])})
		}
		input.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeImage, Tags: list}, {ResourceType: types.ResourceTypeSnapshot, Tags: list}}
	}
	made, err := r.CreateImage(ctx, input)
	a.check(err)
	return *made.ImageId
}

// recipe is what postgres images are made from.
func recipe(role cluster.Role) cluster.Recipe {
	r := cluster.Recipe{Format: cluster.RecipeFormat, Role: role, Platform: cluster.AWS, OS: "debian-13", Arch: "amd64"}
	if role == cluster.RolePostgres {
		r.PostgresVersion = 13
	}
	return r
}

// bake bakes an image in Ireland: an AMI with the bake's own tags, and an entry in the folder. The digit is its content's.
func (a *account) bake(role cluster.Role, digit string, change func(*images.Record)) (images.Entry, string) {
	a.t.Helper()
	called := fmt.Sprintf("cincbake-%s-%s-%d", role, digit, len(a.server.Calls("CreateImage")))
	id := a.ami(ireland, called, cluster.TagCluster, "prod", cluster.TagRole, string(role), cluster.TagRecipe, recipe(role).Digest())
	return a.entry(role, digit, id, change), id
}

// entry adds an image to the folder whose AMI there is.
func (a *account) entry(role cluster.Role, digit, ami string, change func(*images.Record)) images.Entry {
	a.t.Helper()
	e, err := a.local.Add(a.t.Context(), func(d *images.Draft) (images.Record, error) {
		manifest := []string{`"/" dir 0755 0:0`, `"/etc/motd-` + digit + `" file 0644 0:0 sha256:` + strings.Repeat("a", 64)}
		record := images.Report{
			Recipe: recipe(role), ContentDigest: images.DigestOf(manifest), AgentVersion: "v0.1.0", DocumentFormat: 1,
			Packages: []images.Package{{Name: "libc6", Version: "2.41-1" + digit, Arch: "amd64"}},
		}.Record()
		record.Created, record.Booted = a.now.Add(-time.Hour), a.now.Add(-time.Minute)
		if change != nil {
			change(&record)
		}
		d.InCloud(images.Artefact{Kind: images.KindAMI, Region: ireland, ID: ami})
		return record, d.Manifest(manifest)
	})
	a.check(err)
	return e
}

// pushed bakes an image and pushes it.
func (a *account) pushed(role cluster.Role, digit string) (images.Entry, string) {
	a.t.Helper()
	e, id := a.bake(role, digit, nil)
	a.do(a.baking.Push(a.t.Context(), e))
	return e, id
}

// do does work, and returns its steps.
func (a *account) do(work ec2.Work, err error) []string {
	a.t.Helper()
	a.check(err)
	steps := []string{}
	a.check(work.Do(a.t.Context(), func(s ec2.Step) { steps = append(steps, strings.TrimSpace(s.Region+" "+s.What)) }))
	return steps
}

// mutating are the actions that change something.
var mutating = []string{
	"PutObject", "PutParameter", "CreateTags", "CopyImage", "ModifyImageAttribute", "EnableImageDeprecation", "EnableImageDeregistrationProtection",
	"DisableImageDeregistrationProtection", "DeregisterImage", "DeleteSnapshot",
}

// changes lists the calls that changed something, after the first so many.
func (a *account) changes(after int) []fakeaws.Call {
	var list []fakeaws.Call
	for _, c := range a.server.Calls("")[after:] {
		if slices.Contains(mutating, c.Action) {
			list = append(list, c)
		}
	}
	return list
}

func lines(calls []fakeaws.Call) []string {
	list := []string{}
	for _, c := range calls {
		list = append(list, c.String())
	}
	return list
}

// state is everything that the catalogue keeps on AWS, in words that are the same for every run.
func (a *account) state() []string {
	var list []string
	for _, r := range a.server.Resources() {
		if r.Kind != "image" && r.Kind != "snapshot" {
			continue
		}
		tags := []string{}
		for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
			tags = append(tags, strings.TrimPrefix(key, "cincbake:")+"="+r.Tags[key])
		}
		line := fmt.Sprintf("%s in %s: %s", r.Kind, r.Region, strings.Join(tags, " "))
		if r.Kind == "image" {
			i := a.server.Image(r.Region, r.ID)
			line += fmt.Sprintf(" name=%s protection=%s deprecated=%s", i.Name, i.Protection, i.Deprecated)
			has, err := a.clients[r.Region].DescribeImageAttribute(a.t.Context(), &awsec2.DescribeImageAttributeInput{ImageId: aws.String(r.ID), Attribute: types.ImageAttributeNameLaunchPermission})
			a.check(err)
			for _, p := range has.LaunchPermissions {
				line += " launched-by=" + aws.ToString(p.UserId)
			}
		}
		list = append(list, line)
	}
	for _, name := range []string{ireland, frankfurt} {
		for _, role := range cluster.Roles() {
			at := a.server.Parameter(name, cluster.ChannelParameter("prod", role, "stable"))
			if at != "" {
				list = append(list, fmt.Sprintf("%s@stable in %s is %s", role, name, a.server.Image(name, at).Name))
			}
		}
	}
	slices.Sort(list)
	return append(list, a.server.Objects("records")...)
}

// untagged lists AMIs and snapshots that do not say whose they are.
func (a *account) untagged() []string {
	var list []string
	for _, r := range a.server.Resources() {
		if (r.Kind == "image" || r.Kind == "snapshot") && r.Tags[cluster.TagCluster] == "" {
			list = append(list, r.String())
		}
	}
	return list
}

func tagList(key, value string) []types.Tag {
	return []types.Tag{{Key: aws.String(key), Value: aws.String(value)}}
}
