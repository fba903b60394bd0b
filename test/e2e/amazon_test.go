//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/test/fakeaws"
)

// TestAmazon bakes a role with the unmodified amazon-ebs builder, from the template that init writes, on an instance that
// is a container of this host, and copies the AMI to a second region. What EC2 was asked for is compared with what the
// template promises; what is in the AMI, with its record.
func TestAmazon(t *testing.T) {
	amazonBakes(t, amazonTree(t), "heartbeat")
}

// TestAmazonRoles does so with every role of a cluster on AWS.
func TestAmazonRoles(t *testing.T) {
	tree := amazonTree(t)
	for _, role := range []string{"api", "heartbeat", "opensearch", "postgres", "standalone"} {
		t.Run(role, func(t *testing.T) { amazonBakes(t, tree, role) })
	}
}

// TestAmazonPolicy bakes as somebody who may do what the role for it may, and nothing else. Copies are another role's.
func TestAmazonPolicy(t *testing.T) {
	a := newAmazonBench(t, amazonTree(t), "heartbeat")
	a.machines.boot = true
	a.adapt(t, 150)
	a.limit(t)
	if made := ask[[]image](t, a.bench, 10*time.Minute, a.args()...); len(made) != 1 {
		t.Errorf("%d images were made", len(made))
	}
	for _, c := range a.aws.Calls("") {
		if c.Code != "" {
			t.Errorf("refused: %v", c)
		}
	}
}

// amazonTree is the file tree of what stands for Debian's AMI.
func amazonTree(t *testing.T) string {
	t.Helper()
	began := time.Now()
	tree := debianTree(t, newWorkbench(t).home)
	t.Logf("a Debian like that of its AMIs: %.1f s", time.Since(began).Seconds())
	return tree
}

// amazonBakes bakes a role while EC2 twice asks for patience.
func amazonBakes(t *testing.T, tree, role string) {
	a := newAmazonBench(t, tree, role)
	a.machines.boot = true
	a.adapt(t, 150)
	a.aws.Inject(fakeaws.Throttle("RunInstances", 2))
	began := time.Now()
	made := ask[[]image](t, a.bench, 20*time.Minute, a.args("--var", `ami_regions=["eu-central-1"]`)...)
	t.Logf("%s, made and copied: %.1f s", role, time.Since(began).Seconds())
	for _, c := range a.aws.Calls("") {
		t.Log(c.Time.Format("15:04:05.000"), c)
	}
	if len(made) != 1 {
		t.Fatalf("%d images were made", len(made))
	}
	t.Run("the calls", func(t *testing.T) { amazonCalls(t, a) })
	t.Run("what is there afterwards", func(t *testing.T) { amazonRemains(t, a, made[0]) })
	t.Run("what is in the AMI", func(t *testing.T) { amazonContent(t, a, made[0]) })
	t.Run("no secret is anywhere", func(t *testing.T) { amazonSecrets(t, a) })
}

// record is the record of the one image in the catalogue.
func (a *amazonBench) record(t *testing.T) images.Record {
	t.Helper()
	catalogue, err := images.Open(a.images)
	if err != nil {
		t.Fatal(err)
	}
	list, err := catalogue.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%d images, %v", len(list), err)
	}
	return list[0].Record
}

// wantTags are on everything that a bake makes.
func (a *amazonBench) wantTags(t *testing.T, recipe string) map[string]string {
	t.Helper()
	tags := map[string]string{
		"Name": "cincbake-prod-" + a.role, "cincbake:cluster": "prod", "cincbake:role": a.role, "cincbake:os": "debian-13", "cincbake:recipe": recipe,
	}
	switch a.role {
	case "api", "standalone":
		tags["cincbake:package"] = "15.10.91"
	case "opensearch":
		tags["cincbake:package"] = "1.3.20"
	case "postgres":
		tags["cincbake:postgres"] = "13"
	}
	return tags
}

// wantDisk is the size of a role's first disk, in GiB.
func (a *amazonBench) wantDisk() string {
	return map[string]string{"api": "20", "heartbeat": "8", "opensearch": "20", "postgres": "10", "standalone": "40"}[a.role]
}

// one returns the only call of an action that went well.
func one(t *testing.T, a *amazonBench, action string) fakeaws.Params {
	t.Helper()
	var well []fakeaws.Call
	for _, c := range a.aws.Calls(action) {
		if c.Code == "" {
			well = append(well, c)
		}
	}
	if len(well) != 1 {
		t.Fatalf("%d calls of %s went well: %v", len(well), action, well)
	}
	return well[0].Params
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func amazonCalls(t *testing.T, a *amazonBench) {
	tags := a.wantTags(t, a.record(t).Recipe.Digest())
	throttled := a.aws.Calls("RunInstances")
	if len(throttled) != 3 || throttled[0].Code != "RequestLimitExceeded" || throttled[1].Code != "RequestLimitExceeded" {
		t.Errorf("RunInstances, throttled twice: %v", throttled)
	}
	for _, c := range a.aws.Calls("") {
		if c.Code != "" && c.Fault == "" {
			t.Errorf("refused: %v, %v", c, c.Params.Names())
		}
		if strings.HasSuffix(c.Action, "DeregistrationProtection") {
			t.Errorf("%v: an AMI is protected before anybody knows that it is good", c)
		}
	}

	run := one(t, a, "RunInstances")
	same(t, "tokens of the instance that bakes", run.String("MetadataOptions.HttpTokens"), "required")
	same(t, "hops of a token", run.String("MetadataOptions.HttpPutResponseHopLimit"), "1")
	same(t, "its own power button", run.String("InstanceInitiatedShutdownBehavior"), "terminate")
	for _, kind := range []string{"instance", "volume", "network-interface"} {
		same(t, "tags of the "+kind, run.TagsFor(kind), tags)
	}
	disks := run.List("BlockDeviceMapping")
	if len(disks) != 1 {
		t.Fatalf("%d disks", len(disks))
	}
	disk := map[string]string{}
	for _, name := range disks[0].Names() {
		disk[name] = disks[0].String(name)
	}
	same(t, "the disk", disk, map[string]string{"DeviceName": "/dev/xvda", "Ebs.VolumeType": "gp3", "Ebs.VolumeSize": a.wantDisk(), "Ebs.Encrypted": "true", "Ebs.DeleteOnTermination": "true"})

	var searched bool
	for _, c := range a.aws.Calls("DescribeImages") {
		if owners := c.Params.Strings("Owner"); len(owners) > 0 && owners[0] != "self" {
			searched = true
			same(t, "whose AMI it starts from", owners, []string{debianOwner})
		}
	}
	if !searched {
		t.Error("nobody looked for Debian's AMI")
	}
	if from := a.aws.Image("eu-west-1", run.String("ImageId")); from.Name != "debian-13-amd64-20261101-2280" {
		t.Errorf("it started from %s of %s", from.Name, from.Owner)
	}

	key := one(t, a, "CreateKeyPair")
	same(t, "the temporary key", key.String("KeyType"), "ed25519")
	same(t, "its tags", key.TagsFor("key-pair"), tags)
	same(t, "the temporary group's tags", one(t, a, "CreateSecurityGroup").TagsFor("security-group"), tags)
	for _, rule := range one(t, a, "AuthorizeSecurityGroupIngress").List("IpPermissions") {
		for _, from := range rule.List("IpRanges") {
			same(t, "who may reach it", from.String("CidrIp"), "192.0.2.10/32")
		}
		same(t, "ports", []string{rule.String("FromPort"), rule.String("ToPort")}, []string{a.machines.port, a.machines.port})
	}

	create := one(t, a, "CreateImage")
	for _, kind := range []string{"image", "snapshot"} { // from the first moment
		same(t, "tags of the new "+kind, create.TagsFor(kind), tags)
	}
	tokens := map[string]int{}
	for _, c := range a.aws.Calls("ModifyImageAttribute") {
		if c.Params.Has("ImdsSupport.Value") {
			same(t, "tokens of what starts from it", c.Params.String("ImdsSupport.Value"), "v2.0")
			tokens[c.Region]++
		}
	}
	same(t, "AMIs that insist on tokens", tokens, map[string]int{"eu-west-1": 1, "eu-central-1": 1})
	same(t, "AMIs with a date", len(a.aws.Calls("EnableImageDeprecation")), 2)
}

func amazonRemains(t *testing.T, a *amazonBench, made image) {
	record := a.record(t)
	if record.ContentDigest != made.ContentDigest || !record.Verified {
		t.Errorf("the record: content %s, verified %v; it was said: %s", record.ContentDigest, record.Verified, made.ContentDigest)
	}
	if !strings.Contains(record.Base, "debian-13-amd64-20261101-2280") || !strings.Contains(record.Base, debianOwner) {
		t.Errorf("it does not say what it started from: %q", record.Base)
	}
	tags := a.wantTags(t, record.Recipe.Digest())
	var artefacts []images.Artefact
	kinds := map[string]int{}
	for _, r := range a.aws.Resources() {
		kinds[r.Kind+" "+r.Region]++
		same(t, "the tags of "+r.String(), r.Tags, tags)
		if r.Kind != "image" {
			continue
		}
		artefacts = append(artefacts, images.Artefact{Kind: images.KindAMI, Region: r.Region, ID: r.ID})
		i := a.aws.Image(r.Region, r.ID)
		if i.State != "available" || i.IMDS != "v2.0" || i.Deprecated == "" || i.Protection != "disabled" || i.Public || len(i.Devices) != 1 || !i.Devices[0].EBS.Encrypted {
			t.Errorf("%s is %+v", r, i)
		}
	}
	same(t, "what is there", kinds, map[string]int{"image eu-west-1": 1, "snapshot eu-west-1": 1, "image eu-central-1": 1, "snapshot eu-central-1": 1})
	byRegion := func(a, b images.Artefact) int { return strings.Compare(a.Region, b.Region) }
	slices.SortFunc(artefacts, byRegion)
	known := slices.Clone(record.Artefacts)
	slices.SortFunc(known, byRegion)
	same(t, "the record's AMIs", known, artefacts)
	if len(a.machines.all) > 0 {
		t.Errorf("machines that nobody ended: %d", len(a.machines.all))
	}
	if left := mounts(t, a.machines.dir); len(left) > 0 {
		t.Errorf("mounts: %v", left)
	}
}

func amazonContent(t *testing.T, a *amazonBench, made image) {
	if len(a.machines.captures) != 1 {
		t.Fatalf("%d images were made of instances", len(a.machines.captures))
	}
	for id, c := range a.machines.captures {
		for _, problem := range c.problems {
			t.Errorf("%s: %s", id, problem)
		}
		sealed := strings.Split(strings.TrimSpace(a.text(t, "bakery/"+a.role+"/manifest.txt")), "\n")
		same(t, "the digest of what was sealed", images.DigestOf(sealed), made.ContentDigest)
		for _, line := range images.Diff(sealed, c.manifest) {
			t.Errorf("%s is not what was sealed: %s", id, line)
		}
	}
}

// amazonSecrets looks into everything that a bake leaves on the host that ran it.
func amazonSecrets(t *testing.T, a *amazonBench) {
	for _, dir := range []string{a.dir, a.images} {
		if found := holding(t, dir, amazonSecret, "PRIVATE KEY"); len(found) > 0 {
			t.Errorf("a secret is in %v", found)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if text := a.spoken.String(); strings.Contains(text, amazonSecret) || strings.Contains(text, "PRIVATE KEY") {
		t.Error("a secret was printed")
	}
	if _, err := os.Stat(filepath.Join(a.images, "logs", a.role+".log")); err != nil {
		t.Errorf("the log, which was to be looked into: %v", err)
	}
}
