//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/test/fakeaws"
)

// amazonFault is something that goes wrong while an AMI is made.
type amazonFault struct {
	name   string
	faults []fakeaws.Fault
	// baked cases run the provisioner; the others make an AMI of the machine as it is, which takes less time.
	baked bool
	spoil func(root string) error
	// attempts is how often a change of state is asked for; 0: often enough.
	attempts int
	// stop says when the bake is stopped; nil: it is not.
	stop func(a *amazonBench) bool
	// says is in the log.
	says string
	// stays is what is left behind, and how it is found.
	stays []string
}

// amazonFaults is the table: what goes wrong, and what stays. It is what Packer does, not what anybody would want; what
// matters is that each thing says whose it is. A copied snapshot has no tags of its own, since CopyImage gives it none, and is found
// by the image that it is of.
func amazonFaults() []amazonFault {
	const (
		home, away                             = "eu-west-1", "eu-central-1"
		image, snapshot                        = "image in " + home + ": tagged", "snapshot in " + home + ": tagged"
		copied, copiedSnapshot                 = "image in " + away + ": tagged", "snapshot in " + away + ": by its image"
		instance, volume, card, group, keyPair = "instance in " + home + ": tagged", "volume in " + home + ": tagged", "network-interface in " + home + ": tagged",
			"security-group in " + home + ": tagged", "key-pair in " + home + ": tagged"
	)
	return []amazonFault{
		{
			name: "the answer to RunInstances is lost", faults: []fakeaws.Fault{fakeaws.Lose("RunInstances", 1), fakeaws.Deny("RunInstances")}, says: "UnauthorizedOperation",
			stays: []string{instance, card, group, volume},
		},
		{name: "RunInstances is denied", faults: []fakeaws.Fault{fakeaws.Deny("RunInstances")}, says: "UnauthorizedOperation"},
		{name: "a package fails", baked: true, spoil: brokenPackages, says: "no space left, for the test"},
		{name: "it is stopped while it bakes", baked: true, stop: logged("Install etcd"), says: "Cancelling"},
		{name: "the instance never stops", faults: []fakeaws.Fault{fakeaws.Stall("StopInstances")}, attempts: 3, says: "Error waiting for instance to stop"},
		{name: "CreateImage is denied", faults: []fakeaws.Fault{fakeaws.Deny("CreateImage")}, says: "Error creating AMI"},
		{
			name: "the answer to CreateImage is lost", faults: []fakeaws.Fault{fakeaws.Lose("CreateImage", 1)}, says: "InvalidAMIName.Duplicate",
			stays: []string{image, snapshot},
		},
		{
			name: "it is stopped while the AMI is made", faults: []fakeaws.Fault{fakeaws.Stall("CreateImage")}, stop: called("CreateImage"), says: "Cancelling",
			stays: []string{image, snapshot},
		},
		{name: "CopyImage is denied", faults: []fakeaws.Fault{fakeaws.Deny("CopyImage")}, says: "Error Copying AMI"},
		{
			name: "the copy is never available", faults: []fakeaws.Fault{fakeaws.Stall("CopyImage")}, attempts: 4, says: "Error waiting for AMI",
			stays: []string{copied, copiedSnapshot},
		},
		{
			name: "ModifyImageAttribute is denied", faults: []fakeaws.Fault{fakeaws.Deny("ModifyImageAttribute")}, says: "Error modify AMI attributes",
			stays: []string{copied, copiedSnapshot},
		},
		{
			name: "CreateTags is denied", faults: []fakeaws.Fault{fakeaws.Deny("CreateTags")}, says: "Error adding tags",
			stays: []string{copied, copiedSnapshot},
		},
		{name: "the image cannot be published", says: "nothing sealed the machine"},
		{
			name: "CreateTags and cleaning up are denied", says: "Error deregistering",
			faults: []fakeaws.Fault{fakeaws.Deny("CreateTags"), fakeaws.Deny("DeregisterImage"), fakeaws.Deny("DeleteKeyPair")},
			stays:  []string{copied, image, keyPair, copiedSnapshot, snapshot},
		},
	}
}

// brokenPackages is a disk that fills up while packages are installed.
func brokenPackages(root string) error {
	return os.WriteFile(filepath.Join(root, "usr/bin/dpkg"), []byte("#!/bin/sh\necho 'no space left, for the test' >&2\nexit 2\n"), 0o755)
}

func logged(text string) func(*amazonBench) bool {
	return func(a *amazonBench) bool { return strings.Contains(a.log(), text) }
}

// called waits for a call, and for the question after it whether what it began is done.
func called(action string) func(*amazonBench) bool {
	return func(a *amazonBench) bool {
		calls := a.aws.Calls("")
		at := slices.IndexFunc(calls, func(c fakeaws.Call) bool { return c.Action == action })
		return at >= 0 && len(calls) > at+1
	}
}

// TestAmazonFaults lets things go wrong while an AMI is made and copied, and compares what is left behind with the table.
func TestAmazonFaults(t *testing.T) {
	tree := debianTree(t, newWorkbench(t).home)
	for _, f := range amazonFaults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			f.run(t, newAmazonBench(t, tree, "heartbeat"))
			t.Logf("%.1f s", time.Since(began).Seconds())
		})
	}
}

func (f amazonFault) run(t *testing.T, a *amazonBench) {
	if f.attempts == 0 {
		f.attempts = 30
	}
	a.adapt(t, f.attempts)
	if !f.baked {
		a.withoutProvisioner(t)
	}
	a.machines.spoil = f.spoil
	for _, fault := range f.faults {
		a.aws.Inject(fault)
	}
	args := a.args("--var", `ami_regions=["eu-central-1"]`)
	var code int
	if f.stop == nil {
		code = a.try(t, 3*time.Minute, args...).code
	} else {
		code = a.interrupted(t, f.stop, args...)
	}
	log := a.log()
	if code != 1 || !strings.Contains(log, f.says) {
		t.Errorf("it ended with %d, want 1, and the log is to say %q:\n%s", code, f.says, log)
	}
	for _, fault := range f.faults {
		if !slices.ContainsFunc(a.aws.Calls(fault.Action), func(c fakeaws.Call) bool { return c.Fault == fault.Name }) {
			t.Errorf("%s never struck %s", fault.Name, fault.Action)
		}
	}
	same(t, "what is left behind", found(a.aws.Resources()), f.stays)
	if leftovers := names(t, a.images); slices.ContainsFunc(leftovers, func(name string) bool { return strings.Contains(name, a.role+"/") }) {
		t.Errorf("the catalogue has %v", leftovers)
	}
	if secret := holding(t, filepath.Dir(a.dir), amazonSecret, "PRIVATE KEY"); len(secret) > 0 {
		t.Errorf("a secret is in %v", secret)
	}
}

// found tells for each resource how somebody finds it who looks for the cluster's and the role's tags.
func found(list []fakeaws.Resource) []string {
	ours := func(r fakeaws.Resource) bool {
		return r.Tags["cincbake:cluster"] == "prod" && r.Tags["cincbake:role"] == "heartbeat" && strings.HasPrefix(r.Tags["cincbake:recipe"], "sha256:")
	}
	var told []string
	for _, r := range list {
		how := "by nothing"
		of := slices.IndexFunc(list, func(other fakeaws.Resource) bool { return other.ID == r.Of })
		switch {
		case ours(r):
			how = "tagged"
		case of >= 0 && ours(list[of]):
			how = "by its " + list[of].Kind
		}
		told = append(told, fmt.Sprintf("%s in %s: %s", r.Kind, r.Region, how))
	}
	slices.Sort(told)
	return told
}
