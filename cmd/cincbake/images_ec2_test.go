package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/sdk"
	"github.com/cincbake/cincbake/launch/iam"
	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/fakeaws/rights"
)

// shelf is a command line with a fake account and a folder of two images that were baked there as AMIs.
type shelf struct {
	t          *testing.T
	server     *fakeaws.Server
	first, two images.Entry
	amis       [2]string
	examples   string // the folder, absolute
}

// newShelf changes into a folder of its own, and points the environment at the fake.
func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{t: t, server: fakeaws.New(fakeaws.Options{Images: []fakeaws.Image{{Name: "debian-13-amd64-1", Owner: "136693071363"}}})}
	t.Cleanup(s.server.Close)
	s.server.AddBucket("eu-west-1", "records")
	var err error
	s.examples, err = filepath.Abs("../../examples")
	s.check(err)
	t.Chdir(t.TempDir())
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.server.URL, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_POLL_DELAY_SECONDS": "0.01", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	// Whoever bakes and promotes is held to those roles' policies; who makes what was baked is not.
	spec, err := cluster.Load(filepath.Join(s.examples, "managed-aws", "cluster.yaml"))
	s.check(err)
	resolved, err := spec.Resolve()
	s.check(err)
	frankfurt := *resolved // where images are copied to
	frankfurt.Region = "eu-central-1"
	caller := fakeaws.Caller{Key: "AKIAEXAMPLE", Policies: [][]byte{
		rights.Policy(t, resolved, iam.Bake), rights.Policy(t, resolved, iam.Promote), rights.Policy(t, &frankfurt, iam.Promote),
	}}
	s.check(s.server.Limit(caller))
	settings, err := sdk.Load(t.Context(), "eu-west-1", config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("AKIABUILDER", "secret", "")))
	s.check(err)
	client := awsec2.NewFromConfig(settings)
	public, err := client.DescribeImages(t.Context(), &awsec2.DescribeImagesInput{})
	s.check(err)
	builder, err := client.RunInstances(t.Context(), &awsec2.RunInstancesInput{ImageId: public.Images[0].ImageId, InstanceType: types.InstanceTypeM6iLarge, MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	s.check(err)
	local, err := images.Open("images")
	s.check(err)
	ours := []types.Tag{{Key: aws.String(cluster.TagCluster), Value: aws.String("prod")}}
	for n, entry := range []*images.Entry{&s.first, &s.two} {
		made, err := client.CreateImage(t.Context(), &awsec2.CreateImageInput{
			InstanceId: builder.Instances[0].InstanceId, Name: aws.String([]string{"one", "two"}[n]),
			TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeImage, Tags: ours}, {ResourceType: types.ResourceTypeSnapshot, Tags: ours}},
		})
		s.check(err)
		s.amis[n] = *made.ImageId
		manifest := []string{`"/etc/motd" file 0644 0:0 sha256:` + strings.Repeat("ab"[n:n+1], 64)}
		*entry, err = local.Add(t.Context(), func(d *images.Draft) (images.Record, error) {
			record := images.Report{
				Recipe:        cluster.Recipe{Format: cluster.RecipeFormat, Role: cluster.RoleHeartbeat, Platform: cluster.AWS, OS: "debian-13", Arch: "amd64"},
				ContentDigest: images.DigestOf(manifest), AgentVersion: "v0.1.0", DocumentFormat: 1, Packages: []images.Package{{Name: "etcd-server", Version: []string{"3.5", "3.6"}[n], Arch: "amd64"}},
			}.Record()
			record.Created = time.Date(2026, 11, 26, n, 0, 0, 0, time.UTC)
			if n == 0 {
				record.Booted = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
			}
			d.InCloud(images.Artefact{Kind: images.KindAMI, Region: "eu-west-1", ID: s.amis[n]})
			return record, d.Manifest(manifest)
		})
		s.check(err)
	}
	return s
}

func (s *shelf) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

var onShelf = []string{"--cluster", "prod", "--bucket", "records", "--regions", "eu-west-1"}

// run runs a command line, which must end with the code, and returns what it prints: data, or what it says of an error.
func (s *shelf) run(want exit.Code, args ...string) string {
	s.t.Helper()
	var out, said bytes.Buffer
	if code := run(context.WithoutCancel(s.t.Context()), args, streams{in: strings.NewReader(""), out: &out, err: &said}); code != want {
		s.t.Fatalf("%q ended with %d, want %d: %s%s", args, code, want, out.String(), said.String())
	}
	if want != exit.Done {
		return said.String()
	}
	return out.String()
}

// on is a command line about the catalogue on AWS.
func on(args ...string) []string { return append(args, onShelf...) }

func (s *shelf) same(what, got, want string) {
	s.t.Helper()
	got = strings.NewReplacer(s.first.ID, "heartbeat/FIRST", s.two.ID, "heartbeat/SECOND", s.amis[0], "AMI-1", s.amis[1], "AMI-2").Replace(got)
	var lines []string
	for _, line := range strings.Split(strings.TrimSpace(got), "\n") {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	if diff := cmp.Diff(want, strings.Join(lines, "\n")); diff != "" {
		s.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestImagesOnAWS(t *testing.T) {
	s := newShelf(t)
	snapshot := s.server.Image("eu-west-1", s.amis[0]).Devices[0].EBS.Snapshot

	// Push: first said, then done, then nothing to do.
	steps := "s3: write s3://records/images/heartbeat/FIRST/manifest.zst\ns3: write s3://records/images/heartbeat/FIRST/sbom.cdx.json\n" +
		"s3: write s3://records/images/heartbeat/FIRST/record.json\neu-west-1: tag AMI-1, " + snapshot + "\neu-west-1: record AMI-1"
	s.same("push, a dry run", s.run(exit.Done, on("images", "push", s.first.ID, "--dry-run")...), steps+"\nheartbeat/FIRST: 5 steps to do: nothing is done with --dry-run")
	if held := s.server.Objects("records"); len(held) > 0 {
		t.Errorf("a dry run wrote %q", held)
	}
	s.same("push", s.run(exit.Done, on("images", "push", s.first.ID)...), steps)
	s.same("push again", s.run(exit.Done, on("images", "push", s.first.ID)...), "heartbeat/FIRST: nothing to do, it is all there")
	s.run(exit.Done, on("images", "push", s.two.ID, "-o", "json")...)

	// Looking.
	s.same("list", s.run(exit.Done, on("images", "list", "--images", "ec2")...), "IMAGE CHANNEL REGIONS STATE BOOTED CREATED (UTC)\n"+
		"heartbeat/SECOND eu-west-1 recorded never 2026-11-26 01:00:00\nheartbeat/FIRST eu-west-1 recorded 2026-11-26 12:00:00 2026-11-26 00:00:00")
	var record images.Record
	s.check(json.Unmarshal([]byte(s.run(exit.Done, on("images", "show", s.amis[0], "--images", "ec2", "-o", "json")...)), &record))
	if diff := cmp.Diff(s.first.Record, record); diff != "" {
		t.Errorf("show (-want +got):\n%s", diff)
	}
	s.same("diff", s.run(exit.Done, on("images", "diff", s.first.ID, s.two.ID, "--images", "ec2")...),
		"PACKAGES: 1\n~ etcd-server 3.5 → 3.6\nFILES: 1\n~ /etc/motd content aaaaaaaaaaaa → content bbbbbbbbbbbb")
	s.run(exit.Invalid, on("images", "show", "9999", "--images", "ec2")...)

	// Using.
	s.run(exit.Unsafe, on("images", "promote", s.two.ID, "stable", "--images", "ec2")...)
	want := "eu-west-1: let heartbeat@stable be AMI-1\neu-west-1: tag AMI-1 as protected by its promotion\neu-west-1: protect AMI-1 from being deregistered"
	s.same("promote", s.run(exit.Done, on("images", "promote", s.first.ID, "stable", "--images", "ec2")...), want)
	s.same("promote again", s.run(exit.Done, on("images", "promote", s.first.ID, "stable", "--images", "ec2")...), "heartbeat/FIRST: nothing to do, it is all there")
	var told worked
	s.check(json.Unmarshal([]byte(s.run(exit.Done, on("images", "copy", "heartbeat@stable", "--to", "eu-central-1=alias/ours", "--share", "444455556666", "-o", "json")...)), &told))
	if len(told.Steps) != 2 || told.Image != s.first.ID || told.DryRun {
		t.Errorf("copy: %+v", told)
	}
	if out := s.run(exit.Done, "images", "list", "--images", "ec2", "--cluster", "prod", "--bucket", "records", "--regions", "eu-west-1,eu-central-1"); !strings.Contains(out, "stable (eu-west-1)") {
		t.Errorf("a channel of one region:\n%s", out)
	}
	s.run(exit.Missing, "images", "promote", s.two.ID, "stable", "--untried", "--images", "ec2", "--cluster", "prod", "--bucket", "records", "--regions", "eu-west-1,eu-central-1")
	s.run(exit.Done, on("images", "deprecate", s.two.ID, "--at", "2099-06-01")...)
	s.run(exit.Invalid, on("images", "deprecate", s.two.ID, "--at", "soon")...)
	s.run(exit.Invalid, on("images", "copy", s.two.ID)...)

	offered := s.run(exit.Done, append(append([]string{"__complete", "images", "show", "--images", "ec2"}, onShelf...), "")...)
	for _, name := range []string{s.first.ID, s.two.ID, "heartbeat@stable"} {
		if !strings.Contains(offered, name+"\n") {
			t.Errorf("the shell is not offered %s:\n%s", name, offered)
		}
	}

	// Tidying up: said, then done.
	prune := on("images", "prune", "--images", "ec2", "--keep", "0", "--min-age", "0s")
	s.same("prune", s.run(exit.Done, prune...), "IMAGE REGIONS WHY\nheartbeat/SECOND goes eu-west-1 made 2026-11-26 01:00:00, and nothing needs it\n"+
		"heartbeat/FIRST stays eu-west-1 in the channel stable, in eu-west-1\nwould remove 1: nothing is removed without --apply")
	if out := s.run(exit.Done, append(prune, "--apply")...); !strings.Contains(out, "removed 1") || s.server.Image("eu-west-1", s.amis[1]).ID != "" {
		t.Errorf("prune --apply:\n%s", out)
	}
	if out := s.run(exit.Done, append(prune, "--apply")...); !strings.Contains(out, "nothing to remove") {
		t.Errorf("prune --apply again:\n%s", out)
	}
}

// What is meant comes from the spec too, and what is not said is asked for.
func TestImagesOnAWSByTheSpec(t *testing.T) {
	s := newShelf(t)
	if said := s.run(exit.Invalid, "images", "list", "--images", "ec2"); !strings.Contains(said, "--cluster, --bucket and --regions") {
		t.Errorf("without a spec: %s", said)
	}
	for _, args := range [][]string{
		{"images", "list", "--regions", "eu-west-1"}, {"images", "prune", "--shared"}, {"images", "verify", "x", "--images", "ec2"},
	} {
		s.run(exit.Invalid, args...)
	}
	text, err := os.ReadFile(filepath.Join(s.examples, "managed-aws", "cluster.yaml"))
	s.check(err)
	s.check(os.WriteFile("cluster.yaml", text, 0o600))
	spec, err := cluster.Load("cluster.yaml")
	s.check(err)
	resolved, err := spec.Resolve()
	s.check(err)
	s.server.AddBucket(resolved.Region, "records")
	if out := s.run(exit.Done, "images", "list", "--images", "ec2", "--bucket", "records"); strings.Count(out, "not recorded") != 2 {
		t.Errorf("the spec's catalogue: %s", out)
	}
	for _, c := range s.server.Calls("GetParametersByPath") {
		if c.Region != resolved.Region || c.Params.String("Path") != "/cincbake/"+resolved.Name+"/" {
			t.Errorf("asked for %s in %s", c.Params.String("Path"), c.Region)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	if said := s.run(exit.Missing, on("images", "list", "--images", "ec2")...); !strings.Contains(said, "AWS_PROFILE") {
		t.Errorf("without credentials: %s", said)
	}
}
