//go:build integration && linux

package rootfs

import (
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/mirrortest"
)

// TestSitesMakeOneImage bakes a role with the real provisioner: with the network as it is, from a cache that is empty through
// a proxy, and from what that has left without any network. All three are the same bytes.
func TestSitesMakeOneImage(t *testing.T) {
	cache, proxy := newCache(t), mirrortest.Proxy(t)
	var sums []string
	var asked int64
	for _, tt := range []struct {
		name, cache string
		site        cluster.Site
	}{
		{"as it is", newCache(t), cluster.Site{}},
		{"through a proxy", cache, cluster.Site{Proxy: proxy.URL}},
		{"offline", cache, cluster.Site{Proxy: proxy.URL, Offline: true}},
	} {
		b, folder := builderFor(t, tt.cache)
		b.config.job.Site = tt.site
		artifact, err := runBuilder(t, b, role{t, spec, "heartbeat"})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		catalogue, err := images.Open(folder)
		must(t, err)
		entry, err := catalogue.Show(t.Context(), artifact.Id())
		must(t, err)
		_, file, err := entry.File(images.KindRootfs)
		must(t, err)
		sums = append(sums, file.SHA256)

		served := proxy.Served.Load() - asked
		asked += served
		if through := tt.site.Proxy != "" && !tt.site.Offline; through != (served > 0) {
			t.Errorf("%s: the proxy was asked %d times", tt.name, served)
		}
	}
	if sums[0] != sums[1] || sums[1] != sums[2] {
		t.Errorf("three sites make three images: %v", sums)
	}
}
