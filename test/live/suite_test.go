package live

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	autoscalingtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	catalogue "github.com/cincbake/cincbake/images/ec2"
	"github.com/cincbake/cincbake/launch"
)

// debian is the account that Debian publishes its images from.
const debian = "136693071363"

// channel is the channel that the suite promotes to.
const channel = "live"

// pace is how long things may take.
type pace struct {
	poll   time.Duration // between two looks
	within time.Duration // until machines are ready, or something is gone
	bad    time.Duration // until a machine that never gets ready is given up
	rest   time.Duration // of a refresh, after its first machine
}

// account is the account that the suite runs in, with its throwaway cluster.
type account struct {
	*testing.T
	pace      pace
	r         *cluster.Resolved
	ec2       *ec2.Client
	groups    *autoscaling.Client
	ssm       *ssm.Client
	s3        *s3.Client
	fleet     *launch.Fleet
	catalogue *catalogue.Catalogue
	group     string // the pool's name
}

// newAccount connects to the account. The cluster is the spec's, with a name of its own and a pool of one or two machines.
func newAccount(t *testing.T, sdk aws.Config, r *cluster.Resolved, p pace) *account {
	t.Helper()
	own := *r
	pool := *r.API
	pool.Min, pool.Max = 1, 2
	own.Name, own.API = Cluster, &pool
	a := &account{
		T: t, pace: p, r: &own, ec2: ec2.NewFromConfig(sdk), groups: autoscaling.NewFromConfig(sdk), ssm: ssm.NewFromConfig(sdk), s3: s3.NewFromConfig(sdk),
	}
	a.fleet = &launch.Fleet{
		Cluster: &own, Poll: p.poll, Heard: func(whom, what string) { t.Logf("%s: %s", whom, what) },
		Services: launch.Services{
			EC2: a.ec2, AutoScaling: a.groups, Targets: elasticloadbalancingv2.NewFromConfig(sdk), Parameters: a.ssm,
			Access: iam.NewFromConfig(sdk), Quotas: servicequotas.NewFromConfig(sdk), Caller: sts.NewFromConfig(sdk),
		},
	}
	made, err := catalogue.New(catalogue.Options{
		Cluster: Cluster, Bucket: r.AWS.Bucket, Prefix: Cluster, Objects: a.s3, Interval: p.poll,
		Regions: []catalogue.Region{{Name: r.Region, EC2: a.ec2, Parameters: a.ssm, Groups: a.groups}},
	})
	a.catalogue = made
	a.check(err)
	a.group = own.GroupName(own.NodesOf(cluster.RoleAPI)[0])
	return a
}

func (a *account) check(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// until waits until a look says that it is done.
func (a *account) until(ctx context.Context, what string, look func(context.Context) (bool, error)) error {
	ctx, stop := context.WithTimeout(ctx, a.pace.within)
	defer stop()
	tick := time.NewTicker(a.pace.poll)
	defer tick.Stop()
	for {
		done, err := look(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", what, err)
		case done:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %v", what, a.pace.within)
		case <-tick.C:
		}
	}
}

// run is the suite. What it leaves is swept when the test ends.
func (a *account) run() {
	a.Helper()
	ctx := a.Context()
	a.check(a.sweep(ctx))
	a.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*a.pace.within)
		defer stop()
		if err := a.sweep(ctx); err != nil {
			a.Errorf("what has the tag %s=%s must be removed by hand: %v", cluster.TagCluster, Cluster, err)
			return
		}
		left, err := a.left(ctx)
		if err != nil || len(left) > 0 {
			a.Errorf("still there: %q, %v", left, err)
		}
	})

	good, goodAMI := a.bake("good")
	bad, badAMI := a.bake("bad")
	a.attend(goodAMI)

	a.Log("a good image")
	a.promote(good)
	a.apply(true)
	a.serves(goodAMI)

	a.Log("a bad image stops the rollout at its first machine")
	a.promote(bad)
	a.apply(true)
	rollout := launch.Rollout{Fleet: a.fleet, Within: a.pace.bad, Rest: a.pace.rest}
	if err := rollout.Run(ctx); err == nil || !strings.Contains(err.Error(), "cincbake launch rollback api") {
		a.Errorf("the rollout of a bad image: %v", err)
	}

	a.Log("the way back")
	rollout.Within = a.pace.within
	back := launch.Rollback{Rollout: rollout}
	back.Roles = []cluster.Role{cluster.RoleAPI}
	steps, err := back.Plan(ctx)
	a.check(err)
	if len(steps) != 1 || steps[0].Image != goodAMI {
		a.Fatalf("the way back is %+v", steps)
	}
	a.check(back.Run(ctx, steps))
	a.promote(good)
	a.apply(false)
	a.serves(goodAMI)

	a.Log("prune: what is used stays")
	a.prune(map[string]bool{good: true, bad: true}) // the bad one by the template's newest version
	a.check(a.sweepMachines(ctx))
	a.prune(map[string]bool{good: true, bad: false})
	if _, there := a.image(badAMI); there {
		a.Errorf("%s is still there", badAMI)
	}
}

// bake makes what a bake would: an AMI with its tags, which here is a copy of Debian's, and a record, which is pushed.
func (a *account) bake(name string) (image, ami string) {
	a.Helper()
	ctx := a.Context()
	tags := []types.Tag{}
	for key, value := range map[string]string{
		cluster.TagCluster: Cluster, cluster.TagRole: string(cluster.RoleAPI), cluster.TagRecipe: a.r.Recipe(cluster.RoleAPI).Digest(),
	} {
		tags = append(tags, types.Tag{Key: &key, Value: &value})
	}
	in := &ec2.CopyImageInput{
		Name: aws.String(Cluster + "-" + name), SourceImageId: aws.String(a.base()), SourceRegion: &a.r.Region, Encrypted: aws.Bool(true),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeImage, Tags: tags}, {ResourceType: types.ResourceTypeSnapshot, Tags: tags}},
	}
	if key := a.r.AWS.VolumeKey; key != "" {
		in.KmsKeyId = &key
	}
	out, err := a.ec2.CopyImage(ctx, in)
	a.check(err)
	ami = *out.ImageId
	local, err := images.Open(filepath.Join(a.TempDir(), "images"))
	a.check(err)
	manifest := []string{`"/etc/motd" file 0644 0:0 sha256:` + strings.Repeat(map[string]string{"good": "a", "bad": "b"}[name], 64)}
	entry, err := local.Add(ctx, func(d *images.Draft) (images.Record, error) {
		record := images.Report{Recipe: a.r.Recipe(cluster.RoleAPI), ContentDigest: images.DigestOf(manifest), AgentVersion: "live", DocumentFormat: 1}.Record()
		record.Created = time.Now()
		record.Packages = []images.Package{{Name: "base-files", Version: "13", Arch: a.r.Image.Arch}}
		d.InCloud(images.Artefact{Kind: images.KindAMI, Region: a.r.Region, ID: ami})
		return record, d.Manifest(manifest)
	})
	a.check(err)
	for again := range 2 {
		work, err := a.catalogue.Push(ctx, entry) // waits until the copy is whole
		a.check(err)
		if again == 1 && len(work) > 0 {
			a.Errorf("pushed again, %s needs %+v", name, work)
		}
		a.check(work.Do(ctx, func(catalogue.Step) {}))
	}
	return entry.ID, ami
}

// base is Debian's newest image.
func (a *account) base() string {
	a.Helper()
	out, err := a.ec2.DescribeImages(a.Context(), &ec2.DescribeImagesInput{
		Owners: []string{debian}, Filters: []types.Filter{{Name: aws.String("name"), Values: []string{"debian-13-" + a.r.Image.Arch + "-*"}}},
	})
	a.check(err)
	if len(out.Images) == 0 {
		a.Fatalf("Debian has no image for %s in %s", a.r.Image.Arch, a.r.Region)
	}
	return *slices.MaxFunc(out.Images, func(x, y types.Image) int {
		return strings.Compare(aws.ToString(x.CreationDate), aws.ToString(y.CreationDate))
	}).ImageId
}

// promote lets the channel point to an image, twice.
func (a *account) promote(image string) {
	a.Helper()
	for again := range 2 {
		_, work, err := a.catalogue.Promote(a.Context(), image, channel, true)
		a.check(err)
		if again == 1 && len(work) > 0 {
			a.Errorf("promoted again, %s needs %+v", image, work)
		}
		a.check(work.Do(a.Context(), func(catalogue.Step) {}))
	}
}

// apply plans, looks whether anything is missing, and applies, twice. Does tells whether there is anything to do.
func (a *account) apply(does bool) {
	a.Helper()
	ctx := a.Context()
	chosen, err := a.fleet.Images(ctx, channel, nil)
	a.check(err)
	plan, err := a.fleet.Plan(ctx, chosen)
	a.check(err)
	a.check(a.fleet.Preflight(ctx, plan))
	if (len(plan.Changes) > 0) != does {
		a.Errorf("the plan is\n%s", plan)
	}
	_, err = a.fleet.Apply(ctx, chosen)
	a.check(err)
	again, err := a.fleet.Apply(ctx, chosen)
	a.check(err)
	if len(again) > 0 {
		a.Errorf("applied again, it changes %+v", again)
	}
}

// attend completes the ready hook of machines that boot from the AMI, as their agents would, until the test ends.
func (a *account) attend(ami string) {
	a.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(a.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(a.pace.poll)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := a.complete(ctx, ami); err != nil && ctx.Err() == nil {
					a.Logf("in the agents' place: %v", err) // the next look may see more
				}
			}
		}
	}()
	a.Cleanup(func() { stop(); <-done })
}

func (a *account) complete(ctx context.Context, ami string) error {
	group, err := a.groups.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{a.group}})
	if err != nil || len(group.AutoScalingGroups) == 0 {
		return err
	}
	for _, i := range group.AutoScalingGroups[0].Instances {
		if i.LifecycleState != autoscalingtypes.LifecycleStatePendingWait {
			continue
		}
		out, err := a.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{*i.InstanceId}})
		if err != nil {
			return err
		}
		if len(out.Reservations) == 0 || aws.ToString(out.Reservations[0].Instances[0].ImageId) != ami {
			continue
		}
		if _, err := a.groups.CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{
			AutoScalingGroupName: &a.group, LifecycleHookName: aws.String(cluster.ReadyHook), InstanceId: i.InstanceId, LifecycleActionResult: aws.String("CONTINUE"),
		}); err != nil {
			return err
		}
	}
	return nil
}

// serves waits until all groups are as they are to be, by machines of the AMI.
func (a *account) serves(ami string) {
	a.Helper()
	a.check(a.until(a.Context(), "the pool serves", func(ctx context.Context) (bool, error) {
		status, err := a.fleet.Status(ctx)
		return err == nil && status.Green() && status.Groups[0].Image == ami, err
	}))
}

// prune holds what becomes of images to what is expected of each, and lets go what goes.
func (a *account) prune(want map[string]bool) {
	a.Helper()
	policy := catalogue.Policy{Role: cluster.RoleAPI, Now: time.Now().Add(time.Hour)}
	fates, err := a.catalogue.Plan(a.Context(), policy)
	a.check(err)
	got := map[string]bool{}
	for _, fate := range fates {
		if _, ours := want[fate.ID]; ours {
			got[fate.ID] = fate.Keep
			if fate.Keep != want[fate.ID] || fate.Why == "" {
				a.Errorf("%s stays: %v, since %s", fate.ID, fate.Keep, fate.Why)
			}
		} else if !fate.Keep {
			a.Fatalf("%s, which is not the suite's, would go: %s", fate.ID, fate.Why)
		}
	}
	if len(got) != len(want) {
		a.Errorf("prune knows of %v", got)
	}
	work, err := a.catalogue.Remove(a.Context(), policy, fates)
	a.check(err)
	a.check(work.Do(a.Context(), func(catalogue.Step) {}))
}

func (a *account) image(ami string) (types.Image, bool) {
	a.Helper()
	out, err := a.ec2.DescribeImages(a.Context(), &ec2.DescribeImagesInput{Filters: []types.Filter{{Name: aws.String("image-id"), Values: []string{ami}}}})
	a.check(err)
	if len(out.Images) == 0 {
		return types.Image{}, false
	}
	return out.Images[0], true
}
