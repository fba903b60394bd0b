package official

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

var (
	sum256 = strings.Repeat("A1", 32)
	sum512 = strings.Repeat("b2", 64)
)

// vendors answers as both vendors do, with the given status and bodies.
func vendors(t *testing.T, status int, cinc, search string) (Vendors, *[]string) {
	t.Helper()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		w.WriteHeader(status)
		if strings.HasPrefix(r.URL.Path, "/stable/cinc-server/") {
			fmt.Fprint(w, cinc)
			return
		}
		fmt.Fprint(w, search)
	}))
	t.Cleanup(server.Close)
	return Vendors{Cinc: server.URL, OpenSearch: server.URL, Client: server.Client()}, &asked
}

func wanted() []cluster.Wanted {
	return []cluster.Wanted{
		{Name: cluster.PackageCinc, Version: "15.10.91", OS: "debian-13", Arch: "amd64"},
		{Name: cluster.PackageOpenSearch, Version: "1.3.20", OS: "debian-13", Arch: "amd64"},
	}
}

func TestLock(t *testing.T) {
	answer := fmt.Sprintf(`{"url": "https://packages.example.com/cinc.deb", "sha1": "x", "sha256": %q, "version": "15.10.91"}`, sum256)
	v, asked := vendors(t, http.StatusOK, answer, sum512+"  opensearch-1.3.20-linux-x64.deb\n")
	lock, err := v.Lock(t.Context(), cluster.Lock{}, wanted())
	if err != nil {
		t.Fatal(err)
	}
	want := cluster.Lock{Format: cluster.LockFormat, Packages: []cluster.Locked{
		{Wanted: wanted()[0], URL: "https://packages.example.com/cinc.deb", Digest: "sha256:" + strings.ToLower(sum256)},
		{Wanted: wanted()[1], URL: v.OpenSearch + "/releases/bundle/opensearch/1.3.20/opensearch-1.3.20-linux-x64.deb", Digest: "sha512:" + sum512},
	}}
	if diff := cmp.Diff(want, lock); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	questions := []string{
		"/stable/cinc-server/metadata?m=x86_64&p=debian&pv=13&v=15.10.91",
		"/releases/bundle/opensearch/1.3.20/opensearch-1.3.20-linux-x64.deb.sha512",
	}
	if diff := cmp.Diff(questions, *asked); diff != "" {
		t.Errorf("questions (-want +got)\n%s", diff)
	}
	// What is locked stays, whatever the vendor says by now.
	again, err := v.Lock(t.Context(), lock, wanted()[:1])
	if err != nil || len(*asked) != len(questions) || !cmp.Equal(again.Packages, want.Packages[:1]) {
		t.Errorf("again: %+v, %v, %d questions", again, err, len(*asked))
	}
}

func TestLookupRefusesWhatItCannotTrust(t *testing.T) {
	good := fmt.Sprintf(`"sha256": %q, "version": "15.10.91"`, sum256)
	for _, test := range []struct {
		name         string
		status       int
		cinc, search string
		want         string
	}{
		{"no such release", http.StatusNotFound, "", "", "404"},
		{"no JSON", http.StatusOK, "sha256 abc", "", "not JSON"},
		{"another version", http.StatusOK, fmt.Sprintf(`{"url": "https://a.example.com/x", "sha256": %q, "version": "15.10.95"}`, sum256), "", "15.10.95"},
		{"no digest", http.StatusOK, `{"url": "https://a.example.com/x", "version": "15.10.91"}`, "", "no sha256"},
		{"no URL", http.StatusOK, "{" + good + "}", "", "no URL"},
		{"a file as URL", http.StatusOK, `{"url": "file:///etc/passwd", ` + good + "}", "", "no URL"},
		{"too much", http.StatusOK, strings.Repeat(" ", 70<<10), "", "more than 64 KiB"},
		{"a page", http.StatusOK, "", "<html>", "no sha512"},
	} {
		v, _ := vendors(t, test.status, test.cinc, test.search)
		w := wanted()[0]
		if test.search != "" {
			w = wanted()[1]
		}
		if locked, err := v.Lookup(t.Context(), w); err == nil || !strings.Contains(err.Error(), test.want) || locked != (cluster.Locked{}) {
			t.Errorf("%s: %+v, %v; want %s", test.name, locked, err, test.want)
		}
	}
	v, _ := vendors(t, http.StatusOK, "", "")
	if _, err := v.Lookup(t.Context(), cluster.Wanted{Name: "curl"}); err == nil {
		t.Error("a package without a vendor was looked up")
	}
}
