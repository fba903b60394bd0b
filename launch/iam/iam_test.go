package iam_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/golden"
	"github.com/cincbake/cincbake/launch/iam"
)

func parse(t *testing.T, text string) *cluster.Resolved {
	t.Helper()
	spec, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func example(t *testing.T, topology cluster.Topology) string {
	t.Helper()
	text, err := cluster.Example(topology, cluster.AWS)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const (
	account = "111122223333"
	key     = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001"
	disks   = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000002"
)

// named is the self-hosted example with everything named that the account has.
func named(t *testing.T) *cluster.Resolved {
	t.Helper()
	return parse(t, example(t, cluster.SelfHosted)+`
aws:
  bucket: prod-images
  key: `+key+`
  volumeKey: `+disks+`
  instanceProfiles: {api: web, postgres: database, heartbeat: vote, opensearch: search}
  securityGroups: {api: [sg-0a1b2c3d], postgres: [sg-1a1b2c3d, sg-2a1b2c3d], heartbeat: [sg-1a1b2c3d], opensearch: [sg-3a1b2c3d]}
  targetGroups: [arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/prod/0123456789abcdef]
`)
}

// wide is a cluster of many slots with a long name: its policies are the longest.
func wide(t *testing.T) *cluster.Resolved {
	t.Helper()
	text := strings.Replace(example(t, cluster.SelfHosted), "name: prod ", "name: quite-a-long-name-of-a-cluster ", 1)
	slot := "    - subnet: subnet-0a1b2c3d4e5f60718\n"
	at := strings.LastIndex(text, slot)
	return parse(t, text[:at]+strings.Repeat(slot, 6)+text[at:])
}

func place(t *testing.T, r *cluster.Resolved, account string) iam.Place {
	t.Helper()
	at, err := iam.PlaceOf(r, account, "")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func clusters(t *testing.T) map[string]*cluster.Resolved {
	t.Helper()
	return map[string]*cluster.Resolved{
		"managed-aws":     parse(t, example(t, cluster.Managed)),
		"self-hosted-aws": parse(t, example(t, cluster.SelfHosted)),
		"standalone-aws":  parse(t, example(t, cluster.Standalone)),
		"named":           named(t),
		"wide":            wide(t),
	}
}

// policies calls visit for every role's policy in every cluster.
func policies(t *testing.T, visit func(t *testing.T, r *cluster.Resolved, role iam.Role, d iam.Document)) {
	t.Helper()
	for name, r := range clusters(t) {
		for _, role := range iam.Roles(r) {
			t.Run(name+"/"+role.Name, func(t *testing.T) { visit(t, r, role, iam.For(r, role, place(t, r, ""))) })
		}
	}
}

func TestGolden(t *testing.T) {
	for name, r := range clusters(t) {
		if name == "wide" {
			continue
		}
		at := place(t, r, map[bool]string{true: account}[name == "named"])
		for _, role := range iam.Roles(r) {
			text, err := iam.For(r, role, at).JSON()
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, "testdata/"+name+"/"+role.Name+".json", string(text))
		}
	}
}

// Each action is in the table, and a statement names resources of kinds that IAM limits the action to: none is allowed on
// everything that could be allowed on less, and no resource is there for nothing.
func TestResources(t *testing.T) {
	kinds := map[string][]string{}
	for _, action := range iam.Actions() {
		kinds[action.Name] = action.Resources
	}
	policies(t, func(t *testing.T, _ *cluster.Resolved, _ iam.Role, d iam.Document) {
		for _, s := range d.Statement {
			everything := slices.Equal(s.Resource, []string{"*"})
			if everything != strings.HasPrefix(s.Sid, iam.EveryResource) {
				t.Errorf("%s: its name does not say whether it is about every resource", s.Sid)
			}
			if !everything && (len(s.Resource) == 0 || slices.Contains(s.Resource, "*")) {
				t.Errorf("%s: resources %q", s.Sid, s.Resource)
			}
			used := map[string]bool{}
			for _, action := range s.Action {
				limits, known := kinds[action]
				switch {
				case !known:
					t.Errorf("%s: %s is not in the table of actions", s.Sid, action)
				case everything && len(limits) > 0:
					t.Errorf("%s: %s can be limited to %v, and is not", s.Sid, action, limits)
				case !everything && len(limits) == 0:
					t.Errorf("%s: %s cannot be limited to a resource, so it would never be allowed", s.Sid, action)
				}
				for _, arn := range s.Resource {
					if slices.Contains(limits, iam.KindOf(arn)) {
						used[arn] = true
					}
				}
			}
			for _, arn := range s.Resource {
				if !everything && !used[arn] {
					t.Errorf("%s: %s is no resource of %v", s.Sid, arn, s.Action)
				}
			}
		}
	})
}

// Every action of the table is in some policy, so that the table does not outlive what it is about.
func TestActionsAreUsed(t *testing.T) {
	used := map[string]bool{}
	for _, r := range clusters(t) {
		for _, role := range iam.Roles(r) {
			for _, s := range iam.For(r, role, place(t, r, "")).Statement {
				for _, action := range s.Action {
					used[action] = true
				}
			}
		}
	}
	var names []string
	for _, action := range iam.Actions() {
		names = append(names, action.Name)
		if !used[action.Name] {
			t.Errorf("no role needs %s", action.Name)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("the table is not sorted: %v", names)
	}
}

// What changes something without naming it by its own name is limited to what has the cluster's tags, or gets them; these are
// what is not.
func TestUntagged(t *testing.T) {
	reasons := map[string]string{
		"StartFromDebian":            "the image is Debian's: its owner is the condition",
		"StartInSubnet":              "Packer's subnet is a variable of the template",
		"MakeSecurityGroupInNetwork": "as is its network",
		"AskBefore":                  "it asks what a policy says, of a caller that this one does not know",
		"StartByTemplate":            "only what a launch template says is started, and that needs the tag",
		"ListChannels":               "their names begin with the cluster's",
		"ReadAndWriteChannels":       "likewise",
		"ReadChannels":               "likewise",
		"ReadRecords":                "objects of the bucket of records",
		"WriteRecords":               "likewise",
		"WriteBackups":               "objects below the cluster's prefix",
		"SayReady":                   "groups have a random part before their name, which is whole",
		"LookForSecrets":             "what is not there has no tag, and their names begin with the cluster's",
		"ReadOwnSecret":              "secrets have six random characters after their name, which is whole",
	}
	used := map[string]bool{}
	policies(t, func(t *testing.T, _ *cluster.Resolved, _ iam.Role, d iam.Document) {
		for _, s := range d.Statement {
			tags := false
			for _, keys := range s.Condition {
				for key := range keys {
					tags = tags || strings.HasSuffix(key, "Tag/"+cluster.TagCluster)
				}
			}
			open := slices.ContainsFunc(s.Resource, func(arn string) bool { return arn != "*" && strings.ContainsAny(arn, "*?") })
			if !open || tags {
				continue
			}
			used[s.Sid] = true
			if reasons[s.Sid] == "" {
				t.Errorf("%s: %v on %q without the cluster's tag", s.Sid, s.Action, s.Resource)
			}
		}
	})
	for sid := range reasons {
		if !used[sid] {
			t.Errorf("no statement is %s any more", sid)
		}
	}
}

func TestSids(t *testing.T) {
	form := regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	policies(t, func(t *testing.T, _ *cluster.Resolved, _ iam.Role, d iam.Document) {
		seen := map[string]bool{}
		for _, s := range d.Statement {
			if !form.MatchString(s.Sid) || seen[s.Sid] {
				t.Errorf("%q is no name of a statement, or is there twice", s.Sid)
			}
			seen[s.Sid] = true
			if !slices.IsSorted(s.Action) || len(slices.Compact(slices.Clone(s.Action))) != len(s.Action) {
				t.Errorf("%s: actions are not sorted, or twice there: %v", s.Sid, s.Action)
			}
		}
	})
}

// IAM counts every character that is no white space, of what is there in place of the placeholders.
func TestSizes(t *testing.T) {
	filled := strings.NewReplacer("${AWS::AccountId}", account, "${Key.Arn}", key, "${RecordsBucket}", strings.Repeat("b", 63))
	group := regexp.MustCompile(`\$\{[A-Za-z]+SecurityGroup\}`)
	policies(t, func(t *testing.T, _ *cluster.Resolved, role iam.Role, d iam.Document) {
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		limit := iam.MaxManaged
		if role.Machine != "" {
			limit = iam.MaxInline
		}
		size := len(group.ReplaceAllString(filled.Replace(string(text)), "sg-0a1b2c3d4e5f60718"))
		if size > limit {
			t.Errorf("%d characters, and IAM takes %d", size, limit)
		}
		t.Logf("%d of %d characters", size, limit)
	})
}

// A machine's role passes nothing on, starts nothing, and reads no secret of another role.
func TestMachinesAreApart(t *testing.T) {
	r := parse(t, example(t, cluster.SelfHosted))
	for _, role := range iam.Roles(r) {
		if role.Machine == "" {
			continue
		}
		text, err := iam.For(r, role, place(t, r, account)).JSON()
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range r.Nodes {
			secret := ":secret:cincbake/prod/" + other.Name + "-??????"
			if strings.Contains(string(text), secret) != (other.Role == role.Machine) {
				t.Errorf("%s, secret of %s: the policy is\n%s", role.Name, other.Name, text)
			}
		}
		for _, action := range []string{"iam:", "RunInstances", "TerminateInstance", "PutSecret", "PutParameter"} {
			if strings.Contains(string(text), action) {
				t.Errorf("%s may %s", role.Name, action)
			}
		}
	}
}

// Only the role that promotes writes a channel's parameter.
func TestOnlyPromoteWritesChannels(t *testing.T) {
	policies(t, func(t *testing.T, _ *cluster.Resolved, role iam.Role, d iam.Document) {
		for _, s := range d.Statement {
			if slices.Contains(s.Action, "ssm:PutParameter") != (role.Name == iam.Promote && s.Sid == "ReadAndWriteChannels") {
				t.Errorf("%s: %v", s.Sid, s.Action)
			}
		}
	})
}

// Only the role that pushes writes secrets, and it writes no other cluster's.
func TestOnlySecretsWritesSecrets(t *testing.T) {
	policies(t, func(t *testing.T, r *cluster.Resolved, role iam.Role, d iam.Document) {
		for _, s := range d.Statement {
			for _, action := range []string{"secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"} {
				if slices.Contains(s.Action, action) && role.Name != iam.Secrets {
					t.Errorf("%s: %v", s.Sid, s.Action)
				}
			}
			for _, arn := range s.Resource {
				if iam.KindOf(arn) == "secret" && !strings.Contains(arn, ":secret:cincbake/"+r.Name+"/") {
					t.Errorf("%s: %s is not the cluster's", s.Sid, arn)
				}
			}
		}
	})
}

func TestPassRole(t *testing.T) {
	r := named(t)
	role, err := iam.Find(r, iam.Launch)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range iam.For(r, role, place(t, r, account)).Statement {
		if s.Sid != "PassRoles" {
			continue
		}
		want := []string{
			"arn:aws:iam::111122223333:role/web", "arn:aws:iam::111122223333:role/database", "arn:aws:iam::111122223333:role/vote",
			"arn:aws:iam::111122223333:role/search",
		}
		if diff := cmp.Diff(want, s.Resource); diff != "" {
			t.Errorf("roles that are passed on (-want +got):\n%s", diff)
		}
		return
	}
	t.Error("no role is passed on")
}

func TestPlaceholders(t *testing.T) {
	example, all := parse(t, example(t, cluster.Standalone)), named(t)
	tests := []struct {
		name string
		r    *cluster.Resolved
		role string
		at   iam.Place
		want []string
	}{
		{"nothing is named", example, iam.Launch, place(t, example, ""), []string{"${AWS::AccountId}", "${ClusterSecurityGroup}", "${Key.Arn}", "${StandaloneSecurityGroup}"}},
		{"but the account", example, iam.Bake, place(t, example, account), []string{"${Key.Arn}", "${RecordsBucket}"}},
		{"everything is named", all, iam.Launch, place(t, all, account), nil},
		// IAM's own variable is none.
		{"of a machine", all, "postgres", place(t, all, account), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			role, err := iam.Find(test.r, test.role)
			if err != nil {
				t.Fatal(err)
			}
			got, err := iam.For(test.r, role, test.at).Placeholders()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("placeholders (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlaceOf(t *testing.T) {
	onPrem, err := cluster.Example(cluster.Managed, cluster.OnPrem)
	if err != nil {
		t.Fatal(err)
	}
	aws := example(t, cluster.Standalone)
	in := func(region string) string { return strings.ReplaceAll(aws, "eu-west-1", region) }
	tests := []struct {
		name, spec, account, partition string
		want                           iam.Place
		refused                        bool
	}{
		{name: "of the region", spec: aws, account: account, want: iam.Place{Partition: "aws", Region: "eu-west-1", Account: account}},
		{name: "no account", spec: aws, want: iam.Place{Partition: "aws", Region: "eu-west-1", Account: "${AWS::AccountId}"}},
		{name: "China", spec: in("cn-north-1"), account: account, want: iam.Place{Partition: "aws-cn", Region: "cn-north-1", Account: account}},
		{name: "GovCloud", spec: in("us-gov-west-1"), account: account, want: iam.Place{Partition: "aws-us-gov", Region: "us-gov-west-1", Account: account}},
		{name: "named", spec: aws, account: account, partition: "aws-iso", want: iam.Place{Partition: "aws-iso", Region: "eu-west-1", Account: account}},
		{name: "a name", spec: aws, account: "production", refused: true},
		{name: "no partition", spec: aws, account: account, partition: "azure", refused: true},
		{name: "no AWS", spec: onPrem, account: account, refused: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := iam.PlaceOf(parse(t, test.spec), test.account, test.partition)
			if (err != nil) != test.refused || err != nil && exit.CodeOf(err) != exit.Invalid {
				t.Fatalf("error %v, code %d", err, exit.CodeOf(err))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("place (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTrust(t *testing.T) {
	r := parse(t, example(t, cluster.Managed))
	china := parse(t, strings.ReplaceAll(example(t, cluster.Managed), "eu-west-1", "cn-north-1"))
	tests := []struct {
		name     string
		r        *cluster.Resolved
		role     string
		workflow iam.Workflow
		want     string // of the statement, without white space
	}{
		{name: "machine", r: r, role: "api", want: `"Principal":{"Service":["ec2.amazonaws.com"]},"Action":["sts:AssumeRole"]`},
		{name: "machine in China", r: china, role: "api", want: `"Principal":{"Service":["ec2.amazonaws.com.cn"]},"Action":["sts:AssumeRole"]`},
		{
			name: "branch", r: r, role: "bake", workflow: iam.Workflow{Repository: "acme/chef"},
			want: `"token.actions.githubusercontent.com:sub":["repo:acme/chef:ref:refs/heads/main"]`,
		},
		{
			name: "environment", r: r, role: "promote", workflow: iam.Workflow{Repository: "acme/chef", Environment: "production"},
			want: `"token.actions.githubusercontent.com:sub":["repo:acme/chef:environment:production"]`,
		},
		{name: "nobody", r: r, role: "launch"},
		{name: "every repository", r: r, role: "launch", workflow: iam.Workflow{Repository: "acme/*"}},
		{name: "every environment", r: r, role: "launch", workflow: iam.Workflow{Repository: "acme/chef", Environment: "*"}},
		{name: "a machine from a workflow", r: r, role: "api", workflow: iam.Workflow{Repository: "acme/chef"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			role, err := iam.Find(test.r, test.role)
			if err != nil {
				t.Fatal(err)
			}
			d, err := iam.Trust(role, place(t, test.r, account), test.workflow)
			if test.want == "" {
				if exit.CodeOf(err) != exit.Invalid {
					t.Fatalf("error %v, policy %v", err, d)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), test.want) {
				t.Errorf("%s is not in\n%s", test.want, text)
			}
		})
	}
}

func TestFind(t *testing.T) {
	r := parse(t, example(t, cluster.Managed))
	if _, err := iam.Find(r, "postgres"); exit.CodeOf(err) != exit.Invalid || !strings.Contains(err.Error(), "bake, promote, secrets, launch, operate, api") {
		t.Errorf("a role that a managed cluster lacks: %v", err)
	}
}
