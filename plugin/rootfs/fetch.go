package rootfs

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/flock"
	"github.com/cincbake/cincbake/roles/base"
)

// fetchWithin is how long a package of a few hundred megabytes may take to come.
const fetchWithin = 30 * time.Minute

// vendored is the package that the recipe names by an address, as it is kept for the next bake; no path: there is none, or
// the provisioner brings the user's own file. The agent would fetch it too, but nobody could keep it then.
func (b *build) vendored() (path string, wanted cluster.RecipePackage) {
	wanted = b.config.job.Recipe.Package
	if wanted.URL == "" || b.config.job.PackageFile != "" {
		return "", wanted
	}
	return filepath.Join(b.config.CacheDir, "packages", filepath.Base(base.PackageFile(wanted))), wanted
}

// fetchPackage sees to it that the package is in the cache.
func (b *build) fetchPackage(ctx context.Context) error {
	path, wanted := b.vendored()
	if path == "" {
		return nil
	}
	return fetch(ctx, path, wanted, b.config.job.Site)
}

// placePackage puts it where the agent looks for it before it fetches it.
func (b *build) placePackage() error {
	path, wanted := b.vendored()
	if path == "" {
		return nil
	}
	place := filepath.Join(b.work.fetched(), base.PackageFile(wanted))
	return errors.Join(os.MkdirAll(filepath.Dir(place), 0o755), os.Link(path, place))
}

// fetch gets a package unless it is there with the right bytes.
func fetch(ctx context.Context, path string, wanted cluster.RecipePackage, site cluster.Site) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	waiting, stop := context.WithTimeoutCause(ctx, fetchWithin, fmt.Errorf("it has taken longer than %s", fetchWithin))
	defer stop()
	lock, err := flock.Exclusive(waiting, path+".lock")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()

	got, err := digestOf(path, wanted.Digest)
	if err == nil && got == wanted.Digest {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	address, err := url.Parse(wanted.URL)
	if err != nil {
		return errors.New("the package's url in the cluster's file is no address") // which may hold a password
	}
	if site.Offline {
		return fmt.Errorf("offline: %s is not in %s: bake once without offline, or name a file in the cluster's file", address.Redacted(), filepath.Dir(path))
	}
	client, err := clientFor(site)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	client.Timeout = 0 // the whole of it may take long
	for try := range askTimes {
		if try > 0 {
			pause := time.NewTimer(time.Duration(try)*time.Second + rand.N(500*time.Millisecond)) //nolint:gosec // jitter
			select {
			case <-waiting.Done():
				pause.Stop()
				return context.Cause(waiting)
			case <-pause.C:
			}
		}
		var status statusError
		if err = download(waiting, client, wanted, path); err == nil || errors.As(err, &status) || errors.Is(err, errOtherBytes) || waiting.Err() != nil {
			break
		}
	}
	if err != nil {
		if cause := context.Cause(waiting); cause != nil {
			return cause
		}
		return fmt.Errorf("fetch %s: %w", address.Redacted(), err)
	}
	return nil
}

// errOtherBytes is a package that is not the one that the recipe names.
var errOtherBytes = errors.New("correct the digest in the cluster's file, or the address")

func download(ctx context.Context, client *http.Client, wanted cluster.RecipePackage, path string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, wanted.URL, nil)
	if err != nil {
		return errors.New("it is no address")
	}
	response, err := client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) { // it repeats the address, with a password
			err = wrapped.Err
		}
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return statusError(response.StatusCode)
	}
	beside, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(beside.Name()))
		}
	}()
	sum := hashFor(wanted.Digest)
	_, err = io.Copy(io.MultiWriter(beside, sum), response.Body)
	if err := errors.Join(err, beside.Chmod(0o644), beside.Close()); err != nil {
		return err
	}
	if got := digest(wanted.Digest, sum); got != wanted.Digest {
		return fmt.Errorf("what came has %s, and must have %s: %w", got, wanted.Digest, errOtherBytes)
	}
	return os.Rename(beside.Name(), path)
}

// hashFor returns the hash that a digest like sha256:… is of.
func hashFor(digest string) hash.Hash {
	if strings.HasPrefix(digest, "sha512:") {
		return sha512.New()
	}
	return sha256.New()
}

func digest(like string, sum hash.Hash) string {
	kind, _, _ := strings.Cut(like, ":")
	return kind + ":" + hex.EncodeToString(sum.Sum(nil))
}

// digestOf returns the digest of a file, of the kind of another.
func digestOf(path, like string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := hashFor(like)
	_, err = io.Copy(sum, file)
	return digest(like, sum), err
}
