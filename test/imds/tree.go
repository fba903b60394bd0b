//go:build unix

package imds

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/test/fakeaws"
)

// tagsSince is the first version that has tags.
const tagsSince = "2021-03-23"

// versions are the words that a path may begin with. cloud-init asks for the newest that it knows.
func versions() []string {
	return []string{"1.0", "2009-04-04", "2016-09-02", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03", tagsSince, "2021-07-15", "2022-09-24", "latest"}
}

// tree is what an instance can read, by path below the version.
type tree map[string][]byte

// read returns a leaf, or the names in a folder: those of folders end in a slash.
func (t tree) read(at string) ([]byte, bool) {
	if content, ok := t[at]; ok {
		return content, true
	}
	folder := strings.TrimSuffix(at, "/")
	if folder != "" {
		folder += "/"
	}
	var names []string
	for leaf := range t {
		rest, below := strings.CutPrefix(leaf, folder)
		if !below || rest == "" {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		if deeper {
			name += "/"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return []byte(strings.Join(slices.Compact(names), "\n")), len(names) > 0
}

// treeOf is everything that an instance can read now, in a version.
func (s *Service) treeOf(ctx context.Context, h *host, version string) (tree, error) {
	i, t := h.instance, tree{}
	if len(i.UserData) > 0 {
		t["user-data"] = i.UserData
	}
	if err := s.addIdentity(t, h); err != nil {
		return nil, err
	}
	add := func(folder string, leaves map[string]string) {
		for name, text := range leaves {
			t[path.Join("meta-data", folder, name)] = []byte(text)
		}
	}
	address := h.card.Address.String()
	name := "ip-" + strings.ReplaceAll(address, ".", "-") + "." + regionOf(i) + ".compute.internal"
	add("", map[string]string{
		"ami-id": i.Image, "ami-launch-index": "0", "ami-manifest-path": "(unknown)", "hostname": name, "instance-action": "none", "instance-id": i.ID,
		"instance-life-cycle": "on-demand", "instance-type": i.Type, "local-hostname": name, "local-ipv4": address, "mac": h.card.MAC.String(), "profile": "default-hvm",
		"reservation-id": "r-" + strings.TrimPrefix(i.ID, "i-"), "security-groups": strings.Join(groupNames(i), "\n"),
	})
	add("block-device-mapping", map[string]string{"ami": i.Root, "root": i.Root})
	add("placement", map[string]string{"availability-zone": i.Zone, "region": regionOf(i)})
	add("services", map[string]string{"domain": "amazonaws.com", "partition": "aws"})
	add("network/interfaces/macs/"+h.card.MAC.String(), map[string]string{
		"device-number": "0", "interface-id": h.card.ID, "local-hostname": name, "local-ipv4s": address, "mac": h.card.MAC.String(), "owner-id": fakeaws.Account,
		"security-group-ids": strings.Join(h.card.Groups, "\n"), "security-groups": strings.Join(groupNames(i), "\n"), "subnet-id": i.Subnet,
		"subnet-ipv4-cidr-block": h.card.Subnet.String(), "vpc-id": i.VPC, "vpc-ipv4-cidr-block": h.card.Network.String(), "vpc-ipv4-cidr-blocks": h.card.Network.String(),
	})
	tags, err := s.tagsOf(ctx, i)
	if err != nil {
		return nil, err
	}
	if group := tags["aws:autoscaling:groupName"]; group != "" {
		if state := target(s.account.GroupInstances(regionOf(i), group)[i.ID]); state != "" {
			add("autoscaling", map[string]string{"target-lifecycle-state": state})
		}
	}
	if i.Metadata.Tags == "enabled" && version >= tagsSince { // "latest" is later than any number
		add("tags/instance", tags)
	}
	return t, s.addRole(t, i)
}

// groupNames are those of an instance's security groups.
func groupNames(i fakeaws.Instance) []string {
	var names []string
	for _, g := range i.Groups {
		names = append(names, g.Name)
	}
	return names
}

// tagsOf are an instance's tags now.
func (s *Service) tagsOf(ctx context.Context, i fakeaws.Instance) (map[string]string, error) {
	out, err := s.client(regionOf(i)).DescribeTags(ctx, &ec2.DescribeTagsInput{Filters: []types.Filter{{Name: aws.String("resource-id"), Values: []string{i.ID}}}})
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	for _, t := range out.Tags {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags, nil
}

// target is where a member of an autoscaling group is on its way to, or is; "": it is in none.
func target(state string) string {
	switch {
	case strings.HasPrefix(state, "Pending"), state == "InService":
		return "InService"
	case strings.HasPrefix(state, "Terminating"):
		return "Terminated"
	}
	return state
}

// addIdentity adds the identity document.
func (s *Service) addIdentity(t tree, h *host) error {
	i := h.instance
	document, err := json.MarshalIndent(struct {
		AccountID    string `json:"accountId"`
		Architecture string `json:"architecture"`
		Zone         string `json:"availabilityZone"`
		Image        string `json:"imageId"`
		Instance     string `json:"instanceId"`
		Type         string `json:"instanceType"`
		Pending      string `json:"pendingTime"`
		Address      string `json:"privateIp"`
		Region       string `json:"region"`
		Version      string `json:"version"`
	}{
		fakeaws.Account, i.Arch, i.Zone, i.Image, i.ID, i.Type, i.Launched, h.card.Address.String(), regionOf(i), "2017-09-30",
	}, "", "  ")
	t["dynamic/instance-identity/document"] = document
	return err
}

// credentialTime is how long a role's credentials are good for.
const credentialTime = time.Hour

// KeyOf is the access key that an instance's credentials have.
func KeyOf(instance string) string {
	return "ASIA" + strings.ToUpper(strings.TrimPrefix(instance, "i-"))
}

// addRole adds the credentials of the role that an instance's profile gives it. The role is called like the profile.
func (s *Service) addRole(t tree, i fakeaws.Instance) error {
	if i.Profile == nil {
		return nil
	}
	now, role := s.now().UTC(), path.Base(i.Profile.ARN)
	info, err := json.Marshal(map[string]string{
		"Code": "Success", "LastUpdated": now.Format(time.RFC3339), "InstanceProfileArn": i.Profile.ARN, "InstanceProfileId": i.Profile.ID,
	})
	if err != nil {
		return err
	}
	given, err := json.Marshal(map[string]string{
		"Code": "Success", "LastUpdated": now.Format(time.RFC3339), "Type": "AWS-HMAC", "AccessKeyId": KeyOf(i.ID),
		"SecretAccessKey": "secret of " + i.ID, "Token": "session of " + i.ID, "Expiration": now.Add(credentialTime).Format(time.RFC3339),
	})
	t["meta-data/iam/info"], t["meta-data/iam/security-credentials/"+role] = info, given
	return err
}
