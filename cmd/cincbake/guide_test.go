package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/sdk"
	"github.com/cincbake/cincbake/launch/iam"
	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/fakeaws/rights"
)

const guide = "../../docs/aws-from-empty.md"

// walk is a reader of the guide, with an account that is empty but for what every account has.
type walk struct {
	*testing.T
	server *fakeaws.Server
	roles  map[string]string // of the page: a command's role, by the command
	image  string            // what the page calls $image
	did    map[string]bool   // what was done in place of commands that cannot run here
	again  [][]string        // commands that change something, and must not when they are run again
}

// The managed topology goes from an empty account to machines in service by the commands of the guide, and by no others. What
// the fake account does not have is done by the stand-ins, each of which the guide must call for.
func TestGuideFromAnEmptyAccount(t *testing.T) {
	server := fakeaws.New(fakeaws.Options{Boot: 2 * time.Minute})
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	w := &walk{T: t, server: server, roles: map[string]string{}, did: map[string]bool{}}
	for _, row := range regexp.MustCompile("(?m)^\\| `cincbake ([a-z ]+)` \\| `([a-z]+)` \\|$").FindAllStringSubmatch(read(t, guide), -1) {
		w.roles[row[1]] = row[2]
	}
	commands := shellBlocks(t, guide)
	t.Chdir(t.TempDir())
	for i := 0; i < len(commands); i++ {
		if commands[i][0] != "until" {
			w.do(commands[i])
			continue
		}
		if i+2 >= len(commands) || commands[i+1][0] != "do" || commands[i+2][0] != "done" {
			t.Fatalf("no loop of one command: %q", commands[i:])
		}
		w.until(commands[i][1:], commands[i+1][1:])
		i += 2
	}
	for name := range w.standIns() {
		if !w.did[name] {
			t.Errorf("the guide does not call for: %s", name)
		}
	}
	for name := range w.roles {
		if !w.did["cincbake "+name] {
			t.Errorf("the guide names a role for cincbake %s, and does not run it", name)
		}
	}
	w.serves()
	if len(w.again) < 4 {
		t.Errorf("the guide changes something by %q alone", w.again)
	}
	for _, args := range w.again {
		before := len(server.Calls(""))
		mustRun(t, exit.Done, args...)
		for _, call := range server.Calls("")[before:] {
			if !reads(call) {
				t.Errorf("cincbake %s, run again, calls %s", strings.Join(args, " "), call)
			}
		}
	}
}

// do runs a command of the guide, or what stands in for it.
func (w *walk) do(words []string) {
	w.Helper()
	line := strings.Join(words, " ")
	for i, word := range words {
		words[i] = strings.ReplaceAll(word, "$image", w.image)
	}
	for name, does := range w.standIns() {
		if line == name || strings.HasPrefix(line, name+" ") {
			w.did[name] = true
			does(words)
			return
		}
	}
	args, is := ours(words)
	if !is {
		w.Fatalf("the guide says %q: let this test know what stands in for it", line)
	}
	w.run(exit.Done, args)
}

// until runs a command until it ends well, and another one in between.
func (w *walk) until(words, between []string) {
	w.Helper()
	args, is := ours(words)
	if !is {
		w.Fatalf("%q is not cincbake's", words)
	}
	const most = 100
	for range most {
		if w.try(args) == exit.Done {
			return
		}
		w.do(between)
	}
	w.Fatalf("cincbake %s does not end well after %d times", strings.Join(args, " "), most)
}

// run runs cincbake, which must end with the code.
func (w *walk) run(want exit.Code, args []string) {
	w.Helper()
	if got := w.try(args); got != want {
		w.Fatalf("cincbake %s ended with %d, want %d", strings.Join(args, " "), got, want)
	}
}

// try runs cincbake as somebody who may do what the role may that the guide names for it; without a role, nothing.
func (w *walk) try(args []string) exit.Code {
	w.Helper()
	found, err := known(args)
	if err != nil {
		w.Fatal(err)
	}
	name := strings.TrimPrefix(found.CommandPath(), "cincbake ")
	w.did["cincbake "+name] = true
	before := len(w.server.Calls(""))
	w.Setenv("AWS_ACCESS_KEY_ID", w.limited(name))
	code, out, said := command(w.T, args...)
	w.Setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
	if code != exit.Done {
		w.Logf("cincbake %s ended with %d:\n%s%s", strings.Join(args, " "), code, out, said)
	}
	calls := w.server.Calls("")[before:]
	for _, call := range calls {
		if strings.HasPrefix(call.Code, "Unauthorized") || strings.HasPrefix(call.Code, "AccessDenied") {
			w.Errorf("cincbake %s: %s, which the role %q may not", name, call, w.roles[name])
		}
	}
	if slices.ContainsFunc(calls, func(c fakeaws.Call) bool { return !reads(c) }) {
		w.again = append(w.again, args)
	}
	return code
}

// limited is the access key of somebody who may do what the role of a command may.
func (w *walk) limited(name string) string {
	w.Helper()
	role := w.roles[name]
	caller := fakeaws.Caller{Key: "AKIA" + strings.ToUpper(role)}
	if role == "" {
		caller.Key = "AKIANOBODY"
		if err := w.server.Limit(caller); err != nil {
			w.Fatal(err)
		}
		return caller.Key
	}
	_, r := w.load()
	rights.Limit(w, w.server, caller, role, r)
	return caller.Key
}

// reads tells whether a call changes nothing.
func reads(c fakeaws.Call) bool {
	return slices.ContainsFunc([]string{"Describe", "Get", "Head", "List", "Simulate"}, func(verb string) bool { return strings.HasPrefix(c.Action, verb) })
}

func (w *walk) load() (*cluster.Spec, *cluster.Resolved) {
	w.Helper()
	spec, resolved, err := (&specFlag{defaultSpec}).load()
	if err != nil {
		w.Fatal(err)
	}
	return spec, resolved
}

// standIns are what is done in place of commands that cannot run here, by how they begin.
func (w *walk) standIns() map[string]func(words []string) {
	nothing := func([]string) {}
	return map[string]func([]string){
		"cd":                                 func(words []string) { w.Chdir(words[1]) },
		"aws iam create-service-linked-role": nothing,
		"aws cloudformation deploy":          w.deployed,
		"aws cloudformation describe-stacks": w.outputs,
		"export CINCBAKE_DATABASE_PASSWORD=$(aws secretsmanager get-secret-value": func([]string) { w.Setenv("CINCBAKE_DATABASE_PASSWORD", strings.Repeat("0a1b2c3d", 6)) },
		"export CINCBAKE_SEARCH_PASSWORD=$(aws secretsmanager get-secret-value":   func([]string) { w.Setenv("CINCBAKE_SEARCH_PASSWORD", strings.Repeat("0a1b2c3d", 6)) },
		"cincbake lock":                         w.locked,
		"packer init packer/amazon-ebs.pkr.hcl": func(words []string) { read(w.T, words[2]) },
		"cincbake bake":                         w.baked,
		"tee baked.json":                        nothing,
		"image=$(jq --raw-output '.[0].image' baked.json)": func([]string) {
			var told []baked
			if err := json.Unmarshal([]byte(read(w.T, "baked.json")), &told); err != nil {
				w.Fatal(err)
			}
			w.image = told[0].Image
		},
		"sleep": func(words []string) {
			seconds, err := strconv.Atoi(words[1])
			if err != nil {
				w.Fatal(err)
			}
			w.server.Advance(time.Duration(seconds) * time.Second)
		},
	}
}

// deployed holds the stack's template and its limits; what is in it, the outputs bring.
func (w *walk) deployed(words []string) {
	w.Helper()
	file := words[slices.Index(words, "--template-file")+1]
	if text := read(w.T, file); !strings.Contains(text, "AWS::IAM::Role") || !slices.Contains(words, "CAPABILITY_NAMED_IAM") {
		w.Errorf("the template has roles of its own names: %q must allow that", words)
	}
}

// outputs makes in the fake account what the template says, and writes each output where its description says.
func (w *walk) outputs([]string) {
	w.Helper()
	var template struct {
		Outputs map[string]struct {
			Description string    `yaml:"Description"`
			Value       yaml.Node `yaml:"Value"`
		} `yaml:"Outputs"`
	}
	if err := yaml.Unmarshal([]byte(read(w.T, "foundation.yaml")), &template); err != nil {
		w.Fatal(err)
	}
	_, r := w.load()
	values := w.account(r)
	var spec yaml.Node
	if err := yaml.Unmarshal([]byte(read(w.T, defaultSpec)), &spec); err != nil {
		w.Fatal(err)
	}
	key := regexp.MustCompile(`^[a-zA-Z.]+(?:\[\d\])?$`)
	for name, output := range template.Outputs {
		if !key.MatchString(output.Description) {
			continue // for people
		}
		value, made := values[name]
		if !made && output.Value.Tag != "!!str" {
			w.Fatalf("the template has the output %s, for %s: let this test know what it is", name, output.Description)
		}
		if !made {
			value = output.Value.Value
		}
		place(spec.Content[0], output.Description, value)
	}
	text, err := yaml.Marshal(&spec)
	if err != nil {
		w.Fatal(err)
	}
	write(w.T, defaultSpec, string(text))
}

// account makes what the template's outputs name, and returns their values.
func (w *walk) account(r *cluster.Resolved) map[string]string {
	w.Helper()
	settings, err := sdk.Load(w.Context(), r.Region)
	if err != nil {
		w.Fatal(err)
	}
	client := awsec2.NewFromConfig(settings)
	subnets, err := client.DescribeSubnets(w.Context(), &awsec2.DescribeSubnetsInput{})
	if err != nil {
		w.Fatal(err)
	}
	values := map[string]string{
		"Bucket": "prod-records-1a2b3c", "Key": "arn:aws:kms:" + r.Region + ":" + fakeaws.Account + ":key/0a1b2c3d-0000-4000-8000-00000000aaaa",
		"InstanceProfilesApi":  iam.ProfileOf(r, cluster.RoleAPI),
		"PostgresExternalHost": "prod.c1a2b3c4d5e6." + r.Region + ".rds.amazonaws.com", "OpensearchExternalUrl": "https://vpc-search-1a2b3c." + r.Region + ".es.amazonaws.com",
		"TargetGroupsHttps": w.server.AddTargetGroup(r.Region, fakeaws.TargetGroup{Name: "https"}),
		"TargetGroupsHttp":  w.server.AddTargetGroup(r.Region, fakeaws.TargetGroup{Name: "http", Port: 80}),
	}
	for i, subnet := range subnets.Subnets {
		values[fmt.Sprintf("Subnet%d", i+1)] = *subnet.SubnetId
	}
	for _, name := range []string{"SecurityGroupsApi", "SecurityGroupsApiCluster"} {
		made, err := client.CreateSecurityGroup(w.Context(), &awsec2.CreateSecurityGroupInput{GroupName: &name, Description: &name, VpcId: subnets.Subnets[0].VpcId})
		if err != nil {
			w.Fatal(err)
		}
		values[name] = *made.GroupId
	}
	w.server.AddBucket(r.Region, values["Bucket"])
	w.server.AddInstanceProfile(values["InstanceProfilesApi"])
	return values
}

// place writes a value into a spec, at a key like aws.securityGroups.api[0].
func place(node *yaml.Node, key, value string) {
	for _, part := range strings.Split(key, ".") {
		name, index, listed := strings.Cut(strings.TrimSuffix(part, "]"), "[")
		node = child(node, name)
		if listed {
			node.Kind, node.Tag = yaml.SequenceNode, "!!seq"
			at, _ := strconv.Atoi(index)
			for len(node.Content) <= at {
				node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode})
			}
			node = node.Content[at]
		}
	}
	node.SetString(value)
	if _, err := strconv.Atoi(value); err == nil {
		node.Tag = "!!int"
	}
}

// child is the value of a key, which is made if it is not there.
func child(node *yaml.Node, name string) *yaml.Node {
	node.Kind, node.Tag = yaml.MappingNode, "!!map"
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i+1]
		}
	}
	made := &yaml.Node{Kind: yaml.ScalarNode}
	node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, made)
	return made
}

// locked is what the vendor would have said of its packages.
func (w *walk) locked(words []string) {
	w.Helper()
	if err := accepted(words[1:]); err != nil {
		w.Fatal(err)
	}
	spec, _ := w.load()
	lock := cluster.Lock{Format: cluster.LockFormat}
	for _, wanted := range spec.Official() {
		lock.Packages = append(lock.Packages, cluster.Locked{Wanted: wanted, URL: "https://packages.example.com/" + wanted.Name + ".deb", Digest: "sha256:" + strings.Repeat("1", 64)})
	}
	if err := writeLock(spec.LockPath(), lock); err != nil {
		w.Fatal(err)
	}
}

// baked is what a bake leaves: an AMI with the bake's tags, its record among the images, and what it says of them.
func (w *walk) baked(words []string) {
	w.Helper()
	if err := accepted(words[1:]); err != nil {
		w.Fatal(err)
	}
	_, r := w.load()
	catalogue, err := images.Open("images")
	if err != nil {
		w.Fatal(err)
	}
	var told []baked
	for i, name := range rolesIn(r) {
		role := cluster.Role(name)
		recipe := r.Recipe(role)
		if err := recipe.Complete(); err != nil {
			w.Fatal(err)
		}
		image := fakeaws.Image{Name: "cincbake-" + r.Name + "-" + name}
		image.Tags = fakeaws.Tags{cluster.TagCluster: r.Name, cluster.TagRole: name, cluster.TagRecipe: recipe.Digest()}
		id := w.server.SeedImages(r.Region, image)[0]
		manifest := []string{fmt.Sprintf(`"/etc/motd" file 0644 0:0 sha256:%064d`, i)}
		entry, err := catalogue.Add(context.WithoutCancel(w.Context()), func(d *images.Draft) (images.Record, error) {
			record := images.Report{Recipe: recipe, ContentDigest: images.DigestOf(manifest), AgentVersion: "v0.1.0", DocumentFormat: 1}.Record()
			record.Created, record.Packages = time.Now(), []images.Package{{Name: "cinc-server-core", Version: "15.10.91-1", Arch: "amd64"}}
			d.InCloud(images.Artefact{Kind: images.KindAMI, Region: r.Region, ID: id})
			return record, d.Manifest(manifest)
		})
		if err != nil {
			w.Fatal(err)
		}
		told = append(told, baked{Role: role, Image: entry.ID, ContentDigest: entry.Record.ContentDigest, Artefacts: entry.Record.Artefacts})
	}
	text, err := json.Marshal(told)
	if err != nil {
		w.Fatal(err)
	}
	write(w.T, "baked.json", string(text))
}

// serves checks what the guide has led to: as many machines as the spec says, in service, in front of the balancer, from the
// image that was baked; and that no password went anywhere but into Secrets Manager.
func (w *walk) serves() {
	w.Helper()
	_, r := w.load()
	group := r.GroupName(r.NodesOf(cluster.RoleAPI)[0])
	machines := w.server.GroupInstances(r.Region, group)
	for id, state := range machines {
		if state != "InService" {
			w.Errorf("%s is %s", id, state)
		}
	}
	if len(machines) != r.API.Min {
		w.Errorf("there are %d machines, and the spec says %d", len(machines), r.API.Min)
	}
	point := w.server.Parameter(r.Region, cluster.ChannelParameter(r.Name, cluster.RoleAPI, "stable"))
	kinds := map[string]int{}
	for _, resource := range w.server.Resources() {
		if resource.Tags[cluster.TagCluster] == r.Name {
			kinds[resource.Kind]++
		}
	}
	if image := w.server.Image(r.Region, point); image.Tags[cluster.TagContent] == "" || kinds["instance"] != r.API.Min {
		w.Errorf("the channel points to %q, with the tags %v; the cluster has %v", point, image.Tags, kinds)
	}
	for _, call := range w.server.Calls("") {
		for _, name := range call.Params.Names() {
			if call.Service != "secretsmanager" && strings.Contains(call.Params.String(name), strings.Repeat("0a1b2c3d", 6)) {
				w.Errorf("%s has a password in %s", call, name)
			}
		}
	}
}
