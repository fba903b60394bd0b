package secrets

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// full returns a bundle that holds everything that a bundle can hold.
func full(t *testing.T) *Bundle {
	t.Helper()
	b := generate(t, selfHosted)
	ca, err := newAuthority("prod", "", now)
	if err != nil {
		t.Fatal(err)
	}
	b.NextCA, b.PreviousCA = &ca, ca.Certificate
	b.Backup = &Backup{Cipher: New("a"), S3KeyID: New("b"), S3KeySecret: New("c"), SFTPKey: New("d")}
	return b
}

// Every secret has its row, and every row its secrets.
func TestRotationsCoverEverything(t *testing.T) {
	used := map[string]int{}
	for _, item := range full(t).Items() {
		row, ok := RotationOf(item.Name)
		if !ok {
			t.Errorf("%s has no row", item.Name)
			continue
		}
		for _, name := range row.Secrets {
			used[name]++
		}
	}
	seen := map[string]bool{}
	for _, row := range Rotations() {
		if row.How == "" || !slices.Contains([]Cost{CostNone, CostOutage, CostNever}, row.Cost) {
			t.Errorf("%v does not say how, or what it costs", row.Secrets)
		}
		for _, name := range row.Secrets {
			if used[name] == 0 {
				t.Errorf("no bundle holds %s", name)
			}
			if seen[name] {
				t.Errorf("%s has two rows", name)
			}
			seen[name] = true
		}
	}
}

func valuesOf(b *Bundle) map[string]string {
	values := map[string]string{}
	for _, item := range b.Items() {
		values[item.Name] = item.Value.Reveal()
	}
	return values
}

func TestRotate(t *testing.T) {
	leaves := []string{
		"front.certificate", "front.key", "nodes.api-1.certificate", "nodes.api-1.key", "nodes.api-2.certificate", "nodes.api-2.key",
		"nodes.heartbeat-1.certificate", "nodes.heartbeat-1.key", "nodes.lb-1.certificate", "nodes.lb-1.key",
		"nodes.opensearch-1.certificate", "nodes.opensearch-1.key", "nodes.postgres-1.certificate", "nodes.postgres-1.key",
		"nodes.postgres-2.certificate", "nodes.postgres-2.key",
	}
	free := []string{"cinc.erchefStats", "cinc.ocidKeyBase", "cinc.redisPassword", "cinc.webuiKey", "cinc.webuiPublicKey", "postgres.restAPI"}
	costly := []string{
		"cinc.bifrostSQL", "cinc.bifrostSQLRO", "cinc.bifrostSuperuser", "cinc.bookshelfKeyID", "cinc.bookshelfSQL", "cinc.bookshelfSQLRO",
		"cinc.bookshelfSecret", "cinc.databaseOwner", "cinc.erchefSQL", "cinc.erchefSQLRO", "cinc.ocidSQL", "cinc.ocidSQLRO", "cinc.search",
		"openSearch.admin", "openSearch.adminHash", "openSearch.cinc", "openSearch.cincHash",
		"postgres.owner", "postgres.replication", "postgres.rewind", "postgres.superuser",
	}
	for _, test := range []struct {
		of      func() *cluster.Resolved
		words   []string
		outage  bool
		changed []string
	}{
		{selfHosted, []string{"leaves"}, false, leaves},
		{selfHosted, []string{"operator"}, false, []string{"operator.certificate", "operator.key"}},
		{selfHosted, []string{"operator.key", "operator"}, false, []string{"operator.certificate", "operator.key"}},
		{selfHosted, []string{"nodes.api-2"}, false, []string{"nodes.api-2.certificate", "nodes.api-2.key"}},
		{selfHosted, []string{"passwords"}, false, free},
		{selfHosted, []string{"passwords"}, true, sorted(free, costly)},
		{selfHosted, []string{"cinc.redisPassword"}, false, []string{"cinc.redisPassword"}},
		{selfHosted, []string{"postgres.owner"}, true, []string{"cinc.databaseOwner", "postgres.owner"}},
		{selfHosted, []string{"openSearch.cinc"}, true, []string{"cinc.search", "openSearch.cinc", "openSearch.cincHash"}},
		{standalone, []string{"cinc.search"}, true, []string{"cinc.search"}},
		{managed, []string{"nodes.api"}, false, []string{"nodes.api.certificate", "nodes.api.key"}},
	} {
		t.Run(strings.Join(test.words, " "), func(t *testing.T) {
			b, r := generate(t, test.of), test.of()
			before := valuesOf(b)
			done, err := b.Rotate(r, test.words, test.outage, now)
			if err != nil {
				t.Fatal(err)
			}
			var changed []string
			for name, value := range valuesOf(b) {
				if before[name] != value {
					changed = append(changed, name)
				}
			}
			if diff := cmp.Diff(test.changed, sorted(changed)); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
			if len(done.Then) == 0 {
				t.Error("nobody says what to do with the machines")
			}
			if err := b.Check(r, now); err != nil {
				t.Error(err)
			}
			encoded, err := b.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := DecodeBundle(encoded); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRotateRefuses(t *testing.T) {
	for _, test := range []struct {
		of   func() *cluster.Resolved
		word string
		code exit.Code
		want string
	}{
		{selfHosted, "cinc.erchefSQL", exit.Unsafe, "cinc.erchefSQL cannot be rotated without an outage: the first API node with the new one sets it in the database"},
		{selfHosted, "cinc.bookshelfSecret", exit.Unsafe, "SignatureDoesNotMatch"},
		{selfHosted, "cinc.bifrostSuperuser", exit.Unsafe, "add --allow-outage"},
		{selfHosted, "cinc.superuserKey", exit.Unsafe, "cannot be rotated: the database knows the public half"},
		{selfHosted, "backup.cipher", exit.Unsafe, "cannot be rotated: a repository keeps its passphrase for life"},
		{selfHosted, "cinc.webuiPublicKey", exit.Invalid, "it follows cinc.webuiKey, rotate that"},
		{selfHosted, "cinc.databaseOwner", exit.Invalid, "it follows postgres.owner, rotate that"},
		{selfHosted, "ca.key", exit.Invalid, "cincbake secrets rotate ca"},
		{selfHosted, "ca", exit.Invalid, "alone, in steps of its own"},
		{selfHosted, "nodes.api-9", exit.Invalid, "no such secret; cincbake secrets show lists them"},
		{selfHosted, "password", exit.Invalid, "no such secret"},
		{managed, "cinc.databaseOwner", exit.Unsafe, "it is not drawn here: set CINCBAKE_DATABASE_PASSWORD, or name its file with --database-password-file"},
	} {
		t.Run(test.word, func(t *testing.T) {
			b := generate(t, test.of)
			before := valuesOf(b)
			_, err := b.Rotate(test.of(), []string{"operator", test.word}, false, now)
			if err == nil || !strings.Contains(err.Error(), test.want) || exit.CodeOf(err) != test.code {
				t.Errorf("got %v (code %d), want %q (code %d)", err, exit.CodeOf(err), test.want, test.code)
			}
			if !maps.Equal(before, valuesOf(b)) {
				t.Error("something was replaced all the same")
			}
		})
	}
	b := generate(t, selfHosted)
	if _, err := b.Rotate(selfHosted(), []string{"cinc.superuserKey"}, true, now); exit.CodeOf(err) != exit.Unsafe {
		t.Errorf("--allow-outage replaces what cannot be replaced: %v", err)
	}
}

func TestItemsShowNothing(t *testing.T) {
	b := full(t)
	for _, item := range b.Items() {
		if item.Name == "" || item.Kind == "" || item.Value.IsZero() {
			t.Errorf("half an item: %+v", item)
		}
		if (item.Kind == KindCertificate) == item.Ends.IsZero() {
			t.Errorf("%s ends on %s", item.Name, item.Ends)
		}
		imported := slices.ContainsFunc(Importables(), func(i Importable) bool { return i.Name == item.Name })
		if imported != (item.Fingerprint == "") {
			t.Errorf("%s has the fingerprint %q", item.Name, item.Fingerprint)
		}
	}
}
