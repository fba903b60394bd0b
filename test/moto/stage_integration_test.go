//go:build integration

package moto_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/aws/smithy-go"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/ec2"
	"github.com/cincbake/cincbake/internal/sdk"
	"github.com/cincbake/cincbake/launch"
	"github.com/cincbake/cincbake/test/moto"
)

const (
	ireland   = "eu-west-1"
	frankfurt = "eu-central-1"
	bucket    = "records"
	profile   = "prod-api"
	key       = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa"
	copyKey   = "arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000bbbb"
)

// account is what a stand-in is told in other ways than by the calls of commands.
type account struct {
	prepare func(s *stage, vpc string) (targetGroup string) // what commands need, and do not make
	spoil   func(image string)                              // an image whose machines never get ready
	halt    func(bool)                                      // stops the account's clock, or lets it go on
}

// stage is where the commands run: an account behind a proxy.
type stage struct {
	*testing.T
	proxy   *moto.Proxy
	behind  string // the stand-in's own address
	account account
	local   *images.Catalogue
	fleet   *launch.Fleet
	both    *ec2.Catalogue // in both regions
	here    *ec2.Catalogue // in Ireland
	subnets []string       // of the zones, in order
	group   string         // a security group
	target  string         // a target group
	builder string         // the instance that images are made of
	facts   map[string]string
	labels  map[string]string // of ids
	root    string            // the root device of images
	past    int               // calls that a fact tells already
}

func newStage(t *testing.T, behind string, substitutes []moto.Substitute, a account) *stage {
	t.Helper()
	proxy, err := moto.New(behind, substitutes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": proxy.URL, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_PROFILE": "", "AWS_REGION": ireland,
	} {
		t.Setenv(name, value)
	}
	s := &stage{T: t, proxy: proxy, behind: behind, account: a, facts: map[string]string{}, labels: map[string]string{}}
	s.local, err = images.Open(filepath.Join(t.TempDir(), "images"))
	s.check(err)
	s.both, s.here = s.catalogue(ireland, frankfurt), s.catalogue(ireland)
	s.furnish()
	return s
}

// sdk is how commands find AWS.
func (s *stage) sdk(region string) aws.Config {
	s.Helper()
	loaded, err := sdk.Load(s.Context(), region, config.WithLogger(logging.Nop{}))
	s.check(err)
	return loaded
}

func (s *stage) ec2(region string) *awsec2.Client { return awsec2.NewFromConfig(s.sdk(region)) }

func (s *stage) catalogue(regions ...string) *ec2.Catalogue {
	s.Helper()
	options := ec2.Options{Cluster: "prod", Bucket: bucket, Objects: s3.NewFromConfig(s.sdk(ireland)), Interval: 10 * time.Millisecond, Patience: time.Minute}
	for _, name := range regions {
		settings := s.sdk(name)
		options.Regions = append(options.Regions, ec2.Region{Name: name, EC2: awsec2.NewFromConfig(settings), Parameters: ssm.NewFromConfig(settings), Groups: autoscaling.NewFromConfig(settings)})
	}
	made, err := ec2.New(options)
	s.check(err)
	return made
}

// spec is what an example leaves to its users: what a cluster uses in its account.
const spec = `
aws:
  bucket: ` + bucket + `
  key: ` + key + `
  instanceProfiles: {%s}
  securityGroups: {%s}
  targetGroups: ["%s"]
`

// cluster is an example in this account, under a name; tiers are those with machines of their own.
func (s *stage) cluster(topology cluster.Topology, name string, tiers ...string) *cluster.Resolved {
	s.Helper()
	text, err := cluster.Example(topology, cluster.AWS)
	s.check(err)
	var profiles, groups []string
	for _, tier := range tiers {
		profiles, groups = append(profiles, tier+": "+profile), append(groups, tier+": ["+s.group+"]")
	}
	text = strings.NewReplacer(
		"name: prod ", "name: "+name+" ", "subnet-0a1b2c3d4e5f60718", s.subnets[0], "subnet-1b2c3d4e5f6071829", s.subnets[1], "subnet-2c3d4e5f607182930", s.subnets[2],
	).Replace(text) + fmt.Sprintf(spec, strings.Join(profiles, ", "), strings.Join(groups, ", "), s.target)
	parsed, err := cluster.Parse("cluster.yaml", []byte(text))
	s.check(err)
	if problems := parsed.LaunchProblems(); len(problems) > 0 {
		s.Fatal(problems)
	}
	resolved, err := parsed.Resolve()
	s.check(err)
	return resolved
}

// newFleet is the machines of a cluster.
func (s *stage) newFleet(r *cluster.Resolved) *launch.Fleet {
	s.Helper()
	settings := s.sdk(ireland)
	return &launch.Fleet{
		Cluster: r, Keep: 1, Poll: 5 * time.Millisecond,
		Services: launch.Services{
			EC2: awsec2.NewFromConfig(settings), AutoScaling: autoscaling.NewFromConfig(settings), Targets: elasticloadbalancingv2.NewFromConfig(settings), Parameters: ssm.NewFromConfig(settings),
			Access: iam.NewFromConfig(settings), Quotas: servicequotas.NewFromConfig(settings), Caller: sts.NewFromConfig(settings),
		},
	}
}

// furnish makes what commands find: a bucket, the network's parts, a machine to bake in.
func (s *stage) furnish() {
	s.Helper()
	ctx, client := s.Context(), s.ec2(ireland)
	_, err := s3.NewFromConfig(s.sdk(ireland)).CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: aws.String(bucket), CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: ireland},
	})
	s.check(err)
	subnets, err := client.DescribeSubnets(ctx, &awsec2.DescribeSubnetsInput{})
	s.check(err)
	groups, err := client.DescribeSecurityGroups(ctx, &awsec2.DescribeSecurityGroupsInput{Filters: []types.Filter{{Name: aws.String("group-name"), Values: []string{"default"}}}})
	s.check(err)
	slices.SortFunc(subnets.Subnets, func(a, b types.Subnet) int { return strings.Compare(*a.AvailabilityZone, *b.AvailabilityZone) })
	for _, subnet := range subnets.Subnets {
		s.subnets = append(s.subnets, *subnet.SubnetId)
	}
	s.group, s.target = *groups.SecurityGroups[0].GroupId, s.account.prepare(s, *subnets.Subnets[0].VpcId)
	s.fleet = s.newFleet(s.cluster(cluster.Managed, "prod", "api"))
	public, err := client.DescribeImages(ctx, &awsec2.DescribeImagesInput{Owners: []string{"136693071363"}})
	s.check(err)
	made, err := client.RunInstances(ctx, &awsec2.RunInstancesInput{
		ImageId: public.Images[0].ImageId, InstanceType: types.InstanceTypeM6iLarge, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: public.Images[0].RootDeviceName, Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(8), Encrypted: aws.Bool(true), KmsKeyId: aws.String(key)}}},
	})
	s.check(err)
	s.builder = *made.Instances[0].InstanceId
}

// image makes an AMI with the tags that a bake gives it.
func (s *stage) image(name, of string, recipe cluster.Recipe) string {
	s.Helper()
	var tags []types.Tag
	for _, tag := range [][2]string{{cluster.TagCluster, of}, {cluster.TagRole, string(recipe.Role)}, {cluster.TagRecipe, recipe.Digest()}} {
		tags = append(tags, types.Tag{Key: aws.String(tag[0]), Value: aws.String(tag[1])})
	}
	made, err := s.ec2(ireland).CreateImage(s.Context(), &awsec2.CreateImageInput{
		InstanceId: aws.String(s.builder), Name: aws.String(name),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeImage, Tags: tags}, {ResourceType: types.ResourceTypeSnapshot, Tags: tags}},
	})
	s.check(err)
	return *made.ImageId
}

// bake leaves what a bake does: an AMI with tags, and an entry in the folder.
func (s *stage) bake(n int) (images.Entry, string) {
	s.Helper()
	recipe := s.fleet.Cluster.Recipe(cluster.RoleAPI)
	ami := s.image(fmt.Sprintf("cincbake-prod-api-%d", n), "prod", recipe)
	entry, err := s.local.Add(s.Context(), func(d *images.Draft) (images.Record, error) {
		manifest := []string{`"/" dir 0755 0:0`, fmt.Sprintf(`"/etc/motd-%d" file 0644 0:0 sha256:%064d`, n, n)}
		record := images.Report{
			Recipe: recipe, ContentDigest: images.DigestOf(manifest), AgentVersion: "v0.1.0", DocumentFormat: 1,
			Packages: []images.Package{{Name: "libc6", Version: fmt.Sprintf("2.41-%d", n), Arch: "amd64"}},
		}.Record()
		record.Created = time.Date(2026, 11, n, 12, 0, 0, 0, time.UTC)
		record.Booted = record.Created.Add(time.Hour)
		d.InCloud(images.Artefact{Kind: images.KindAMI, Region: ireland, ID: ami})
		return record, d.Manifest(manifest)
	})
	s.check(err)
	s.fact(fmt.Sprintf("image %d", n), s.plain(ami))
	s.rest()
	return entry, ami
}

func (s *stage) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// fact notes something that the stand-ins are compared by.
func (s *stage) fact(name, value string) {
	s.Helper()
	if _, twice := s.facts[name]; twice {
		s.Fatalf("the fact %q is noted twice", name)
	}
	s.facts[name] = s.plain(value)
}

var ids = regexp.MustCompile(`\b(ami|snap|i|lt|subnet|sg|vol)-[0-9a-f]{8,17}\b|arn:aws:elasticloadbalancing:[^" \n]+`)

// plain puts labels for ids, so that they are the same in every account.
func (s *stage) plain(text string) string {
	text = ids.ReplaceAllStringFunc(text, func(id string) string {
		if s.labels[id] == "" {
			kind, _, _ := strings.Cut(id, "-")
			kind, _, _ = strings.Cut(kind, ":")
			n := 1
			for _, label := range s.labels {
				if strings.HasPrefix(label, kind+" ") {
					n++
				}
			}
			s.labels[id] = fmt.Sprintf("%s %d", kind, n)
		}
		return s.labels[id]
	})
	if s.root != "" {
		text = strings.ReplaceAll(text, s.root, "ROOT")
	}
	return text
}

// rest forgets the calls until now: they are no fact.
func (s *stage) rest() { s.past = len(s.proxy.Calls("")) }

// changes lists the calls that changed something since the last fact about calls.
func (s *stage) changes() string {
	var list []string
	for _, c := range s.proxy.Calls("")[s.past:] {
		if c.Changes() {
			list = append(list, c.Region+" "+c.Name())
		}
	}
	s.rest()
	return strings.Join(list, "\n")
}

// work does what a command of the catalogue comes to, and notes its steps and its calls. The command runs twice: the second
// time there must be nothing to do.
func (s *stage) work(name string, ask func() (ec2.Work, error)) {
	s.Helper()
	s.rest()
	work, err := ask()
	s.check(err)
	if made := s.changes(); made != "" {
		s.Errorf("%s was only asked for, and called %s", name, made)
	}
	var steps []string
	s.check(work.Do(s.Context(), func(step ec2.Step) { steps = append(steps, strings.TrimSpace(step.Region+" "+step.What)) }))
	s.fact(name, strings.Join(steps, "\n"))
	s.fact(name+": calls", s.changes())
	again, err := ask()
	s.check(err)
	steps = nil
	for _, step := range again {
		steps = append(steps, strings.TrimSpace(step.Region+" "+step.What))
	}
	s.nothing(name+" again", strings.Join(steps, "\n"))
	s.rest()
}

// nothing notes a fact that must be that there is nothing.
func (s *stage) nothing(name, value string) {
	s.Helper()
	s.fact(name, value)
	if value != "" {
		s.Errorf("%s: there should be nothing to do, and there is:\n%s", name, value)
	}
}

// code is the code of AWS's error, or "done".
func code(err error) string {
	var said smithy.APIError
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &said):
		return said.ErrorCode()
	}
	return err.Error()
}

// sorted joins a set of lines.
func sorted(lines []string) string {
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
