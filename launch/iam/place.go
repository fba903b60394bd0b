package iam

import (
	"regexp"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// AccountPlaceholder stands for the account's number where nobody named it.
const AccountPlaceholder = "${AWS::AccountId}"

// What stands for parts of the account that the spec's section aws does not name: the names of their resources in the
// template of package foundation. Security groups are SecurityGroupOf's.
const (
	BucketPlaceholder = "${RecordsBucket}"
	KeyPlaceholder    = "${Key.Arn}"
)

// Place is where in AWS the cluster lives.
type Place struct {
	Partition string // like aws or aws-cn
	Region    string
	Account   string // 12 digits, or AccountPlaceholder
}

var accountForm = regexp.MustCompile(`^[0-9]{12}$`)

// PlaceOf is the place of a cluster in an account. Empty: AccountPlaceholder. The partition follows from the region, unless
// it is named.
func PlaceOf(r *cluster.Resolved, account, partition string) (Place, error) {
	switch {
	case r.Platform != cluster.AWS:
		return Place{}, exit.Errorf(exit.Invalid, "cluster %s does not run on AWS: IAM has nothing to allow", r.Name)
	case account == "":
		account = AccountPlaceholder
	case !accountForm.MatchString(account):
		return Place{}, exit.Errorf(exit.Invalid, "%q is not an account: write its 12 digits", account)
	}
	if partition == "" {
		partition = partitionOf(r.Region)
	} else if !strings.HasPrefix(partition, "aws") {
		return Place{}, exit.Errorf(exit.Invalid, "%q is not a partition: write one like aws or aws-cn", partition)
	}
	return Place{Partition: partition, Region: r.Region, Account: account}, nil
}

// partitionOf is the part of AWS, with accounts and names of its own, that a region lies in.
func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// domain ends the names of services in trust policies and endpoints.
func (p Place) domain() string {
	if p.Partition == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// arn is the name of a resource in the region.
func (p Place) arn(service, resource string) string {
	return strings.Join([]string{"arn", p.Partition, service, p.Region, p.Account, resource}, ":")
}

// public is the name of a resource of EC2 that may be another account's, so that no account is in it: images and snapshots.
func (p Place) public(resource string) string {
	return strings.Join([]string{"arn", p.Partition, "ec2", p.Region, "", resource}, ":")
}

// global is the name of a resource of IAM.
func (p Place) global(resource string) string {
	return strings.Join([]string{"arn", p.Partition, "iam", "", p.Account, resource}, ":")
}

// bucket is the name of a bucket or of objects in one.
func (p Place) bucket(resource string) string {
	return strings.Join([]string{"arn", p.Partition, "s3", "", "", resource}, ":")
}
