package launch

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
)

// What arrives at EC2 as user data is less than it takes, can be read, and holds none of the cluster's secrets.
func TestUserData(t *testing.T) {
	const mostBytes = 16384
	f, a := fleet(t, cluster.SelfHosted)
	bundle, err := secrets.Generate(f.Cluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	keyLine := func(pair secrets.KeyPair) string { return strings.Split(pair.Key.Reveal(), "\n")[1] }
	planted := map[string]string{"the CA": keyLine(bundle.CA), "the operator": keyLine(bundle.Operator)}
	for name, pair := range bundle.Nodes {
		planted[name] = keyLine(pair)
	}
	p := bundle.Postgres
	for name, password := range map[string]secrets.Secret{"superuser": p.Superuser, "replication": p.Replication, "rewind": p.Rewind, "owner": p.Owner, "REST API": p.RestAPI} {
		planted[name] = password.Reveal()
	}
	apply(t, f)
	roles := map[string]bool{}
	for _, template := range a.templates {
		for _, v := range template.versions {
			data, err := base64.StdEncoding.DecodeString(aws.ToString(v.LaunchTemplateData.UserData))
			if err != nil || len(data) == 0 || len(data) > mostBytes {
				t.Errorf("%s: %d bytes, %v", *template.LaunchTemplateName, len(data), err)
			}
			text := data
			if packed, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
				if text, err = io.ReadAll(packed); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.HasPrefix(text, []byte("#cloud-config")) {
				t.Errorf("%s: it begins with %.20q", *template.LaunchTemplateName, text)
			}
			for owner, secret := range planted {
				if bytes.Contains(text, []byte(secret)) || bytes.Contains(data, []byte(secret)) {
					t.Errorf("%s holds a secret of %s", *template.LaunchTemplateName, owner)
				}
			}
			roles[tagMap(template.Tags)[cluster.TagRole]] = true
			t.Logf("%s: %d bytes", *template.LaunchTemplateName, len(data))
		}
	}
	if len(roles) != 4 {
		t.Errorf("templates of %v", roles)
	}
}

// The parts that protect a machine are in every template.
func TestTemplateProtects(t *testing.T) {
	f, a := fleet(t, cluster.SelfHosted)
	apply(t, f)
	for _, template := range a.templates {
		fields := templateFields(template.versions[0].LaunchTemplateData)
		name := *template.LaunchTemplateName
		if got, want := fields["metadata"], "tokens required, hop limit 1, tags enabled"; got != want {
			t.Errorf("%s: metadata: %s", name, got)
		}
		if got, want := fields["volume./dev/xvda"], "gp3, encrypted by "+f.Cluster.AWS.VolumeKey; got != want {
			t.Errorf("%s: volume: %s", name, got)
		}
		slot := fields["tags.instance."+cluster.TagNode] != ""
		if slot == (fields["securityGroups"] != "") || slot != (fields["interface"] != "") {
			t.Errorf("%s: a slot has an interface, and a pool security groups: %v", name, fields)
		}
		if fields["tags.volume."+cluster.TagNode] != "" || fields["tags.volume."+cluster.TagCluster] == "" {
			t.Errorf("%s: a root volume is not what a slot keeps: %v", name, fields)
		}
		if fields["tags.instance."+cluster.TagContent] == "" {
			t.Errorf("%s: nobody could see that a machine drifted", name)
		}
	}
}
