package secrets

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

// held returns what of a bundle is in the file that a machine gets, by the names of Items.
func held(t *testing.T, b *Bundle, s Scoped) []string {
	t.Helper()
	encoded, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := DecodeScoped(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, decoded); diff != "" {
		t.Errorf("does not survive encoding (-scoped +decoded):\n%s", diff)
	}
	var found []string
	for _, item := range b.Items() {
		value, err := json.Marshal(item.Value.Reveal()) // as the file has it, lines and all
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(encoded, bytes.Trim(value, `"`)) {
			found = append(found, item.Name)
		}
	}
	return found
}

var (
	allPostgres = []string{"postgres.superuser", "postgres.replication", "postgres.rewind", "postgres.owner", "postgres.restAPI"}
	allCinc     = []string{
		"cinc.databaseOwner", "cinc.search", "cinc.redisPassword", "cinc.erchefSQL", "cinc.erchefSQLRO", "cinc.erchefStats",
		"cinc.bifrostSuperuser", "cinc.bifrostSQL", "cinc.bifrostSQLRO", "cinc.ocidKeyBase", "cinc.ocidSQL", "cinc.ocidSQLRO",
		"cinc.bookshelfKeyID", "cinc.bookshelfSecret", "cinc.bookshelfSQL", "cinc.bookshelfSQLRO",
		"cinc.superuserKey", "cinc.superuserPublicKey", "cinc.webuiKey", "cinc.webuiPublicKey",
	}
	allOpenSearch = []string{"openSearch.admin", "openSearch.adminHash", "openSearch.cinc", "openSearch.cincHash"}
	front         = []string{"front.certificate", "front.key"}
)

func sorted(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return all
}

// What each machine may hold, value by value. The value that two tiers share has two names.
func TestScopeHoldsWhatTheRoleUses(t *testing.T) {
	own := func(name string) []string {
		return []string{"ca.certificate", "nodes." + name + ".certificate", "nodes." + name + ".key"}
	}
	for _, test := range []struct {
		of   func() *cluster.Resolved
		node cluster.Node
		want []string
	}{
		{selfHosted, cluster.Node{Name: "lb-1", Role: cluster.RoleLB}, sorted(own("lb-1"))},
		{selfHosted, cluster.Node{Name: "heartbeat-1", Role: cluster.RoleHeartbeat}, sorted(own("heartbeat-1"))},
		{selfHosted, cluster.Node{Name: "api-1", Role: cluster.RoleAPI}, sorted(own("api-1"), allCinc, front, []string{"postgres.owner", "openSearch.cinc"})},
		{selfHosted, cluster.Node{Name: "api-2", Role: cluster.RoleAPI}, sorted(own("api-2"), allCinc, front, []string{"postgres.owner", "openSearch.cinc"})},
		{selfHosted, cluster.Node{Name: "postgres-2", Role: cluster.RolePostgres}, sorted(own("postgres-2"), allPostgres, []string{"cinc.databaseOwner", "backup.cipher"})},
		{selfHosted, cluster.Node{Name: "opensearch-1", Role: cluster.RoleOpenSearch}, sorted(own("opensearch-1"), allOpenSearch, []string{"cinc.search"})},
		{managed, cluster.Node{Name: "api", Role: cluster.RoleAPI}, sorted(own("api"), allCinc, front)},
		{standalone, cluster.Node{Name: "standalone-1", Role: cluster.RoleStandalone}, sorted(own("standalone-1"), allCinc, front, []string{"backup.cipher"})},
	} {
		t.Run(kindOf(test.of())+" "+test.node.Name, func(t *testing.T) {
			b := generate(t, test.of)
			scoped, err := b.Scope(test.node)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, sorted(held(t, b, scoped))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Every role has a row above.
func TestScopeIsTestedForEveryRole(t *testing.T) {
	roles := map[cluster.Role]bool{}
	for _, r := range []*cluster.Resolved{selfHosted(), managed(), standalone()} {
		for _, n := range r.Nodes {
			roles[n.Role] = true
		}
	}
	for _, role := range cluster.Roles() {
		if !roles[role] {
			t.Errorf("no machine of role %s", role)
		}
	}
}

func TestScopeIsApartFromTheBundle(t *testing.T) {
	b := generate(t, selfHosted)
	scoped, err := b.Scope(cluster.Node{Name: "api-1", Role: cluster.RoleAPI})
	if err != nil {
		t.Fatal(err)
	}
	scoped.Cinc.Search = New("FAKE")
	if b.Cinc.Search.Equal(scoped.Cinc.Search) {
		t.Error("changing a machine's part changes the bundle")
	}
	if _, err := b.Scope(cluster.Node{Name: "api-3", Role: cluster.RoleAPI}); err == nil || !strings.Contains(err.Error(), "secrets init") {
		t.Errorf("a node beyond the pool: got %v", err)
	}
}
