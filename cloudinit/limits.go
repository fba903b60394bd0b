package cloudinit

import (
	"encoding/base64"

	"github.com/cincbake/cincbake/cluster"
)

// Limit is how much user data a platform takes.
type Limit struct {
	Platform string `json:"platform"`
	Bytes    int    `json:"bytes"`
	// Encoded tells that the platform counts base64 and not what it decodes to.
	Encoded bool   `json:"encoded"`
	Source  string `json:"source"`
}

// Limits lists what platforms take. Clusters run on EC2 so far; the other rows are for those who hand a machine's user-data to
// another platform by their own means.
func Limits() []Limit {
	return []Limit{
		{ec2, 16384, false, "docs.aws.amazon.com: EC2, instancedata-add-user-data"},
		{"Azure custom data", 65535, false, "learn.microsoft.com: VirtualMachineOSProfile.CustomData"},
		{"GCP metadata value", 262144, true, "googleapis: compute Metadata.ItemsData; gzip needs user-data-encoding: base64"},
		{"OpenStack", 65535, true, "docs.openstack.org: nova, user data"},
		{"CloudStack", 32768, true, "kubernetes-sigs/cluster-api-provider-cloudstack, issues 9 and 12"},
		{"vSphere", 524288, false, "developer.broadcom.com: CustomizationCloudinitPrep"},
	}
}

const ec2 = "EC2"

// limitOf returns the row of a cluster's platform; false where user data is no way to start its machines.
func limitOf(platform cluster.Platform) (Limit, bool) {
	if platform == cluster.AWS {
		for _, l := range Limits() {
			if l.Platform == ec2 {
				return l, true
			}
		}
	}
	return Limit{}, false
}

// size is what the platform counts of data.
func (l Limit) size(data []byte) int {
	if l.Encoded {
		return base64Size(len(data))
	}
	return len(data)
}

func base64Size(n int) int { return base64.StdEncoding.EncodedLen(n) }
