//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
)

// poolSize is how many API nodes there are while images are exchanged.
const poolSize = 3

// testCloudGrow has more API nodes launched, by the spec alone.
func testCloudGrow(t *testing.T, c *cloud) {
	spec := c.text(t, "cluster.yaml")
	grown := strings.Replace(spec, "api: {min: 1,", fmt.Sprintf("api: {min: %d,", poolSize), 1)
	if grown == spec {
		t.Fatalf("the spec has another pool than this test knows:\n%s", spec)
	}
	c.write(t, "cluster.yaml", grown)
	began := time.Now()
	c.must(t, 3*time.Minute, "launch", "apply")
	c.until(t, 8*time.Minute, "a pool of three", []string{"api"}, func() bool { return len(c.pool(t)) == poolSize })
	c.figure(t, "an API pool of %d %.1f s after launch apply began", poolSize, time.Since(began).Seconds())
}

// testCloudRollout refreshes the API pool with a new image while clients write.
func testCloudRollout(t *testing.T, c *cloud) {
	ami := c.bakeChanged(t, "api", "changed")
	c.must(t, 3*time.Minute, "launch", "apply")
	stop := c.clients(t, 0)
	began := time.Now()
	said, err := c.operator(t, 15*time.Minute, "launch", "rollout", "api", "--wait", "4m")
	took := time.Since(began)
	stop("the rollout of an image")
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	c.figure(t, "a pool of %d refreshed in %.1f s", poolSize, took.Seconds())
	same(t, "the pool's images", c.pool(t), slices.Repeat([]string{ami}, poolSize))
}

// testCloudBadImage tries to roll out an image whose machines never get ready, and goes back, while clients write.
func testCloudBadImage(t *testing.T, c *cloud) {
	good := c.pool(t)
	bad := c.bakeChanged(t, "api", "changed again")
	c.mu.Lock()
	unit := filepath.Join(c.trees[bad], "etc/systemd/system/cincbake-boot.service") // systemd reads it before any other
	c.mu.Unlock()
	if err := errors.Join(os.RemoveAll(unit), os.Symlink("/dev/null", unit)); err != nil {
		t.Fatal(err)
	}
	c.must(t, 3*time.Minute, "launch", "apply")
	stop := c.clients(t, 0)
	began := time.Now()
	said, err := c.operator(t, 15*time.Minute, "launch", "rollout", "api", "--wait", "30s")
	if err == nil {
		t.Errorf("an image that never gets ready was rolled out:\n%s", said)
	}
	c.figure(t, "a bad image is given up after %.1f s", time.Since(began).Seconds())
	launched := 0
	for _, m := range c.running() {
		if m.instance.Image == bad {
			launched++
		}
	}
	same(t, "machines of the bad image", launched, 1)
	same(t, "machines in service meanwhile", c.pool(t), good)
	began = time.Now()
	if said, err := c.operator(t, 15*time.Minute, "launch", "rollback", "api", "--wait", "4m"); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	c.until(t, 2*time.Minute, "the earlier image, everywhere", []string{"api"}, func() bool {
		return slices.Equal(c.pool(t), good) && len(c.running()) == poolSize+3
	})
	stop("a bad image and the way back")
	c.figure(t, "the way back took %.1f s", time.Since(began).Seconds())
	if said, err := c.operator(t, time.Minute, "launch", "status"); err != nil {
		t.Errorf("launch status: %v\n%s", err, said)
	}
}

// bakeChanged bakes an image of a role that has something else in it than the others, promotes it, and returns the AMI.
func (c *cloud) bakeChanged(t *testing.T, role, motd string) string {
	t.Helper()
	before := c.amis()
	baking := *c.amazonBench
	baking.role = role
	text := c.text(t, amazonTemplate)
	c.write(t, amazonTemplate, withShell(t, text, "echo "+motd+" | sudo tee /etc/motd"))
	made := ask[[]image](t, c.bench, 15*time.Minute, baking.args()...)
	c.write(t, amazonTemplate, text)
	c.baked[role] = made[0]
	c.must(t, time.Minute, "images", "push", made[0].Image, "--images", c.images)
	c.must(t, time.Minute, "images", "promote", made[0].Image, "stable", "--images", "ec2", "--untried")
	for _, ami := range c.amis() {
		if !slices.Contains(before, ami) {
			return ami
		}
	}
	t.Fatal("there is no new AMI")
	return ""
}

// amis are the account's own.
func (c *cloud) amis() []string {
	var ids []string
	for _, r := range c.aws.Resources() {
		if r.Kind == "image" && r.Region == cloudRegion {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// pool returns the images of the API nodes that are in service.
func (c *cloud) pool(t *testing.T) []string {
	t.Helper()
	out, err := c.scaling().DescribeAutoScalingGroups(t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"cincbake-" + cloudName + "-api"}})
	if err != nil {
		t.Fatal(err)
	}
	var images []string
	for _, i := range out.AutoScalingGroups[0].Instances {
		if m := c.instance(aws.ToString(i.InstanceId)); m != nil && i.LifecycleState == "InService" {
			images = append(images, m.instance.Image)
		}
	}
	slices.Sort(images)
	return images
}
