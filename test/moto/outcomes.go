package moto

// Outcome is something that comes out otherwise when the same commands run against moto.
type Outcome struct {
	// Fact is what the suite calls it.
	Fact string
	// Fake and Moto are what it comes to against each.
	Fake, Moto string
	// Why is the reason, and which of the two is like AWS.
	Why string
}

const (
	noLimit = "moto has no such limit. The commands check it themselves, and the fake keeps it as AWS does"
	atOnce  = "moto's machines are in service at once, whatever a hook says: it cannot show a bad image"
)

// Outcomes lists them all.
func Outcomes() []Outcome {
	return []Outcome{
		{
			Fact: "the copy's snapshot is encrypted", Fake: "by arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000bbbb", Moto: "no",
			Why: "moto drops what a copy is to be encrypted with. That it was asked for is read from the call",
		},
		{
			Fact: "the root device of an image", Fake: "/dev/xvda", Moto: "/dev/sda1",
			Why: "moto gives every image the same; AWS that of the machine it was made of",
		},
		{
			Fact: "plan of the next image: the template's own tags", Fake: "", Moto: "tags.launch-template.cincbake:cluster: prod → none\ntags.launch-template.cincbake:role: api → none",
			Why: "moto adds a launch template's own tags to what its first version says",
		},
		{Fact: "rollout of a bad image", Fake: "exit code 4, the way back is told: true", Moto: "done", Why: atOnce},
		{
			Fact: "rollout of a bad image: calls", Fake: "eu-west-1 autoscaling StartInstanceRefresh\neu-west-1 autoscaling CancelInstanceRefresh", Moto: "eu-west-1 autoscaling StartInstanceRefresh",
			Why: atOnce,
		},
		{
			Fact: "rollback: calls", Fake: "eu-west-1 autoscaling CancelInstanceRefresh\neu-west-1 autoscaling UpdateAutoScalingGroup\neu-west-1 autoscaling TerminateInstanceInAutoScalingGroup",
			Moto: "eu-west-1 autoscaling UpdateAutoScalingGroup\neu-west-1 autoscaling StartInstanceRefresh",
			Why:  "against the fake the refresh has stopped at its first machine, which goes, and all others are old; against moto all are new",
		},
		{
			Fact: "an image of a name that another has", Fake: "InvalidAMIName.Duplicate", Moto: "done",
			Why: "moto takes any name. AWS refuses, and a copy that is begun again relies on it",
		},
		{
			Fact: "deregistering an image twice", Fake: "InvalidAMIID.NotFound", Moto: "InvalidAMIID.Unavailable",
			Why: "AWS documents both codes. Commands take either for an image that is gone",
		},
		{
			Fact: "describing an image that is deregistered", Fake: "InvalidAMIID.NotFound", Moto: "done, 0 images",
			Why: "AWS lists nothing for a time, and has the error later. Commands take either",
		},
		{Fact: "a launch template with 16,385 bytes of user data", Fake: "InvalidParameterValue", Moto: "done", Why: noLimit},
		{
			Fact: "a launch template's version, twice with one token", Fake: "2, 2", Moto: "2, 3",
			Why: "moto does not look at tokens. AWS makes one version of a call that comes twice",
		},
		{Fact: "a parameter of 4,097 characters", Fake: "ValidationException", Moto: "done", Why: "moto has no such limit. A channel's parameter holds an image's id"},
		{Fact: "a secret of 65,537 bytes", Fake: "ValidationException", Moto: "done", Why: noLimit},
	}
}
