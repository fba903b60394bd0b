//go:build integration

package moto_test

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/moto"
)

// The same commands run against the fake and against moto, and come to the same, but for what is listed: each difference with
// its reason, and no more than there are.
func TestSecondOpinion(t *testing.T) {
	behind := start(t, environment(t))
	began := time.Now()
	played := map[string]*stage{}
	t.Run("fake", func(t *testing.T) {
		server := fakeaws.New(fakeaws.Options{
			Boot: 30 * time.Second, Images: []fakeaws.Image{{Name: "debian-13-amd64-1", Owner: "136693071363"}},
		})
		t.Cleanup(server.Close)
		halt, land := server.Fly()
		t.Cleanup(land)
		played["fake"] = play(t, server.URL, nil, account{
			prepare: func(*stage, string) string {
				server.AddInstanceProfile(profile)
				return server.AddTargetGroup(ireland, fakeaws.TargetGroup{Name: "prod"})
			},
			spoil: server.SpoilImage, halt: halt,
		})
	})
	t.Run("moto", func(t *testing.T) {
		played["moto"] = play(t, behind, moto.Substitutes(), account{
			prepare: func(s *stage, vpc string) string {
				_, err := iam.NewFromConfig(s.sdk(ireland)).CreateInstanceProfile(s.Context(), &iam.CreateInstanceProfileInput{InstanceProfileName: aws.String(profile)})
				s.check(err)
				made, err := elasticloadbalancingv2.NewFromConfig(s.sdk(ireland)).CreateTargetGroup(s.Context(), &elasticloadbalancingv2.CreateTargetGroupInput{
					Name: aws.String("prod"), Protocol: elbtypes.ProtocolEnumTcp, Port: aws.Int32(443), VpcId: aws.String(vpc), TargetType: elbtypes.TargetTypeEnumInstance,
				})
				s.check(err)
				return *made.TargetGroups[0].TargetGroupArn
			},
			spoil: func(string) {}, halt: func(bool) {}, // its machines are ready at once
		})
	})
	t.Logf("both took %.1f s", time.Since(began).Seconds())
	if played["fake"] == nil || played["moto"] == nil {
		return // one of them ended early, and says why
	}
	for _, wrong := range moto.Compare(played["fake"].facts, played["moto"].facts, moto.Outcomes()) {
		t.Error(wrong)
	}
	for name, s := range played {
		for _, wrong := range s.proxy.Idle() {
			t.Errorf("%s: %s", name, wrong)
		}
	}
	t.Logf("%d facts were compared", len(played["fake"].facts))
}

// play runs all commands in an account.
func play(t *testing.T, behind string, substitutes []moto.Substitute, a account) *stage {
	t.Helper()
	s := newStage(t, behind, substitutes, a)
	for _, part := range []struct {
		name string
		play func()
	}{
		{"record", s.record},
		{"launch", s.launch},
		{"replace", s.replace},
		{"rescue", s.rescue},
		{"prune", s.prune},
		{"slots", s.slots},
		{"secrets", s.secrets},
		{"limits", s.limits},
		{"refused", func() { s.refused(substitutes) }},
		{"asserted", s.asserted},
	} {
		began, calls := time.Now(), len(s.proxy.Calls(""))
		part.play()
		made := s.proxy.Calls("")[calls:]
		text := fmt.Sprintf("%-8s %5.1f s, %3d calls", part.name, time.Since(began).Seconds(), len(made))
		if len(made) > 0 {
			slowest := slices.MaxFunc(made, func(a, b moto.Call) int { return cmp.Compare(a.Took, b.Took) })
			text += fmt.Sprintf(", the slowest %.1f s: %s", slowest.Took.Seconds(), slowest.Name())
		}
		t.Log(text)
	}
	return s
}

// generated makes secrets, once: RSA keys take their time.
var generated = sync.OnceValues(func() (*secrets.Bundle, error) {
	text, err := cluster.Example(cluster.Managed, cluster.AWS)
	if err != nil {
		return nil, err
	}
	parsed, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	resolved, err := parsed.Resolve()
	if err != nil {
		return nil, err
	}
	return secrets.Generate(resolved, time.Now())
})
