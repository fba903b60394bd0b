package live

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/test/fakeaws"
)

const region = "eu-west-1"

// The suite itself works, and leaves nothing, also of a run that was killed: the fake account has some of one.
func TestSuite(t *testing.T) {
	server := fakeaws.New(fakeaws.Options{Images: []fakeaws.Image{{Name: "debian-13-amd64-1", Owner: debian}}})
	t.Cleanup(server.Close)
	sdk := aws.Config{Region: region, BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", "")}
	client := ec2.NewFromConfig(sdk)
	subnets, err := client.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{})
	if err != nil {
		t.Fatal(err)
	}
	firewalls, err := client.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{})
	if err != nil {
		t.Fatal(err)
	}
	server.AddInstanceProfile("prod-api")
	server.AddBucket(region, "prod-records")
	text, err := cluster.Example(cluster.Managed, cluster.AWS)
	if err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer("subnet-0a1b2c3d4e5f60718", *subnets.Subnets[0].SubnetId, "subnet-1b2c3d4e5f6071829", *subnets.Subnets[1].SubnetId).Replace(text) + `
aws:
  bucket: prod-records
  key: arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa
  instanceProfiles: {api: prod-api}
  securityGroups: {api: [` + *firewalls.SecurityGroups[0].GroupId + `]}
  targetGroups: ["` + server.AddTargetGroup(region, fakeaws.TargetGroup{Name: "prod"}) + `"]
`
	spec, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	var killed, foreign fakeaws.Image
	killed.Name, killed.Tags = "killed", fakeaws.Tags{cluster.TagCluster: Cluster}
	foreign.Name, foreign.Tags = "foreign", fakeaws.Tags{cluster.TagCluster: r.Name}
	ids := server.SeedImages(region, killed, foreign)
	server.SetParameter(region, cluster.ChannelParameter(r.Name, cluster.RoleAPI, channel), ids[1])

	_, land := server.Fly()
	t.Cleanup(land)
	t.Run("suite", func(t *testing.T) {
		newAccount(t, sdk, r, pace{poll: 5 * time.Millisecond, within: time.Minute, bad: 500 * time.Millisecond, rest: time.Second}).run()
	})
	if i := server.Image(region, ids[0]); i.ID != "" {
		t.Errorf("what a killed run left is still there: %+v", i)
	}
	if server.Image(region, ids[1]).ID == "" || server.Parameter(region, cluster.ChannelParameter(r.Name, cluster.RoleAPI, channel)) != ids[1] {
		t.Error("what is another cluster's was swept away")
	}
}
