package rootfs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// How long a mirror has to answer, and how often it is asked.
const (
	askWithin = 10 * time.Second
	askTimes  = 3
)

// reach tells at once when there is no way to the site's packages; apt would try for half a minute, in the middle of the
// bake, and then speak of something else.
func reach(ctx context.Context, site cluster.Site, system cluster.OS) error {
	address := site.URI(cluster.ArchiveDebian)
	if site.Offline || strings.HasPrefix(address, "file:") {
		return nil
	}
	client, err := clientFor(site)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	const remedy = "name a mirror that is reachable (image.mirror in the cluster's file, or mirror here) or a proxy (image.proxy), " +
		"or set offline = true to bake from what is in cache_dir"
	list := address + "/dists/" + system.Codename + "/InRelease"
	var failure error
	for try := range askTimes {
		failure = ask(ctx, client, list)
		if failure == nil {
			return nil
		}
		var status statusError
		if errors.As(failure, &status) || try == askTimes-1 { // one that answers would say the same again
			break
		}
		pause := time.NewTimer(time.Duration(try)*time.Second + rand.N(500*time.Millisecond)) //nolint:gosec // jitter
		select {
		case <-ctx.Done():
			pause.Stop()
			return context.Cause(ctx)
		case <-pause.C:
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("no packages from %s: %w: %s", address, failure, remedy)
}

// statusError is an answer that is no list.
type statusError int

func (s statusError) Error() string {
	return fmt.Sprintf("the answer is %d %s", int(s), http.StatusText(int(s)))
}

func ask(ctx context.Context, client *http.Client, list string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, list, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) { // it repeats the address
			err = wrapped.Err
		}
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusMethodNotAllowed {
		return statusError(response.StatusCode)
	}
	return nil
}

// clientFor goes the way that apt will go.
func clientFor(site cluster.Site) (*http.Client, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("this program has another HTTP transport than Go's own")
	}
	transport := base.Clone()
	if site.Proxy != "" {
		proxy, err := url.Parse(site.Proxy)
		if err != nil {
			return nil, errors.New("the cluster's image.proxy is no address") // which may hold a password
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	if site.CACertificates != "" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, err
		}
		roots.AppendCertsFromPEM([]byte(site.CACertificates))
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport, Timeout: askWithin}, nil
}
