package cluster

import "testing"

func TestSiteURI(t *testing.T) {
	for _, test := range []struct {
		name string
		site Site
		want [2]string // debian, debian-security
	}{
		{"Debian's own", Site{}, [2]string{"http://deb.debian.org/debian", "http://deb.debian.org/debian-security"}},
		{"a mirror", Site{Mirror: "https://mirror.example.com/"}, [2]string{"https://mirror.example.com/debian", "https://mirror.example.com/debian-security"}},
		{"a moment", Site{Snapshot: "20261126T060000Z"}, [2]string{
			"http://snapshot.debian.org/archive/debian/20261126T060000Z", "http://snapshot.debian.org/archive/debian-security/20261126T060000Z",
		}},
		{"a moment on a mirror", Site{Mirror: "http://mirror.example.com", Snapshot: "20261126T060000Z"}, [2]string{
			"http://mirror.example.com/archive/debian/20261126T060000Z", "http://mirror.example.com/archive/debian-security/20261126T060000Z",
		}},
	} {
		if got := [2]string{test.site.URI(ArchiveDebian), test.site.URI(ArchiveSecurity)}; got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		if err := test.site.Validate(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if got := (Site{Mirror: "http://mirror.example.com", Snapshot: "20261126T060000Z"}).URI(ArchivePGDG); got != "http://apt.postgresql.org/pub/repos/apt" {
		t.Errorf("PostgreSQL's archive is looked for at %s", got)
	}
	if err := (Site{Snapshot: "2026-11-26"}).Validate(); err == nil {
		t.Error("a day was taken for a moment")
	}
}
