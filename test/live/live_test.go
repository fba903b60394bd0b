//go:build live

package live

import (
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/sdk"
)

// The suite in a real account. It has never been run.
func TestLive(t *testing.T) {
	want, path := os.Getenv("CINCBAKE_LIVE_ACCOUNT"), os.Getenv("CINCBAKE_LIVE_SPEC")
	if want == "" || path == "" {
		t.Fatal("this starts machines in a real account, and costs money: say in which one with CINCBAKE_LIVE_ACCOUNT (12 digits), and with CINCBAKE_LIVE_SPEC which spec of the managed topology names what is there")
	}
	spec, err := cluster.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if problems := spec.LaunchProblems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	r, err := spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	if r.Topology() != cluster.Managed || r.AWS.Bucket == "" {
		t.Fatalf("%s is of the %s topology, with the bucket %q: the suite needs the managed one, and a bucket for the images' records", path, r.Topology(), r.AWS.Bucket)
	}
	settings, err := sdk.Load(t.Context(), r.Region)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := sts.NewFromConfig(settings).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if *caller.Account != want {
		t.Fatalf("the credentials are for account %s, and CINCBAKE_LIVE_ACCOUNT says %s: nothing was touched", *caller.Account, want)
	}
	newAccount(t, settings, r, pace{poll: 10 * time.Second, within: 20 * time.Minute, bad: 8 * time.Minute, rest: time.Minute}).run()
}
