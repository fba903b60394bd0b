// Package rights holds callers of the fake AWS to what the roles of a cluster may do: suites run the commands, and machines
// call, with the policies that cincbake iam prints, and with no more.
package rights

import (
	"maps"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/launch/iam"
	"github.com/cincbake/cincbake/test/fakeaws"
)

// Limit holds a caller to the policies of a role: those of one cluster, or of several, as one who works in several regions has
// a cluster's policies of each.
func Limit(tb testing.TB, server *fakeaws.Server, c fakeaws.Caller, role string, clusters ...*cluster.Resolved) {
	tb.Helper()
	for _, r := range clusters {
		c.Policies = append(c.Policies, Policy(tb, r, role))
	}
	if err := server.Limit(c); err != nil {
		tb.Fatal(err)
	}
}

// Policy is a role's in the account of the fake, in JSON.
func Policy(tb testing.TB, r *cluster.Resolved, role string) []byte {
	tb.Helper()
	r = Named(r)
	found, err := iam.Find(r, role)
	if err != nil {
		tb.Fatal(err)
	}
	at, err := iam.PlaceOf(r, fakeaws.Account, "")
	if err != nil {
		tb.Fatal(err)
	}
	text, err := iam.For(r, found, at).JSON()
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// Named is the cluster with everything named that policies have a placeholder for.
func Named(r *cluster.Resolved) *cluster.Resolved {
	named, account := *r, cluster.Account{}
	if r.AWS != nil {
		account = *r.AWS
	}
	if account.Bucket == "" {
		account.Bucket = "records"
	}
	if account.Key == "" {
		account.Key = "arn:aws:kms:" + r.Region + ":" + fakeaws.Account + ":key/ours"
	}
	if account.VolumeKey == "" {
		account.VolumeKey = account.Key
	}
	account.SecurityGroups = maps.Clone(account.SecurityGroups)
	if account.SecurityGroups == nil {
		account.SecurityGroups = map[cluster.Role][]string{}
	}
	for _, node := range r.Nodes {
		if len(account.SecurityGroups[node.Role]) == 0 {
			account.SecurityGroups[node.Role] = []string{"sg-0a1b2c3d4e5f60718"}
		}
	}
	named.AWS = &account
	return &named
}
