package fakeaws

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// vault is Secrets Manager. It shares EC2's lock and clock.
type vault struct {
	ec2     *ec2
	secrets []*secret
}

// secret is a text, or bytes, with versions.
type secret struct {
	region, name, arn, description, key string
	made, changed, deleted              seconds
	versions                            []*secretVersion
	tags                                Tags
}

type secretVersion struct {
	id           string
	text, binary string // one of them; bytes in base64
	stages       []string
	made         seconds
}

const (
	// maxSecret is what a secret holds, in bytes.
	maxSecret   = 65536
	noSecret    = "ResourceNotFoundException"
	current     = "AWSCURRENT"
	previous    = "AWSPREVIOUS"
	notNow      = "InvalidRequestException"
	badArgument = "InvalidParameterException"
)

func (v *vault) service() service {
	return &tabled{name: "secretsmanager", speaks: jsonProtocol{}, lock: &v.ec2.mu, actions: map[string]func(*Call) (any, error){
		"CreateSecret":   v.create,
		"PutSecretValue": v.put,
		"GetSecretValue": v.get,
		"DescribeSecret": v.describe,
		"ListSecrets":    v.list,
		"TagResource":    v.tag,
		"UntagResource":  v.untag,
		"DeleteSecret":   v.delete,
		"RestoreSecret":  v.restore,
	}}
}

func (v *vault) named(region, id string) *secret {
	for _, s := range v.secrets {
		if s.region == region && (s.name == id || s.arn == id) {
			return s
		}
	}
	return nil
}

// find returns the secret that a call is for, which may be marked for deletion only if gone allows that.
func (v *vault) find(c *Call, gone bool) (*secret, error) {
	s := v.named(c.Region, c.Params.String("SecretId"))
	switch {
	case s == nil:
		return nil, refuse(noSecret, "Secrets Manager can't find the specified secret.")
	case s.deleted != seconds{} && !gone:
		return nil, refuse(notNow, "You can't perform this operation on the secret because it was marked for deletion.")
	}
	return s, nil
}

// add keeps a value as a version. The same again, by its token, changes nothing.
func (v *vault) add(s *secret, c *Call) (*secretVersion, error) {
	p := c.Params
	id := p.String("ClientRequestToken")
	if id == "" {
		v.ec2.last++
		id = fmt.Sprintf("00000000-0000-4000-9000-%012d", v.ec2.last)
	}
	one := &secretVersion{id: id, text: p.String("SecretString"), binary: p.String("SecretBinary"), stages: p.Strings("VersionStages"), made: seconds(v.ec2.now())}
	bytes, err := base64.StdEncoding.DecodeString(one.binary)
	switch {
	case err != nil || p.Has("SecretString") && p.Has("SecretBinary"):
		return nil, refuse(badArgument, "a secret is a string or bytes in base64")
	case len(one.text) > maxSecret || len(bytes) > maxSecret:
		return nil, refuse("ValidationException", "Member must have length less than or equal to %d", maxSecret)
	}
	for _, known := range s.versions {
		if known.id != id {
			continue
		}
		if known.text != one.text || known.binary != one.binary {
			return nil, refuse("ResourceExistsException", "A resource with the ID you requested already exists: you can't modify the value of version %s", id)
		}
		return known, nil
	}
	if len(one.stages) == 0 {
		one.stages = []string{current}
	}
	for _, stage := range one.stages {
		s.move(stage)
	}
	s.versions, s.changed = append(s.versions, one), one.made
	return one, nil
}

// move takes a stage from the version that has it, for another one.
func (s *secret) move(stage string) {
	for _, known := range s.versions {
		if !slices.Contains(known.stages, stage) {
			continue
		}
		known.stages = slices.DeleteFunc(known.stages, func(other string) bool { return other == stage })
		if stage == current {
			s.move(previous)
			known.stages = append(known.stages, previous)
		}
	}
}

// told is what a call that makes a version answers.
type told struct {
	ARN           string
	Name          string
	VersionID     string   `json:"VersionId,omitempty"`
	VersionStages []string `json:",omitempty"`
}

func (v *vault) create(c *Call) (any, error) {
	p := c.Params
	name := p.String("Name")
	s := v.named(c.Region, name)
	again := s != nil && p.Has("ClientRequestToken") && slices.ContainsFunc(s.versions, func(known *secretVersion) bool {
		return known.id == p.String("ClientRequestToken")
	})
	switch {
	case name == "" || len(name) > 512 || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/_+=.@-", r)
	}):
		return nil, refuse("ValidationException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	case s != nil && s.deleted != seconds{}:
		return nil, refuse(notNow, "You can't create this secret because a secret with this name is already scheduled for deletion.")
	case s != nil && !again:
		return nil, refuse("ResourceExistsException", "The operation failed because the secret %s already exists.", name)
	case s == nil:
		v.ec2.last++
		s = &secret{
			region: c.Region, name: name, description: p.String("Description"), key: p.String("KmsKeyId"), tags: p.Tags("Tags"), made: seconds(v.ec2.now()),
			arn: arn("secretsmanager", c.Region, fmt.Sprintf("secret:%s-%06d", name, v.ec2.last)),
		}
	}
	reply := told{ARN: s.arn, Name: s.name}
	if p.Has("SecretString") || p.Has("SecretBinary") {
		version, err := v.add(s, c)
		if err != nil {
			return nil, err
		}
		reply.VersionID = version.id
	}
	if !again {
		v.secrets = append(v.secrets, s)
	}
	return reply, nil
}

func (v *vault) put(c *Call) (any, error) {
	s, err := v.find(c, false)
	if err != nil {
		return nil, err
	}
	version, err := v.add(s, c)
	if err != nil {
		return nil, err
	}
	return told{s.arn, s.name, version.id, version.stages}, nil
}

func (v *vault) get(c *Call) (any, error) {
	s, err := v.find(c, false)
	if err != nil {
		return nil, err
	}
	id, stage := c.Params.String("VersionId"), c.Params.String("VersionStage")
	if id == "" {
		stage = cmp.Or(stage, current)
	}
	for _, one := range s.versions {
		if (id == "" || one.id == id) && (stage == "" || slices.Contains(one.stages, stage)) {
			return struct {
				ARN           string
				Name          string
				VersionID     string `json:"VersionId"`
				SecretString  string `json:",omitempty"`
				SecretBinary  string `json:",omitempty"`
				VersionStages []string
				CreatedDate   seconds
			}{s.arn, s.name, one.id, one.text, one.binary, one.stages, one.made}, nil
		}
	}
	return nil, refuse(noSecret, "Secrets Manager can't find the specified secret value for staging label: %s", cmp.Or(stage, id))
}

// secretEntry is how a secret is listed.
type secretEntry struct {
	ARN             string
	Name            string
	Description     string              `json:",omitempty"`
	Key             string              `json:"KmsKeyId,omitempty"`
	CreatedDate     seconds             `json:",omitzero"`
	LastChangedDate seconds             `json:",omitzero"`
	DeletedDate     seconds             `json:",omitzero"`
	Tags            []pair              `json:",omitempty"`
	Described       map[string][]string `json:"VersionIdsToStages,omitempty"`
	Listed          map[string][]string `json:"SecretVersionsToStages,omitempty"`
}

// entry is without the versions that no stage names, as AWS keeps none of them for long.
func (s *secret) entry() (e secretEntry, stages map[string][]string) {
	stages = make(map[string][]string)
	for _, one := range s.versions {
		if len(one.stages) > 0 {
			stages[one.id] = one.stages
		}
	}
	return secretEntry{
		ARN: s.arn, Name: s.name, Description: s.description, Key: s.key, CreatedDate: s.made, LastChangedDate: s.changed, DeletedDate: s.deleted, Tags: s.tags.pairs(),
	}, stages
}

func (v *vault) describe(c *Call) (any, error) {
	s, err := v.find(c, true)
	if err != nil {
		return nil, err
	}
	reply, stages := s.entry()
	reply.Described = stages
	return reply, nil
}

func (v *vault) list(c *Call) (any, error) {
	var reply struct {
		SecretList []secretEntry
		NextToken  string `json:",omitempty"`
	}
	var list []secretEntry
	for _, s := range v.secrets {
		fits, err := s.fits(c.Params)
		if err != nil {
			return nil, err
		}
		if s.region == c.Region && fits && (s.deleted == seconds{} || c.Params.Bool("IncludePlannedDeletion")) {
			one, stages := s.entry()
			one.Listed = stages
			list = append(list, one)
		}
	}
	var err error
	reply.SecretList, reply.NextToken, err = pageOf(c.Params, list, 100)
	return reply, err
}

// fits tells whether a secret passes all filters. Values are the beginnings of what is looked for; with ! before, of what is not.
func (s *secret) fits(p Params) (bool, error) {
	for _, f := range p.List("Filters") {
		var fields []string
		switch name := f.String("Key"); name {
		case "name":
			fields = []string{s.name}
		case "description":
			fields = []string{s.description}
		case "tag-key":
			fields = s.tags.keys()
		case "tag-value":
			fields = slices.Collect(maps.Values(s.tags))
		default:
			return false, refuse("ValidationException", "the fake knows no filter %q", name)
		}
		if !slices.ContainsFunc(f.Strings("Values"), func(value string) bool {
			begin, not := strings.CutPrefix(value, "!")
			return not != slices.ContainsFunc(fields, func(field string) bool { return strings.HasPrefix(field, begin) })
		}) {
			return false, nil
		}
	}
	return true, nil
}

func (v *vault) tag(c *Call) (any, error) {
	s, err := v.find(c, false)
	if err == nil {
		maps.Copy(s.tags, c.Params.Tags("Tags"))
	}
	return nil, err
}

func (v *vault) untag(c *Call) (any, error) {
	s, err := v.find(c, false)
	if err != nil {
		return nil, err
	}
	for _, key := range c.Params.Strings("TagKeys") {
		delete(s.tags, key)
	}
	return nil, nil
}

func (v *vault) delete(c *Call) (any, error) {
	s, err := v.find(c, c.Params.Bool("ForceDeleteWithoutRecovery"))
	if err != nil {
		return nil, err
	}
	days := 30
	if c.Params.Has("RecoveryWindowInDays") {
		days = c.Params.Int("RecoveryWindowInDays")
	}
	when := v.ec2.now()
	switch {
	case c.Params.Bool("ForceDeleteWithoutRecovery") && c.Params.Has("RecoveryWindowInDays"):
		return nil, refuse(badArgument, "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	case c.Params.Bool("ForceDeleteWithoutRecovery"):
		v.secrets = slices.DeleteFunc(v.secrets, func(other *secret) bool { return other == s })
	case days < 7 || days > 30:
		return nil, refuse(badArgument, "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
	default:
		s.deleted = seconds(when) // AWS keeps when it was asked
		when = when.AddDate(0, 0, days)
	}
	return struct {
		ARN          string
		Name         string
		DeletionDate seconds
	}{s.arn, s.name, seconds(when)}, nil
}

func (v *vault) restore(c *Call) (any, error) {
	s, err := v.find(c, true)
	if err != nil {
		return nil, err
	}
	s.deleted = seconds{}
	return told{ARN: s.arn, Name: s.name}, nil
}
