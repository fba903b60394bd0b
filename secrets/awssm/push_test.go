package awssm_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/secrets/awssm"
	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/fakeaws/rights"
)

// vault is a cluster's bundle, and the account that it is pushed to.
type vault struct {
	*testing.T
	server *fakeaws.Server
	client *secretsmanager.Client // may do what whoever pushes may
	anyone *secretsmanager.Client
	r      *cluster.Resolved
	bundle *secrets.Bundle
}

// generated makes secrets, once: RSA keys take their time.
var generated = sync.OnceValues(func() (*secrets.Bundle, error) {
	r, err := example()
	if err != nil {
		return nil, err
	}
	return secrets.Generate(r, time.Now())
})

func example() (*cluster.Resolved, error) {
	spec, err := cluster.Load("../../cluster/example/self-hosted-aws.yaml")
	if err != nil {
		return nil, err
	}
	return spec.Resolve()
}

func newVault(t *testing.T) *vault {
	t.Helper()
	r, err := example()
	if err != nil {
		t.Fatal(err)
	}
	r.AWS = &cluster.Account{Key: "arn:aws:kms:eu-west-1:111122223333:key/secrets"}
	made, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	bundle := *made
	front := *made.Front
	bundle.Nodes, bundle.Front = maps.Clone(made.Nodes), &front
	server := fakeaws.New(fakeaws.Options{})
	t.Cleanup(server.Close)
	rights.Limit(t, server, fakeaws.Caller{Key: "AKIAPUSH"}, "secrets", r)
	client := func(key string) *secretsmanager.Client {
		return secretsmanager.NewFromConfig(aws.Config{
			Region: r.Region, BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider(key, "secret", ""),
			Retryer: func() aws.Retryer {
				return retry.NewStandard(func(o *retry.StandardOptions) {
					o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
				})
			},
		})
	}
	return &vault{t, server, client("AKIAPUSH"), client("AKIAEXAMPLE"), r, &bundle}
}

// push pushes, and returns what became of each secret.
func (v *vault) push(dry bool) map[string]awssm.Change {
	v.Helper()
	pushed, err := awssm.Push(v.Context(), v.client, v.r, v.bundle, dry)
	if err != nil {
		v.Fatal(err)
	}
	changes := map[string]awssm.Change{}
	for _, p := range pushed {
		changes[p.Secret] = p.Change
	}
	return changes
}

// all is that the same became of every secret.
func (v *vault) all(change awssm.Change) map[string]awssm.Change {
	changes := map[string]awssm.Change{}
	for _, node := range v.r.Nodes {
		changes["cincbake/prod/"+node.Name] = change
	}
	return changes
}

func (v *vault) same(what string, got, want any) {
	v.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		v.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// holds checks that each machine fetches its own part, whole.
func (v *vault) holds() {
	v.Helper()
	for _, node := range v.r.Nodes {
		text, err := awssm.Fetch(v.Context(), v.client, v.r.SecretName(node))
		if err != nil {
			v.Fatal(err)
		}
		got, err := secrets.DecodeScoped(text)
		if err != nil {
			v.Fatal(err)
		}
		want, err := v.bundle.Scope(node)
		if err != nil {
			v.Fatal(err)
		}
		if changed := want.Changed(got); got.Node != node.Name || len(changed) > 0 {
			v.Errorf("%s holds %s's, other than it should be: %v", node.Name, got.Node, changed)
		}
	}
}

// changes counts the calls that changed something.
func (v *vault) changes() int {
	return len(v.server.Calls("CreateSecret")) + len(v.server.Calls("PutSecretValue"))
}

func TestPush(t *testing.T) {
	v := newVault(t)
	v.same("a dry run", v.push(true), v.all(awssm.Created))
	v.same("its changes", v.changes(), 0)
	v.same("the first", v.push(false), v.all(awssm.Created))
	v.holds()
	v.same("again", v.push(false), v.all(awssm.Unchanged))
	v.same("all changes", v.changes(), len(v.r.Nodes))
	for i, call := range v.server.Calls("CreateSecret") {
		node := v.r.Nodes[i]
		want := map[string]string{cluster.TagCluster: "prod", cluster.TagRole: string(node.Role)}
		if node.Slot > 0 {
			want[cluster.TagNode] = node.Name
		}
		v.same("tags of "+node.Name, call.Params.Tags("Tags"), want)
		v.same("key of "+node.Name, call.Params.String("KmsKeyId"), v.r.AWS.Key)
	}
	for _, call := range v.server.Calls("GetSecretValue") {
		v.same("the stage that is asked for", call.Params.String("VersionStage"), "AWSCURRENT")
	}
}

// One machine's new certificate makes a version of its secret alone; and the way back makes one too, which AWS would not do
// for the old version's token.
func TestPushWhatChanged(t *testing.T) {
	v := newVault(t)
	v.push(false)
	old := v.bundle.Nodes["postgres-1"]
	v.bundle.Nodes["postgres-1"] = v.bundle.Nodes["postgres-2"]
	want := v.all(awssm.Unchanged)
	want["cincbake/prod/postgres-1"] = awssm.Updated
	v.same("a dry run", v.push(true), want)
	v.same("a new one", v.push(false), want)
	v.holds()
	v.bundle.Nodes["postgres-1"] = old
	v.same("back", v.push(false), want)
	v.holds()
	v.same("again", v.push(false), v.all(awssm.Unchanged))
}

// Whatever goes wrong, before or after it took effect, the next push completes, and no secret has a version too many.
func TestPushIsCompleted(t *testing.T) {
	for _, action := range []string{"CreateSecret", "PutSecretValue"} {
		for _, fault := range []fakeaws.Fault{
			fakeaws.Throttle(action, 2).After(2), fakeaws.Lose(action, 1).After(2), fakeaws.Deny(action).After(2), fakeaws.Lose(action, 3).After(2),
		} {
			t.Run(action+" "+fault.Name, func(t *testing.T) {
				v := newVault(t)
				if action == "PutSecretValue" {
					v.push(false)
					if _, err := v.bundle.Rotate(v.r, []string{"leaves"}, false, time.Now()); err != nil {
						t.Fatal(err)
					}
				}
				v.server.Inject(fault)
				pushed, err := awssm.Push(t.Context(), v.client, v.r, v.bundle, false)
				if denied := fault.Times == 0 || fault.Times == 3; denied != (err != nil) {
					t.Fatalf("%v", err)
				} else if denied && len(pushed) != 2 {
					t.Errorf("done before: %v", pushed)
				}
				v.server.Mend()
				v.push(false)
				v.holds()
				v.same("a third time", v.push(false), v.all(awssm.Unchanged))
				for _, node := range v.r.Nodes {
					about, err := v.client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(v.r.SecretName(node))})
					if err != nil {
						t.Fatal(err)
					}
					if most := map[string]int{"CreateSecret": 1, "PutSecretValue": 2}[action]; len(about.VersionIdsToStages) > most {
						t.Errorf("%s has %d versions", node.Name, len(about.VersionIdsToStages))
					}
				}
			})
		}
	}
}

func TestPushRefuses(t *testing.T) {
	name := aws.String("cincbake/prod/heartbeat-1")
	ours := []types.Tag{{Key: aws.String(cluster.TagCluster), Value: aws.String("prod")}}
	for _, test := range []struct {
		name  string
		spoil func(*vault) error
		code  exit.Code
		says  string
	}{
		{"another's secret", func(v *vault) error {
			_, err := v.anyone.CreateSecret(v.Context(), &secretsmanager.CreateSecretInput{Name: name, SecretString: aws.String("theirs")})
			return err
		}, exit.Unsafe, "somebody else made it"},
		{"marked for deletion", func(v *vault) error {
			_, err := v.anyone.CreateSecret(v.Context(), &secretsmanager.CreateSecretInput{Name: name, SecretString: aws.String("ours"), Tags: ours})
			if err == nil {
				_, err = v.anyone.DeleteSecret(v.Context(), &secretsmanager.DeleteSecretInput{SecretId: name})
			}
			return err
		}, exit.Missing, "restore-secret"},
		{"encrypted by another key", func(v *vault) error {
			_, err := v.anyone.CreateSecret(v.Context(), &secretsmanager.CreateSecretInput{
				Name: name, SecretString: aws.String("ours"), Tags: ours, KmsKeyId: aws.String("arn:aws:kms:eu-west-1:111122223333:key/old"),
			})
			return err
		}, exit.Unsafe, "update-secret"},
		{"too large", func(v *vault) error {
			v.bundle.Front.Certificate += strings.Repeat("x", awssm.MaxBytes)
			return nil
		}, exit.Invalid, "takes 65536"},
		{"no certificate", func(v *vault) error { delete(v.bundle.Nodes, "heartbeat-1"); return nil }, exit.Failed, "secrets init"},
		{"not allowed", func(v *vault) error { v.server.Inject(fakeaws.Deny("DescribeSecret")); return nil }, exit.Failed, "AccessDenied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newVault(t)
			if err := test.spoil(v); err != nil {
				t.Fatal(err)
			}
			_, err := awssm.Push(t.Context(), v.client, v.r, v.bundle, false)
			if err == nil || !strings.Contains(err.Error(), test.says) || exit.CodeOf(err) != test.code {
				t.Fatalf("got %d, %v", exit.CodeOf(err), err)
			}
			for _, item := range v.bundle.Items() {
				if item.Kind != "certificate" && strings.Contains(err.Error(), item.Value.Reveal()) {
					t.Errorf("the error has the value of %s", item.Name)
				}
			}
		})
	}
}

// A secret that somebody made by hand, for the cluster, gets its first version.
func TestPushIntoEmpty(t *testing.T) {
	v := newVault(t)
	_, err := v.anyone.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("cincbake/prod/api"), Tags: []types.Tag{{Key: aws.String(cluster.TagCluster), Value: aws.String("prod")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := v.all(awssm.Created)
	want["cincbake/prod/api"] = awssm.Updated
	v.same("the first", v.push(false), want)
	v.holds()
}

func TestFetch(t *testing.T) {
	v := newVault(t)
	if _, err := awssm.Fetch(t.Context(), v.anyone, "cincbake/prod/api"); !errors.Is(err, awssm.ErrNotFound) || !strings.Contains(err.Error(), "cincbake/prod/api") {
		t.Errorf("without a secret: %v", err)
	}
	if _, err := awssm.Fetch(t.Context(), v.client, "cincbake/prod/api"); err == nil || !strings.Contains(err.Error(), "cincbake secrets push") {
		t.Errorf("without a secret, to who may read some only: %v", err)
	}
	v.push(false)
	v.server.Inject(fakeaws.Throttle("GetSecretValue", 2))
	v.holds()
	v.server.Inject(fakeaws.Hang("GetSecretValue", 1))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := awssm.Fetch(ctx, v.client, "cincbake/prod/api"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
}
