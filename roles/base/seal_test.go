package base_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/step"
)

func recipe() cluster.Recipe {
	return cluster.Recipe{Format: cluster.RecipeFormat, Role: cluster.RolePostgres, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64", PostgresVersion: 13}
}

func seal(t *testing.T) step.Plan {
	t.Helper()
	plan, err := base.Seal(recipe())
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// Two bakes on two days must not differ, and what is no date must stay as it is.
func TestSealFixesDates(t *testing.T) {
	host := step.NewRecorder()
	host.Entries["/etc/shadow"] = step.Entry{Kind: step.KindFile, Mode: 0o640, Content: []byte("root:*:20783:0:99999:7:::\netcd:!:::::::\n")}
	host.Entries["/var/cache/debconf/config.dat"] = step.Entry{Kind: step.KindFile, Content: []byte("Name: x\nVariables:\n NEW = /tmp/postgresql-common.AbC123\n OLD = /etc/x\n")}
	if _, err := seal(t).Apply(context.Background(), host, nil); err != nil {
		t.Fatal(err)
	}
	shadow := host.Entries["/etc/shadow"]
	if got := string(shadow.Content); got != "root:*:19675:0:99999:7:::\netcd:!:::::::\n" || shadow.Mode != 0o640 {
		t.Errorf("shadow is %q, %04o", got, shadow.Mode)
	}
	if got := string(host.Entries["/var/cache/debconf/config.dat"].Content); strings.Contains(got, "AbC123") || !strings.Contains(got, "OLD") {
		t.Errorf("config.dat is %q", got)
	}
	changed, err := seal(t).Apply(context.Background(), host, nil)
	if err != nil || changed != 0 {
		t.Errorf("sealing twice changed %d steps, %v", changed, err)
	}
}

// Whatever site a machine was opened for, and wherever its packages came from before: once it is sealed, nothing tells.
func TestTwoSitesMakeOneImage(t *testing.T) {
	sealed := func(site cluster.Site, before map[string]string) map[string]step.Entry {
		host := step.NewRecorder()
		for path, text := range before {
			host.Entries[path] = step.Entry{Kind: step.KindFile, Mode: 0o644, Content: []byte(text)}
		}
		open, err := base.Open(recipe(), site)
		if err != nil {
			t.Fatal(err)
		}
		for _, plan := range []step.Plan{open, seal(t)} {
			if _, err := plan.Apply(t.Context(), host, nil); err != nil {
				t.Fatal(err)
			}
		}
		files := map[string]step.Entry{}
		for _, path := range host.Files() {
			files[path] = host.Entries[path]
		}
		return files
	}
	own := sealed(cluster.Site{}, map[string]string{"/etc/apt/sources.list": "deb http://deb.debian.org/debian trixie main\n"})
	other := sealed(
		cluster.Site{Mirror: "https://mirror.example.com", Proxy: "http://proxy.example.com:3128", CACertificates: "-----BEGIN CERTIFICATE-----\n", Snapshot: "20261126T000000Z"},
		map[string]string{"/etc/apt/sources.list.d/debian.sources": "Types: deb\n", "/etc/apt/mirrors/debian.list": "https://cdn.example.com\n"},
	)
	if diff := cmp.Diff(own, other); diff != "" {
		t.Errorf("the site shows (-Debian's own +another):\n%s", diff)
	}
	sources := string(own["/etc/apt/sources.list.d/cincbake.sources"].Content)
	for _, suite := range []string{"Suites: trixie\n", "Suites: bullseye-security\n", "URIs: http://deb.debian.org/debian\n"} {
		if !strings.Contains(sources, suite) {
			t.Errorf("the image's sources lack %q:\n%s", suite, sources)
		}
	}
}

func TestOpen(t *testing.T) {
	site := cluster.Site{Mirror: "https://mirror.example.com", Proxy: "http://proxy.example.com:3128", CACertificates: "SITE\n"}
	open := func(site cluster.Site) *step.Recorder {
		host := step.NewRecorder()
		host.Entries[base.SystemCAFile] = step.Entry{Kind: step.KindFile, Mode: 0o644, Content: []byte("SYSTEM\n")}
		plan, err := base.Open(recipe(), site)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := plan.Apply(t.Context(), host, nil); err != nil {
			t.Fatal(err)
		}
		return host
	}
	host := open(site)
	conf := string(host.Entries["/etc/apt/apt.conf.d/99cincbake-site"].Content)
	for _, line := range []string{`Acquire::https::Proxy "http://proxy.example.com:3128";`, `Acquire::https::CAInfo "/etc/apt/cincbake-site.pem";`} {
		if !strings.Contains(conf, line) {
			t.Errorf("apt is not told %s:\n%s", line, conf)
		}
	}
	if got := string(host.Entries["/etc/apt/cincbake-site.pem"].Content); got != "SYSTEM\nSITE\n" {
		t.Errorf("apt trusts %q", got)
	}
	if !strings.Contains(string(host.Entries["/etc/apt/sources.list.d/cincbake.sources"].Content), "https://mirror.example.com/debian-security") {
		t.Error("the mirror is not used")
	}
	updates := func(host *step.Recorder) bool {
		return slices.ContainsFunc(host.Ran, func(c step.Command) bool { return slices.Contains(c.Argv, "update") })
	}
	if !updates(host) || updates(open(cluster.Site{Offline: true})) {
		t.Error("the package lists are to be read, but not without a network")
	}
	if _, err := base.Open(recipe(), cluster.Site{Snapshot: "yesterday"}); err == nil {
		t.Error("yesterday was taken for a moment")
	}
}

// PostgreSQL's own archive is known by its key and by no other.
func TestPostgresArchive(t *testing.T) {
	recipe := recipe()
	recipe.PostgresVersion = 14
	open, err := base.Open(recipe, cluster.Site{Mirror: "http://mirror.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	host := step.NewRecorder()
	if _, err := open.Apply(t.Context(), host, nil); err != nil {
		t.Fatal(err)
	}
	const stanza = "URIs: http://apt.postgresql.org/pub/repos/apt\nSuites: trixie-pgdg\nComponents: main\nSigned-By: /etc/apt/keyrings/cincbake-pgdg.asc\n"
	if sources := string(host.Entries["/etc/apt/sources.list.d/cincbake.sources"].Content); !strings.Contains(sources, stanza) {
		t.Errorf("the archive is not among the sources:\n%s", sources)
	}
	if key := string(host.Entries["/etc/apt/keyrings/cincbake-pgdg.asc"].Content); !strings.HasPrefix(key, "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
		t.Errorf("its key is %.40q", key)
	}
}
