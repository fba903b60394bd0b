package rootfs

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

func TestFetch(t *testing.T) {
	served := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served++
		if r.URL.Path != "/cinc.deb" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "package") //nolint:errcheck // to a test
	}))
	defer server.Close()
	good := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("package")))
	long := fmt.Sprintf("sha512:%x", sha512.Sum512([]byte("package")))
	at := strings.Replace(server.URL, "://", "://user:secret@", 1)
	for _, tt := range []struct {
		name    string
		wanted  cluster.RecipePackage
		there   string // in the cache already
		offline bool
		served  int
		says    string // empty: it is there then
	}{
		{"a first time", cluster.RecipePackage{Digest: good, URL: at + "/cinc.deb"}, "", false, 1, ""},
		{"by sha512", cluster.RecipePackage{Digest: long, URL: at + "/cinc.deb"}, "", false, 1, ""},
		{"a second time", cluster.RecipePackage{Digest: good, URL: at + "/cinc.deb"}, "package", false, 0, ""},
		{"broken in the cache", cluster.RecipePackage{Digest: good, URL: at + "/cinc.deb"}, "pack", false, 1, ""},
		{"offline", cluster.RecipePackage{Digest: good, URL: "http://gone.invalid/cinc.deb"}, "package", true, 0, ""},
		{"offline and not there", cluster.RecipePackage{Digest: good, URL: at + "/cinc.deb"}, "", true, 0, "bake once without offline"},
		{"other bytes", cluster.RecipePackage{Digest: "sha256:00", URL: at + "/cinc.deb"}, "", false, 1, "must have sha256:00: correct the digest"},
		{"not there", cluster.RecipePackage{Digest: good, URL: at + "/none"}, "", false, 1, "404 Not Found"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "x.deb")
		if tt.there != "" {
			put(t, path, tt.there)
		}
		served = 0
		err := fetch(t.Context(), path, tt.wanted, cluster.Site{Offline: tt.offline})
		if (err == nil) != (tt.says == "") || err != nil && (!strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: got %v, want it to say %q, and no password", tt.name, err, tt.says)
		}
		if served != tt.served {
			t.Errorf("%s: asked %d times, want %d", tt.name, served, tt.served)
		}
		want := []string{"x.deb", "x.deb.lock"}
		if tt.says != "" {
			want = want[1:]
		} else if content, err := os.ReadFile(path); err != nil || string(content) != "package" {
			t.Errorf("%s: the cache holds %q, %v", tt.name, content, err)
		}
		if diff := cmp.Diff(want, names(t, dir)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}
