package secrets

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/internal/exit"
)

// While the CA is being replaced, machines with seeds of neighbouring steps are up at the same time, and every one of them
// must be able to talk to every other, and the operator to all. Two steps apart they cannot: that is why going on must be
// said.
func TestRotateCANeverCutsTheClusterApart(t *testing.T) {
	b, r := testBundle(t), testCluster()
	type seeds struct {
		serving, dialing Scoped
		bundle           *Bundle
	}
	var steps []seeds
	keep := func() {
		encoded, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		kept, err := DecodeBundle(encoded)
		if err != nil {
			t.Fatal(err)
		}
		serving, err := kept.Scope(r.Nodes[0])
		if err != nil {
			t.Fatal(err)
		}
		dialing, err := kept.Scope(r.Nodes[1])
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, seeds{serving, dialing, kept})
	}
	keep()
	for step := range 3 {
		if _, err := b.RotateCA(r, step > 0, now); err != nil {
			t.Fatal(err)
		}
		if err := b.Check(r, now); err != nil {
			t.Fatal(err)
		}
		keep()
	}
	var stages []CAStage
	for i, s := range steps {
		stages = append(stages, s.bundle.CAStage())
		if id, want := clusterID(t, s.serving), clusterID(t, steps[0].dialing); id != want || id == "" {
			t.Errorf("step %d: the cluster's id is %q, and was %q", i, id, want)
		}
	}
	if diff := cmp.Diff([]CAStage{CASteady, CAIntroduced, CASwitched, CASteady}, stages); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}

	talk := func(server, client Scoped) bool {
		serve, err := server.ServerTLS()
		if err != nil {
			t.Fatal(err)
		}
		dial, err := client.ClientTLS()
		if err != nil {
			t.Fatal(err)
		}
		serverErr, clientErr := shake(t, serve, dial, "10.20.0.31")
		return serverErr == nil && clientErr == nil
	}
	for i := range steps {
		for j := range steps {
			together := i-j >= -1 && i-j <= 1
			if got := talk(steps[i].serving, steps[j].dialing); together && !got {
				t.Errorf("a machine of step %d does not serve one of step %d", i, j)
			}
			if !together || j < i { // an operator works with the newest bundle
				continue
			}
			serve, err := steps[i].serving.ServerTLS()
			if err != nil {
				t.Fatal(err)
			}
			dial, err := steps[j].bundle.OperatorTLS()
			if err != nil {
				t.Fatal(err)
			}
			if serverErr, clientErr := shake(t, serve, dial, "10.20.0.31"); serverErr != nil || clientErr != nil {
				t.Errorf("a machine of step %d does not serve the operator of step %d: %v, %v", i, j, serverErr, clientErr)
			}
		}
	}
	if talk(steps[0].serving, steps[2].dialing) || talk(steps[3].serving, steps[1].dialing) {
		t.Error("steps may be left out, then why are there three?")
	}
}

func TestRotateCARefuses(t *testing.T) {
	b, r := testBundle(t), testCluster()
	if _, err := b.RotateCA(r, true, now); exit.CodeOf(err) != exit.Invalid {
		t.Errorf("going on with nothing: got %v", err)
	}
	next, err := b.RotateCA(r, false, now)
	if err != nil || !strings.Contains(next, "--continue") {
		t.Fatalf("got %q, %v", next, err)
	}
	if _, err := b.RotateCA(r, false, now); exit.CodeOf(err) != exit.Unsafe || !strings.Contains(err.Error(), "--continue") {
		t.Errorf("beginning twice: got %v", err)
	}
	if _, err := b.RotateCA(r, true, now); err != nil {
		t.Fatal(err)
	}
	grown := testCluster()
	grown.Nodes[0].Address = addr("10.20.0.99")
	if _, err := b.RotateCA(grown, true, now); err == nil || !strings.Contains(err.Error(), "postgres-1") {
		t.Errorf("dropping a CA that is needed: got %v", err)
	}
}

// What the CA signed for clients is signed anew; the user's own stays; certificates of nodes that left go with their CA.
func TestSwitchedCASignsAnew(t *testing.T) {
	b, r := generate(t, selfHosted), selfHosted()
	old := *b
	if _, err := b.RotateCA(r, false, now); err != nil {
		t.Fatal(err)
	}
	if b.Front.Certificate != old.Front.Certificate || b.CA.Certificate != old.CA.Certificate {
		t.Error("introducing a CA already uses it")
	}
	smaller := selfHosted()
	smaller.Nodes = smaller.Nodes[1:] // lb-1 leaves
	withoutDomain := generate(t, selfHosted)
	for step := range 3 {
		r := selfHosted()
		r.Domain = ""
		if _, err := withoutDomain.RotateCA(r, step > 0, now); err != nil {
			t.Fatal(err)
		}
	}
	if withoutDomain.Front != nil {
		t.Error("what the old CA signed for clients passes for the user's own now")
	}
	for range 2 {
		if _, err := b.RotateCA(smaller, true, now); err != nil {
			t.Fatal(err)
		}
	}
	if b.Front.Certificate == old.Front.Certificate || !b.signed(parse(t, *b.Front)) {
		t.Error("what clients see is not signed by the new CA")
	}
	if _, kept := b.Nodes["lb-1"]; kept {
		t.Error("a certificate of a CA that is gone was kept")
	}
}

// Clusters of one name have different ids; a CA from before there were ids, and its successor, have none.
func TestClusterID(t *testing.T) {
	r := testCluster()
	another, err := Generate(r, now)
	if err != nil {
		t.Fatal(err)
	}
	first, second := scopeOf(t, testBundle(t), r.Nodes[0]), scopeOf(t, another, r.Nodes[0])
	if clusterID(t, first) == clusterID(t, second) {
		t.Error("two clusters of one name have the same id")
	}
	if another.CA, err = newAuthority("prod", "", now); err != nil {
		t.Fatal(err)
	}
	if _, err := another.RotateCA(r, false, now); err != nil {
		t.Fatal(err)
	}
	if id := clusterID(t, scopeOf(t, another, r.Nodes[0])); id != "" {
		t.Errorf("a bundle without an id gave %q", id)
	}
	broken := Scoped{CA: "-----BEGIN CERTIFICATE-----\nRkFLRQ==\n-----END CERTIFICATE-----\n"}
	if id, err := broken.ClusterID(); err == nil {
		t.Errorf("a CA that is none gave %q", id)
	}
}

func clusterID(t *testing.T, s Scoped) string {
	t.Helper()
	id, err := s.ClusterID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}
