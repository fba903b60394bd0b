package moto

// Substitute is what the proxy does where the stand-in behind it cannot.
type Substitute struct {
	// Call is the service and the action, like "ec2 CopyImage".
	Call string
	// Does is what the stand-in does with it, and Proxy what is done instead.
	Does, Proxy string

	// before changes what the stand-in gets, and tells whether it had to.
	before func(*exchange) bool
	// instead answers what the stand-in does not know; after changes what it answers, and tells whether it had to.
	instead func(*exchange) (reply, error)
	after   func(*exchange, reply) (reply, bool, error)
	// refused is a call that is an error through the proxy, too: no command of the suite makes it.
	refused bool
}

// missing is what moto does with most of what it does not have.
const missing = "has no such action: 500, a page of HTML"

// Substitutes are those for moto.
func Substitutes() []Substitute {
	return []Substitute{
		{
			Call: "autoscaling CancelInstanceRefresh", Does: missing,
			Proxy: "an error: the proxy's refreshes end at once, so there is none to cancel", refused: true,
		},
		{
			Call: "autoscaling CompleteLifecycleAction", Does: missing, refused: true,
			Proxy: "an error: moto's hooks hold nobody, so there is nothing to complete",
		},
		{
			Call: "autoscaling CreateAutoScalingGroup", Does: "drops the lifecycle hooks",
			Proxy: "makes the group, and then the hooks", after: putHooks,
		},
		{
			Call: "autoscaling DescribeAutoScalingGroups", Does: "tells the template's default version of every instance",
			Proxy: "tells the version that the group had when the instance was first seen", after: groupVersions,
		},
		{
			Call: "autoscaling DescribeInstanceRefreshes", Does: missing,
			Proxy: "tells those that were begun through the proxy", instead: describeRefreshes,
		},
		{
			Call: "autoscaling RecordLifecycleActionHeartbeat", Does: missing, refused: true,
			Proxy: "an error, likewise",
		},
		{
			Call: "autoscaling StartInstanceRefresh", Does: missing,
			Proxy: "ends the instances of other versions at once, one after the other; moto replaces each", instead: startRefresh,
		},
		{
			Call: "ec2 CopyImage", Does: "drops the tags of image and snapshot",
			Proxy: "makes the copy and tags both", after: tagCopy,
		},
		{
			Call: "ec2 CreateImage", Does: "fails when the snapshot is given tags: 500, a page of HTML",
			Proxy: "makes the image without them; recording it tags the snapshot", instead: createImage,
		},
		{
			Call: "ec2 CreateLaunchTemplate", Does: "keeps a disk without a size, and autoscaling groups then miss it: AWS takes the image's",
			Proxy: "gives such a disk 8 GiB", before: giveSizes,
		},
		{
			Call: "ec2 CreateLaunchTemplateVersion", Does: "keeps user data that autoscaling groups then fail on: 500, a page of HTML",
			Proxy: "keeps the user data itself", before: takeUserData, after: keepUserData,
		},
		{
			Call: "ec2 DeleteLaunchTemplateVersions", Does: missing,
			Proxy: "remembers them, and hides them from then on", instead: deleteVersions,
		},
		{
			Call: "ec2 DescribeImages", Does: "tells nothing of deprecation and protection",
			Proxy: "adds what was said through it", after: showImages,
		},
		{
			Call: "ec2 DescribeLaunchTemplateVersions", Does: "tells every version, and no user data that was kept from it",
			Proxy: "hides versions that were deleted through it, and adds user data", after: showVersions,
		},
		{
			Call: "ec2 DisableImageDeregistrationProtection", Does: missing,
			Proxy: "remembers it", instead: protect("disabled"),
		},
		{
			Call: "ec2 EnableImageDeprecation", Does: missing,
			Proxy: "remembers it", instead: deprecate,
		},
		{
			Call: "ec2 EnableImageDeregistrationProtection", Does: missing,
			Proxy: "remembers it", instead: protect("enabled"),
		},
		{
			Call: "iam SimulatePrincipalPolicy", Does: missing,
			Proxy: "lets the fake answer", instead: byFake,
		},
		{
			Call: "servicequotas GetServiceQuota", Does: "knows no quota of EC2",
			Proxy: "lets the fake answer", after: quotaByFake,
		},
	}
}

// byFake lets the fake answer, for what needs none of the account's state.
func byFake(e *exchange) (reply, error) { return e.send(e.proxy.fake.URL, e.body) }

func quotaByFake(e *exchange, r reply) (reply, bool, error) {
	if codeOf(r) != "NoSuchResourceException" {
		return r, false, nil
	}
	answer, err := byFake(e)
	return answer, true, err
}
