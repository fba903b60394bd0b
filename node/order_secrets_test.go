package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// deliverable is a ready machine whose endpoint is called without a network, and what it was made from.
func deliverable(t *testing.T) (e *endpoint, host *step.Recorder, r *cluster.Resolved, bundle *secrets.Bundle) {
	t.Helper()
	host, r, bundle = seeded(t, "postgres-1")
	put(t, host, StatusFile, cluster.Status{
		Format: statusFormat, BootID: "b", Result: cluster.ResultReady, Phase: "ready", Updated: time.Unix(1795658400, 0).UTC(),
	})
	return reloaded(t, host), host, r, bundle
}

// reloaded is the endpoint of a machine with the files that it has now.
func reloaded(t *testing.T, host *step.Recorder) *endpoint {
	t.Helper()
	machine, err := Load(host)
	if err != nil {
		t.Fatal(err)
	}
	return &endpoint{host: host, machine: machine, in: machine.inputs(cluster.Facts{BootID: "b"}), renew: func() {}}
}

// scopedFor is a machine and its part of the secrets.
func scopedFor(t *testing.T, bundle *secrets.Bundle, r *cluster.Resolved, name string) (cluster.Node, secrets.Scoped) {
	t.Helper()
	self, err := r.Node(name)
	if err != nil {
		t.Fatal(err)
	}
	scoped, err := bundle.Scope(self)
	if err != nil {
		t.Fatal(err)
	}
	return self, scoped
}

func encodedFor(t *testing.T, bundle *secrets.Bundle, r *cluster.Resolved, name string) []byte {
	t.Helper()
	_, scoped := scopedFor(t, bundle, r, name)
	encoded, err := scoped.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func deliverTo(ctx context.Context, e *endpoint, query string, body []byte) (taken, error) {
	answer, err := e.deliver(httptest.NewRequestWithContext(ctx, http.MethodPut, "/v1/secrets"+query, bytes.NewReader(body)))
	if err != nil {
		return taken{}, err
	}
	return answer.(taken), nil
}

func rotate(t *testing.T, bundle *secrets.Bundle, r *cluster.Resolved, words ...string) {
	t.Helper()
	if _, err := bundle.Rotate(r, words, true, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// Three deliveries after each other, each with the machine loaded anew as a boot does: the seed's digest, and one for each.
func TestDeliveredSecretsAreTheMachinesOwn(t *testing.T) {
	e, host, r, bundle := deliverable(t)
	for round := range 3 {
		rotate(t, bundle, r, "leaves", "postgres.restAPI")
		// As JSON without its spaces: what is compared is what it says.
		var compact bytes.Buffer
		want := encodedFor(t, bundle, r, "postgres-1")
		if err := json.Compact(&compact, want); err != nil {
			t.Fatal(err)
		}
		renewed := 0
		e.renew = func() { renewed++ }
		host.Ran = nil
		answer, err := deliverTo(t.Context(), e, "", compact.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(taken{[]string{"nodes.postgres-1.certificate", "postgres.restAPI"}, time.Unix(1795658400, 0).UTC()}, answer); diff != "" {
			t.Errorf("round %d (-want +got):\n%s", round, diff)
		}
		entry := host.Entries[cloudinit.SecretsPath]
		if !bytes.Equal(entry.Content, want) || entry.Mode != 0o600 || host.Entries[deliveredFile].Mode != 0o600 {
			t.Errorf("round %d: the file is not what the seed of now would have, for root alone", round)
		}
		if ran := host.Ran; len(ran) != 1 || strings.Join(ran[0].Argv, " ") != "systemctl restart --no-block cincbake-boot.service" || renewed != 1 {
			t.Errorf("round %d: ran %v, renewed %d times", round, ran, renewed)
		}
		e = reloaded(t, host)

		host.Ran = nil
		if answer, err = deliverTo(t.Context(), e, "", want); err != nil || len(answer.Changed) > 0 || len(host.Ran) > 0 {
			t.Errorf("round %d: the same again changes %v, %v", round, answer.Changed, err)
		}
	}
}

// Whichever of the two files the power fails after, the machine knows its secrets.
func TestATornDeliveryIsNoTornSeed(t *testing.T) {
	e, host, r, bundle := deliverable(t)
	for range 2 {
		before := host.Entries[cloudinit.SecretsPath]
		rotate(t, bundle, r, "leaves")
		if _, err := deliverTo(t.Context(), e, "", encodedFor(t, bundle, r, "postgres-1")); err != nil {
			t.Fatal(err)
		}
		after := host.Entries[cloudinit.SecretsPath]
		host.Entries[cloudinit.SecretsPath] = before // the first was written, the second was not
		if _, err := Load(host); err != nil {
			t.Error(err)
		}
		host.Entries[cloudinit.SecretsPath] = after
		e = reloaded(t, host)
	}
	host.Entries[cloudinit.SecretsPath] = step.Entry{Kind: step.KindFile, Content: encodedFor(t, bundle, r, "postgres-2")}
	var refusal *role.Refusal
	if _, err := Load(host); !errors.As(err, &refusal) {
		t.Errorf("secrets that nobody delivered: got %v", err)
	}
}

func TestDeliverRefuses(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*testing.T, *endpoint, *secrets.Bundle, *cluster.Resolved) []byte
		want  string
	}{
		{"another machine's", func(t *testing.T, _ *endpoint, b *secrets.Bundle, r *cluster.Resolved) []byte {
			return encodedFor(t, b, r, "postgres-2")
		}, "these are the secrets of postgres-2"},
		{"another CA's", func(t *testing.T, _ *endpoint, _ *secrets.Bundle, r *cluster.Resolved) []byte {
			other, err := secrets.Generate(r, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			return encodedFor(t, other, r, "postgres-1")
		}, "do not trust who signed"},
		{"a password that the database does not know", func(t *testing.T, _ *endpoint, b *secrets.Bundle, r *cluster.Resolved) []byte {
			rotate(t, b, r, "leaves", "postgres.superuser")
			return encodedFor(t, b, r, "postgres-1")
		}, "what a running machine does not take over: postgres.superuser"},
		{"no secrets", func(*testing.T, *endpoint, *secrets.Bundle, *cluster.Resolved) []byte { return []byte("{}") }, "format 0"},
		{"while it boots", func(t *testing.T, e *endpoint, b *secrets.Bundle, r *cluster.Resolved) []byte {
			put(t, e.host.(*step.Recorder), StatusFile, cluster.Status{BootID: "b", Result: cluster.ResultWaiting, Phase: "join"})
			rotate(t, b, r, "leaves")
			return encodedFor(t, b, r, "postgres-1")
		}, "is waiting in phase join"},
		{"where a store has them", func(t *testing.T, e *endpoint, b *secrets.Bundle, r *cluster.Resolved) []byte {
			e.machine.Document.SecretStore = &cloudinit.SecretStore{Name: "cincbake/test/postgres"}
			return encodedFor(t, b, r, "postgres-1")
		}, "cincbake/test/postgres"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, host, r, bundle := deliverable(t)
			e.renew = func() { t.Error("the agent begins anew") }
			before := host.Entries[cloudinit.SecretsPath]
			_, err := deliverTo(t.Context(), e, "", test.spoil(t, e, bundle, r))
			var refusal *role.Refusal
			if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, test.want) || refusal.Hint == "" {
				t.Errorf("got %v, want a refusal about %q with a hint", err, test.want)
			}
			if !cmp.Equal(before, host.Entries[cloudinit.SecretsPath]) || len(host.Ran) > 0 {
				t.Error("something was changed all the same")
			}
			for _, item := range bundle.Items() {
				if err != nil && item.Kind == secrets.KindPassword && strings.Contains(err.Error(), item.Value.Reveal()) {
					t.Errorf("the error holds %s", item.Name)
				}
			}
		})
	}
}

func TestDeliverOnlyChecks(t *testing.T) {
	e, host, r, bundle := deliverable(t)
	before := host.Entries[cloudinit.SecretsPath]
	rotate(t, bundle, r, "leaves")
	answer, err := deliverTo(t.Context(), e, "?check", encodedFor(t, bundle, r, "postgres-1"))
	if err != nil || len(answer.Changed) != 1 {
		t.Errorf("got %+v, %v", answer, err)
	}
	if !cmp.Equal(before, host.Entries[cloudinit.SecretsPath]) || len(host.Ran) > 0 {
		t.Error("a check changes something")
	}
}

// Root hands a machine its new seed's secrets when nobody gets through to its endpoint. A machine whose certificate has ended
// is never ready again without; any other takes over nothing while it boots, as from its operator.
func TestTake(t *testing.T) {
	for _, test := range []struct {
		name   string
		age    time.Duration // of the certificates that it has
		result cluster.Result
		seedOf string
		says   string // of the refusal; empty: it takes them over
	}{
		{"ready", 0, cluster.ResultReady, "postgres-1", ""},
		{"ended while it ran", secrets.LeafLifetime + time.Hour, cluster.ResultReady, "postgres-1", ""},
		{"ended before it booted", secrets.LeafLifetime + time.Hour, cluster.ResultWaiting, "postgres-1", ""},
		{"good, and it boots", 0, cluster.ResultWaiting, "postgres-1", "is waiting in phase join"},
		{"another's seed", secrets.LeafLifetime + time.Hour, cluster.ResultWaiting, "postgres-2", "these are the secrets of postgres-2"},
		{"no seed", secrets.LeafLifetime + time.Hour, cluster.ResultWaiting, "", "has no " + cloudinit.SecretsPath},
	} {
		t.Run(test.name, func(t *testing.T) {
			host, r, _ := seeded(t, "postgres-1")
			bundle, err := secrets.Generate(r, time.Now().Add(-test.age))
			if err != nil {
				t.Fatal(err)
			}
			takeSecrets(t, host, encodedFor(t, bundle, r, "postgres-1"))
			put(t, host, StatusFile, cluster.Status{Format: statusFormat, BootID: "b", Result: test.result, Phase: "join"})
			host.Entries["/proc/sys/kernel/random/boot_id"] = step.Entry{Kind: step.KindFile, Content: []byte("b\n")}
			host.Entries["/proc/meminfo"] = step.Entry{Kind: step.KindFile, Content: []byte("MemTotal: 1024 kB\n")}
			rotate(t, bundle, r, "leaves")
			userData := []byte("#cloud-config\nhostname: postgres-1\n")
			if test.seedOf != "" {
				userData = userDataOf(t, bundle, r, test.seedOf)
			}
			before := host.Entries[cloudinit.SecretsPath]
			err = Agent{Host: host, Out: io.Discard}.Take(t.Context(), userData)
			if test.says != "" {
				var refusal *role.Refusal
				if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, test.says) || refusal.Hint == "" {
					t.Errorf("got %v, want a refusal about %q with a hint", err, test.says)
				}
				if !cmp.Equal(before, host.Entries[cloudinit.SecretsPath]) || len(host.Ran) > 0 {
					t.Error("something was changed all the same")
				}
				return
			}
			for range 2 { // the second time there is nothing to do
				if err != nil {
					t.Fatal(err)
				}
				var ran []string
				for _, c := range host.Ran {
					ran = append(ran, strings.Join(c.Argv, " "))
				}
				want := []string{"systemctl restart --no-block cincbake-boot.service", "systemctl try-restart --no-block cincbake-agent.service"}
				if diff := cmp.Diff(want, ran); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				err = Agent{Host: host, Out: io.Discard}.Take(t.Context(), userData)
			}
			if _, err := Load(host); err != nil || !bytes.Equal(host.Entries[cloudinit.SecretsPath].Content, encodedFor(t, bundle, r, "postgres-1")) {
				t.Errorf("it does not have them: %v", err)
			}
		})
	}
}

// userDataOf is the user-data of a machine's seed, as cincbake render writes it.
func userDataOf(t *testing.T, bundle *secrets.Bundle, r *cluster.Resolved, name string) []byte {
	t.Helper()
	self, scoped := scopedFor(t, bundle, r, name)
	seed, err := cloudinit.Render(r, self, scoped)
	if err != nil {
		t.Fatal(err)
	}
	return seed.UserData
}

// What the machine says that it holds is what the operator computes from the bundle.
func TestHeld(t *testing.T) {
	e, _, r, bundle := deliverable(t)
	answer, err := e.held(nil)
	if err != nil {
		t.Fatal(err)
	}
	scoped, err := bundle.Scope(r.Nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	lasting, err := scoped.LastingDigest()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(held{secrets.Digest(encodedFor(t, bundle, r, "postgres-1")), lasting}, answer); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBackupNeedsARepository(t *testing.T) {
	e, host, _, _ := deliverable(t)
	for name, order := range map[string]func(*http.Request) (any, error){"list": e.backups, "order": e.backup} {
		_, err := order(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/backup", strings.NewReader(`{"type":"full"}`)))
		var refusal *role.Refusal
		if !errors.As(err, &refusal) || refusal.Hint == "" || len(host.Ran) > 0 {
			t.Errorf("%s: got %v after %v", name, err, host.Ran)
		}
	}
	e.in.Cluster.Backup = &cluster.Backup{Path: "/mnt/backup", Full: 4}
	if _, err := e.backup(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/backup", strings.NewReader(`{"type":"full"}`))); err != nil {
		t.Error(err)
	}
	if last := host.Ran[len(host.Ran)-1]; strings.Join(last.Argv, " ") != "systemctl start --no-block cincbake-backup@full.service" {
		t.Errorf("ran %v", last.Argv)
	}
}
