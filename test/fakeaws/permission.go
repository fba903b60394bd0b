package fakeaws

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/test/fakeaws/policy"
)

// Caller is somebody who may do what policies allow, and nothing else.
type Caller struct {
	// Key is the access key's id, by which calls tell whose they are.
	Key string
	// Policies are IAM's, in JSON.
	Policies [][]byte
	// Instance is the one that the credentials are of; empty: people's, or CI's.
	Instance string
}

type caller struct {
	policies []policy.Policy
	instance string
	used     map[string]bool // as policy.Policy.Grants names them
}

// Limit holds a caller to its policies from now on, and forgets those that it had. Callers that nobody limits may do
// everything.
func (s *Server) Limit(c Caller) error {
	limited := caller{instance: c.Instance, used: map[string]bool{}}
	for _, text := range c.Policies {
		p, err := policy.Parse(text)
		if err != nil {
			return err
		}
		limited.policies = append(limited.policies, p)
	}
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	s.iam.callers[c.Key] = limited
	return nil
}

// may tells whether the caller may call; nil: it may.
func (s *Server) may(c *Call) error {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	if slices.Contains(s.iam.forbidden, c.Service+":"+c.Action) {
		return dialectOf(c.Service).denied
	}
	who, limited := s.iam.callers[c.Key]
	if !limited {
		return nil
	}
	q := &questions{Server: s, call: c, always: policy.Context{}}
	if who.instance != "" {
		q.always = q.always.With("ec2:SourceInstanceARN", arn("ec2", c.Region, "instance/"+who.instance))
	}
	if !q.derive() {
		return refuse("NoRule", "the fake does not know what AWS asks IAM about %s:%s: add it to the tables of permission_*.go", c.Service, c.Action)
	}
	for _, one := range q.list {
		d := policy.Decide(who.policies, one)
		if !d.Allowed {
			return refusal(c.Service, one, d)
		}
		for _, statement := range d.By {
			who.used[statement+" "+one.Action] = true
		}
	}
	return nil
}

// Unused lists what a caller's policies allow and none of its calls needed since it was limited: statements with an action
// each, sorted, like "StartMachine ec2:RunInstances".
func (s *Server) Unused(key string) []string {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	who := s.iam.callers[key]
	var list []string
	for _, p := range who.policies {
		list = append(list, slices.DeleteFunc(p.Grants(), func(grant string) bool { return who.used[grant] })...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// refusal is what a service says of a decision. What follows its own words is the fake's: AWS tells it in part, encoded, or not
// at all.
func refusal(service string, r policy.Request, d policy.Decision) error {
	e := *dialectOf(service).denied
	because := fmt.Sprintf("no identity-based policy allows the %s action", r.Action)
	if d.Denied {
		because = "of an explicit deny in an identity-based policy"
	}
	text := fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s because %s (%s)", me, r.Action, r.Resource, because, d.Why)
	if service == "ec2" {
		text = e.Message + " " + text
	}
	e.Message = text
	return &e
}

// questions are what AWS asks IAM before it does what a call says. All must be allowed. What each action needs, on which
// resources and with which condition keys, is after AWS's Service Authorization Reference; other sources are named where they
// are followed. A resource that there is not is not asked about where its ARN alone says nothing: the call's own error is the
// answer then.
type questions struct {
	*Server
	call   *Call
	always policy.Context // what every question says
	list   []policy.Request
}

// ask adds a question.
func (q *questions) ask(action, resource string, c policy.Context) {
	merged := maps.Clone(q.always)
	maps.Copy(merged, c)
	q.list = append(q.list, policy.Request{Action: action, Resource: resource, Context: merged})
}

// everything asks about an action that IAM cannot limit to a resource.
func (q *questions) everything() { q.ask(q.call.Service+":"+q.call.Action, "*", nil) }

// derive adds the questions of the call; false: nobody knows them.
func (q *questions) derive() bool {
	rules := map[string]map[string]func(*questions){
		"ec2": ec2Questions(), "autoscaling": scalingQuestions(), "s3": objectQuestions(), "ssm": parameterQuestions(),
		"secretsmanager": secretQuestions(), "iam": iamQuestions(),
		// Every caller may ask who it is, whatever its policies say.
		"sts":           {"GetCallerIdentity": func(*questions) {}},
		"servicequotas": {"GetServiceQuota": quotaQuestions},
	}
	if rule := rules[q.call.Service][q.call.Action]; rule != nil {
		rule(q)
		return true
	}
	// What only describes takes no resource, but for what is in the tables.
	looks := slices.Contains([]string{"ec2", "autoscaling", "elasticloadbalancing"}, q.call.Service) && strings.HasPrefix(q.call.Action, "Describe")
	if looks {
		q.everything()
	}
	return looks
}

// requested is the context of tags that a call gives.
func requested(tags map[string]string) policy.Context {
	return policy.Context{}.Tagged("aws:RequestTag/", tags).With("aws:TagKeys", Tags(tags).keys()...)
}

// has is the context of tags that a resource has.
func has(tags map[string]string) policy.Context {
	return policy.Context{}.Tagged("aws:ResourceTag/", tags)
}

func both(a, b policy.Context) policy.Context {
	merged := maps.Clone(a)
	maps.Copy(merged, b)
	return merged
}

// key asks about actions with a key of KMS that a service takes for the caller. With the account's default key it does so by
// that key's own policy, and IAM is not asked. grants are those by which the service goes on using it.
func (q *questions) key(service, region, key string, actions ...string) {
	full := keyARN(region, key)
	if key == "" || full == defaultKey(region) {
		return
	}
	via := policy.Context{}.With("kms:ViaService", service+"."+region+".amazonaws.com")
	for _, action := range actions {
		c := via
		if action == "CreateGrant" {
			c = c.With("kms:GrantIsForAWSResource", "true")
		}
		q.ask("kms:"+action, full, c)
	}
}

// keyARN is a key's, by whatever names it. An alias is that of the key whose id is its name.
func keyARN(region, key string) string {
	if strings.HasPrefix(key, "arn:") {
		return strings.Replace(key, ":alias/", ":key/", 1)
	}
	return arn("kms", region, "key/"+strings.TrimPrefix(key, "alias/"))
}
