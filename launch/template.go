package launch

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Template is everything that a version of a launch template says, but for what is the same in all of them. Each version
// says all of it: nothing is taken over from the version before.
type Template struct {
	Image           string            `json:"image"`
	RootDevice      string            `json:"rootDevice"`
	InstanceType    string            `json:"instanceType"`
	VolumeKey       string            `json:"volumeKey"` // encrypts the root volume
	InstanceProfile string            `json:"instanceProfile"`
	SecurityGroups  []string          `json:"securityGroups,omitempty"` // of the pool; a slot's are at its interface
	Interface       string            `json:"interface,omitempty"`      // a slot's
	Tags            map[string]string `json:"tags"`
	UserData        []byte            `json:"userData"` // before base64
}

// templateForm is in every digest. It is counted up with each change of what Data writes for the same Template.
const templateForm = 1

// Digest identifies what the template says: 64 hexadecimal digits.
func (t Template) Digest() string {
	text, err := json.Marshal(struct {
		Form int
		Template
	}{templateForm, t})
	if err != nil { // strings and bytes only
		panic(fmt.Sprintf("launch template does not marshal: %v", err))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Data is the template in EC2's form.
func (t Template) Data() *types.RequestLaunchTemplateData {
	d := &types.RequestLaunchTemplateData{
		ImageId:            aws.String(t.Image),
		InstanceType:       types.InstanceType(t.InstanceType),
		IamInstanceProfile: &types.LaunchTemplateIamInstanceProfileSpecificationRequest{Name: aws.String(t.InstanceProfile)},
		UserData:           aws.String(base64.StdEncoding.EncodeToString(t.UserData)),
		MetadataOptions: &types.LaunchTemplateInstanceMetadataOptionsRequest{
			HttpEndpoint: types.LaunchTemplateInstanceMetadataEndpointStateEnabled,
			HttpTokens:   types.LaunchTemplateHttpTokensStateRequired,
			// One hop: what is routed through the machine, like a container, gets no credentials.
			HttpPutResponseHopLimit: aws.Int32(1),
			InstanceMetadataTags:    types.LaunchTemplateInstanceMetadataTagsStateEnabled,
		},
		BlockDeviceMappings: []types.LaunchTemplateBlockDeviceMappingRequest{{
			DeviceName: aws.String(t.RootDevice),
			Ebs: &types.LaunchTemplateEbsBlockDeviceRequest{
				VolumeType: types.VolumeTypeGp3, Encrypted: aws.Bool(true), KmsKeyId: aws.String(t.VolumeKey), DeleteOnTermination: aws.Bool(true),
			},
		}},
		// A machine that switches itself off is replaced, not kept.
		InstanceInitiatedShutdownBehavior: types.ShutdownBehaviorTerminate,
		TagSpecifications: []types.LaunchTemplateTagSpecificationRequest{
			{ResourceType: types.ResourceTypeInstance, Tags: tagList(t.Tags)},
			{ResourceType: types.ResourceTypeVolume, Tags: tagList(rootTags(t.Tags))},
		},
	}
	if t.Interface != "" {
		d.NetworkInterfaces = []types.LaunchTemplateInstanceNetworkInterfaceSpecificationRequest{{
			DeviceIndex: aws.Int32(0), NetworkInterfaceId: aws.String(t.Interface),
		}}
		return d
	}
	d.SecurityGroupIds = t.SecurityGroups
	d.TagSpecifications = append(d.TagSpecifications, types.LaunchTemplateTagSpecificationRequest{
		ResourceType: types.ResourceTypeNetworkInterface, Tags: tagList(rootTags(t.Tags)),
	})
	return d
}

// tagList is tags in EC2's form, sorted.
func tagList(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return list
}

// tagMap is the inverse of tagList.
func tagMap(tags []types.Tag) map[string]string {
	all := make(map[string]string, len(tags))
	for _, tag := range tags {
		all[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return all
}

// label is what cincbake writes into the description of a version: the digest of what it says, and the number of the version
// that machines ran before, which is where a rollback leads if none does any more; 0: none. A version never changes, so neither
// does that.
func label(digest string, after int64) string {
	text := "cincbake sha256:" + digest
	if after > 0 {
		text += fmt.Sprintf(" after %d", after)
	}
	return text
}

// parseLabel is the inverse of label; what somebody else wrote has neither.
func parseLabel(text string) (digest string, after int64) {
	rest, ok := strings.CutPrefix(text, "cincbake sha256:")
	if !ok {
		return "", 0
	}
	digest, number, _ := strings.Cut(rest, " after ")
	after, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		after = 0
	}
	return digest, after
}

// said is what EC2 answers for what was asked: the two forms have the same names.
func said(d *types.RequestLaunchTemplateData) *types.ResponseLaunchTemplateData {
	var answer types.ResponseLaunchTemplateData
	text, err := json.Marshal(d)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil { // the types are the SDK's
		panic(fmt.Sprintf("launch template data: %v", err))
	}
	return &answer
}

// templateFields are what people want to know of a template, in words.
func templateFields(d *types.ResponseLaunchTemplateData) map[string]string {
	fields := map[string]string{
		"image":        aws.ToString(d.ImageId),
		"instanceType": string(d.InstanceType),
	}
	if p := d.IamInstanceProfile; p != nil {
		fields["instanceProfile"] = aws.ToString(p.Name) + aws.ToString(p.Arn)
	}
	if m := d.MetadataOptions; m != nil {
		fields["metadata"] = fmt.Sprintf("tokens %s, hop limit %d, tags %s", m.HttpTokens, aws.ToInt32(m.HttpPutResponseHopLimit), m.InstanceMetadataTags)
	}
	for _, b := range d.BlockDeviceMappings {
		if e := b.Ebs; e != nil {
			protection := "not encrypted"
			if aws.ToBool(e.Encrypted) {
				protection = "encrypted by " + aws.ToString(e.KmsKeyId)
			}
			fields["volume."+aws.ToString(b.DeviceName)] = fmt.Sprintf("%s, %s", e.VolumeType, protection)
		}
	}
	if len(d.SecurityGroupIds) > 0 {
		fields["securityGroups"] = strings.Join(slices.Sorted(slices.Values(d.SecurityGroupIds)), " ")
	}
	for _, n := range d.NetworkInterfaces {
		fields["interface"] = aws.ToString(n.NetworkInterfaceId)
	}
	for _, specification := range d.TagSpecifications {
		for key, value := range tagMap(specification.Tags) {
			fields[fmt.Sprintf("tags.%s.%s", specification.ResourceType, key)] = value
		}
	}
	if data, err := base64.StdEncoding.DecodeString(aws.ToString(d.UserData)); err == nil && len(data) > 0 {
		sum := sha256.Sum256(data)
		fields["userData"] = fmt.Sprintf("sha256:%s, %d bytes", hex.EncodeToString(sum[:6]), len(data))
	}
	return fields
}
