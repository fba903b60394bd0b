package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/launch/iam"
	"github.com/cincbake/cincbake/secrets/awssm"
	"github.com/cincbake/cincbake/secrets/store"
	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/fakeaws/rights"
)

func TestSecretsPush(t *testing.T) {
	server := fakeaws.New(fakeaws.Options{})
	t.Cleanup(server.Close)
	text, err := os.ReadFile("../../examples/standalone-aws/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	write(t, "cluster.yaml", string(text))
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	spec, err := cluster.Load("cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	rights.Limit(t, server, fakeaws.Caller{Key: "AKIAEXAMPLE"}, iam.Secrets, resolved)
	mustRun(t, exit.Missing, "secrets", "push") // no bundle yet
	mustRun(t, exit.Done, "secrets", "init")
	bundle, err := store.Load("secrets.json")
	if err != nil {
		t.Fatal(err)
	}
	quiet := func(texts ...string) {
		t.Helper()
		for _, item := range bundle.Items() {
			for _, text := range texts {
				if value := item.Value.Reveal(); strings.Contains(text, value) || strings.Contains(text, strings.ReplaceAll(value, "\n", `\n`)) {
					t.Errorf("it prints %s", item.Name)
				}
			}
		}
	}
	for _, step := range []struct {
		args   []string
		change awssm.Change
		says   string
	}{
		{[]string{"--dry-run"}, awssm.Created, "nothing was changed"},
		{nil, awssm.Created, ""},
		{nil, awssm.Unchanged, "nothing to change"},
	} {
		out, said := mustRun(t, exit.Done, append([]string{"secrets", "push"}, step.args...)...)
		quiet(out, said)
		if want := "standalone-1 cincbake/prod/standalone-1 " + string(step.change); strings.Join(strings.Fields(strings.Split(out, "\n")[1]), " ") != want || !strings.Contains(said, step.says) {
			t.Errorf("%q: got %q, %q", step.args, out, said)
		}
	}
	server.Inject(fakeaws.Deny("DescribeSecret"))
	out, said := mustRun(t, exit.Failed, "secrets", "push")
	quiet(out, said)
	server.Mend()
	out, said = mustRun(t, exit.Done, "secrets", "push", "-o", "json")
	quiet(out, said)
	var got []awssm.Pushed
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]awssm.Pushed{{Node: "standalone-1", Secret: "cincbake/prod/standalone-1", Change: awssm.Unchanged}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
