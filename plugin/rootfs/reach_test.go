package rootfs

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
)

func TestReach(t *testing.T) {
	system, err := cluster.OSFor("debian-13")
	must(t, err)
	var asked []string
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		if r.URL.Path != "/debian/dists/trixie/InRelease" {
			http.NotFound(w, r)
		}
	}))
	defer mirror.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, tt := range map[string]struct {
		site cluster.Site
		says []string // none: it is reached
	}{
		"a mirror":            {cluster.Site{Mirror: mirror.URL}, nil},
		"a proxy":             {cluster.Site{Mirror: "http://mirror.invalid", Proxy: mirror.URL}, nil},
		"a folder":            {cluster.Site{Mirror: "file:///srv/mirror"}, nil},
		"no network":          {cluster.Site{Mirror: gone.URL, Offline: true}, nil},
		"no server":           {cluster.Site{Mirror: gone.URL}, []string{gone.URL + "/debian", "refused", "offline = true", "image.mirror"}},
		"another server":      {cluster.Site{Mirror: mirror.URL + "/wrong"}, []string{"404", "image.mirror"}},
		"a proxy that is not": {cluster.Site{Proxy: gone.URL}, []string{"refused", "image.proxy"}},
	} {
		err := reach(t.Context(), tt.site, system)
		if (err == nil) != (len(tt.says) == 0) {
			t.Errorf("%s: got %v", name, err)
		}
		for _, says := range tt.says {
			if err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("%s: got %v, want it to say %q", name, err, says)
			}
		}
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := reach(stopped, cluster.Site{Mirror: gone.URL}, system); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("stopped: %v", err)
	}
	if len(asked) == 0 {
		t.Error("nobody was asked")
	}
}
