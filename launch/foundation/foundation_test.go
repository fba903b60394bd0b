package foundation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/golden"
	"github.com/cincbake/cincbake/launch/foundation"
)

func example(t *testing.T, topology cluster.Topology) string {
	t.Helper()
	text, err := cluster.Example(topology, cluster.AWS)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

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

func write(t *testing.T, r *cluster.Resolved, o foundation.Options) string {
	t.Helper()
	text, err := foundation.Write(r, o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// body is a template as it is read.
type body struct {
	Parameters map[string]map[string]any `yaml:"Parameters"`
	Resources  map[string]struct {
		Type       string         `yaml:"Type"`
		Properties map[string]any `yaml:"Properties"`
	} `yaml:"Resources"`
	Outputs map[string]struct {
		Description string `yaml:"Description"`
	} `yaml:"Outputs"`
}

func read(t *testing.T, text string) body {
	t.Helper()
	var b body
	if err := yaml.Unmarshal([]byte(text), &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// templates are those of the three examples, in the network that they name and in one of their own.
func templates(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, topology := range []cluster.Topology{cluster.Managed, cluster.SelfHosted, cluster.Standalone} {
		r := parse(t, example(t, topology))
		all[string(topology)+"-aws.yaml"] = write(t, r, foundation.Options{})
		all[string(topology)+"-aws-network.yaml"] = write(t, r, foundation.Options{Network: true})
	}
	return all
}

func TestGolden(t *testing.T) {
	for name, text := range templates(t) {
		golden.Compare(t, "testdata/"+name, text)
	}
}

func TestBytes(t *testing.T) {
	for name, text := range templates(t) {
		if len(text) > foundation.MaxBytes {
			t.Errorf("%s has %d bytes: CloudFormation takes %d directly", name, len(text), foundation.MaxBytes)
		}
	}
}

// The template is the same once its outputs are in the spec.
func TestOutputsChangeNothing(t *testing.T) {
	text := example(t, cluster.Managed)
	before := write(t, parse(t, text), foundation.Options{})
	after := write(t, parse(t, text+`
aws:
  bucket: prod-images
  key: arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001
  instanceProfiles: {api: cincbake-prod-api}
  securityGroups: {api: [sg-0a1b2c3d]}
  targetGroups: [arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/prod/0123456789abcdef]
`), foundation.Options{})
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the template of a spec with the section aws (-without +with):\n%s", diff)
	}
}

// Whatever launching needs the spec to say of the account, an output says.
func TestOutputsAreWhatLaunchNeeds(t *testing.T) {
	for _, topology := range []cluster.Topology{cluster.Managed, cluster.SelfHosted, cluster.Standalone} {
		t.Run(string(topology), func(t *testing.T) {
			spec, err := cluster.Parse("cluster.yaml", []byte(example(t, topology)))
			if err != nil {
				t.Fatal(err)
			}
			r, err := spec.Resolve()
			if err != nil {
				t.Fatal(err)
			}
			said := map[string]bool{}
			for _, output := range read(t, write(t, r, foundation.Options{})).Outputs {
				key, _, _ := strings.Cut(output.Description, "[")
				said[key] = true
			}
			lacks := spec.LaunchProblems()
			if len(lacks) == 0 {
				t.Fatal("the example needs nothing")
			}
			for _, problem := range lacks {
				if !said[problem.Path] {
					t.Errorf("no output is %s", problem.Path)
				}
			}
		})
	}
}

// Every flow to a machine or a service of the template is let in, and nothing else is.
func TestRulesAreThePortTable(t *testing.T) {
	for _, topology := range []cluster.Topology{cluster.Managed, cluster.SelfHosted, cluster.Standalone} {
		r := parse(t, example(t, topology))
		want := map[int]bool{}
		for _, flow := range cluster.Ports(r) {
			if flow.Protocol == cluster.TCP && flow.To != cluster.ToBackup {
				want[flow.Port] = true
			}
		}
		got := map[int]bool{}
		for name, resource := range read(t, write(t, r, foundation.Options{})).Resources {
			if resource.Type != "AWS::EC2::SecurityGroupIngress" {
				continue
			}
			port, ok := resource.Properties["FromPort"].(int)
			if !ok || resource.Properties["ToPort"] != port {
				t.Errorf("%s: ports %v to %v", name, resource.Properties["FromPort"], resource.Properties["ToPort"])
			}
			got[port] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: ports (-table +template):\n%s", topology, diff)
		}
	}
}

func TestManaged(t *testing.T) {
	text := example(t, cluster.Managed)
	properties := func(t *testing.T, text, resource string) map[string]any {
		t.Helper()
		found, ok := read(t, write(t, parse(t, text), foundation.Options{})).Resources[resource]
		if !ok {
			t.Fatalf("there is no %s", resource)
		}
		return found.Properties
	}
	t.Run("the database is sized by the spec", func(t *testing.T) {
		larger := strings.Replace(strings.Replace(text, "max: 6", "max: 20", 1), "maxConnections: 600", "maxConnections: 2000", 1)
		for spec, want := range map[string]string{text: "530", larger: "1650"} {
			parameters, ok := properties(t, spec, "DatabaseParameters")["Parameters"].(map[string]any)
			if !ok || parameters["max_connections"] != want || parameters["password_encryption"] != "md5" || parameters["rds.force_ssl"] != "1" {
				t.Errorf("parameters %v, want max_connections %s", parameters, want)
			}
		}
		for spec, want := range map[string]string{text: "db.m6i.large", larger: "db.m6i.2xlarge"} {
			got := read(t, write(t, parse(t, spec), foundation.Options{})).Parameters["DatabaseClass"]["Default"]
			if got != want {
				t.Errorf("class %v, want %s", got, want)
			}
		}
	})
	t.Run("the database is kept", func(t *testing.T) {
		database := properties(t, text, "Database")
		for key, want := range map[string]any{
			"MultiAZ": true, "DeletionProtection": true, "StorageEncrypted": true, "PubliclyAccessible": false,
			"MasterUsername": "cinc_owner", "EngineVersion": "DatabaseVersion",
		} {
			if database[key] != want {
				t.Errorf("%s is %v, want %v", key, database[key], want)
			}
		}
	})
	t.Run("Cinc Server can use the passwords", func(t *testing.T) {
		for _, name := range []string{"DatabaseSecret", "SearchSecret"} {
			drawn, _ := properties(t, text, name)["GenerateSecretString"].(map[string]any)
			without, _ := drawn["ExcludeCharacters"].(string)
			for c := byte(' '); c <= '~'; c++ {
				fit := c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
				if strings.Contains(without, string(c)) == fit {
					t.Errorf("%s: %q in a password: %v", name, c, !fit)
				}
			}
		}
		for name, key := range map[string]string{"Database": "MasterUserPassword", "DatabaseSecret": "KmsKeyId"} {
			if properties(t, text, name)[key] == nil {
				t.Errorf("%s has no %s", name, key)
			}
		}
	})
	t.Run("the search is in three zones", func(t *testing.T) {
		search := properties(t, text, "Search")
		subnets, _ := search["VPCOptions"].(map[string]any)["SubnetIds"].([]any)
		if len(subnets) != 3 || search["EngineVersion"] != "OpenSearch_1.3" {
			t.Errorf("subnets %v, engine %v", subnets, search["EngineVersion"])
		}
	})
	t.Run("health only routes", func(t *testing.T) {
		for _, name := range []string{"HttpsTargetGroup", "HttpTargetGroup"} {
			group := properties(t, text, name)
			if group["HealthCheckPath"] != "/_status" || group["HealthCheckProtocol"] != "HTTPS" || group["HealthCheckPort"] != "443" {
				t.Errorf("%s: %v", name, group)
			}
		}
		for name, resource := range read(t, write(t, parse(t, text), foundation.Options{})).Resources {
			if strings.HasPrefix(resource.Type, "AWS::AutoScaling::") {
				t.Errorf("%s: groups are launch's to make", name)
			}
		}
	})
	t.Run("somebody else's are left to them", func(t *testing.T) {
		others := strings.NewReplacer("prod.abcdefghijkl.eu-west-1.rds.amazonaws.com", "db.example.com",
			"vpc-prod-abcdefghijkl.eu-west-1.es.amazonaws.com", "search.example.com").Replace(text)
		for name, resource := range read(t, write(t, parse(t, others), foundation.Options{})).Resources {
			if strings.HasPrefix(resource.Type, "AWS::RDS::") || strings.HasPrefix(resource.Type, "AWS::OpenSearchService::") {
				t.Errorf("%s is %s", name, resource.Type)
			}
		}
	})
}

func TestNetwork(t *testing.T) {
	t.Run("three zones of four", func(t *testing.T) {
		resources := read(t, write(t, parse(t, example(t, cluster.Managed)), foundation.Options{Network: true})).Resources
		for name, want := range map[string]string{"Vpc": "10.30.0.0/16", "Subnet1": "10.30.0.0/18", "Subnet2": "10.30.64.0/18", "Subnet3": "10.30.128.0/18"} {
			if got := resources[name].Properties["CidrBlock"]; got != want {
				t.Errorf("%s is %v, want %s", name, got, want)
			}
		}
		for name, resource := range resources {
			if resource.Type == "AWS::EC2::InternetGateway" || resource.Type == "AWS::EC2::NatGateway" {
				t.Errorf("%s leads to the internet", name)
			}
		}
	})
	t.Run("too small", func(t *testing.T) {
		small := strings.Replace(example(t, cluster.Managed), "10.30.0.0/16", "10.30.0.0/28", 1)
		_, err := foundation.Write(parse(t, small), foundation.Options{Network: true})
		if exit.CodeOf(err) != exit.Invalid || !strings.Contains(err.Error(), "network.prefix") {
			t.Errorf("error %v", err)
		}
	})
}

func TestNotAWS(t *testing.T) {
	text, err := cluster.Example(cluster.Managed, cluster.OnPrem)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := foundation.Write(parse(t, text), foundation.Options{}); exit.CodeOf(err) != exit.Invalid {
		t.Errorf("error %v", err)
	}
}
