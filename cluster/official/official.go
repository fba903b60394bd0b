// Package official asks the vendors of Cinc Server and OpenSearch where a package is and which bytes it must be. What they
// answer goes into the lock file beside the spec: bakes trust the lock, never the answer of the day.
package official

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// Vendors is where packages are looked up.
type Vendors struct {
	Cinc       string // Omnitruck's root
	OpenSearch string // the artifact server's root
	Client     *http.Client
}

// Default returns the vendors' own servers.
func Default() Vendors {
	const patience = 30 * time.Second
	return Vendors{
		Cinc:       "https://omnitruck.cinc.sh",
		OpenSearch: "https://artifacts.opensearch.org",
		Client:     &http.Client{Timeout: patience},
	}
}

// Lookup asks the vendor of a package. Everything that it returns has been checked for its form.
func (v Vendors) Lookup(ctx context.Context, w cluster.Wanted) (cluster.Locked, error) {
	lookup := map[string]func(context.Context, cluster.Wanted) (cluster.Locked, error){
		cluster.PackageCinc:       v.cinc,
		cluster.PackageOpenSearch: v.opensearch,
	}[w.Name]
	if lookup == nil {
		return cluster.Locked{}, fmt.Errorf("package %s has no vendor that could be asked", w.Name)
	}
	locked, err := lookup(ctx, w)
	if err != nil {
		return cluster.Locked{}, fmt.Errorf("look up %s %s for %s %s: %w", w.Name, w.Version, w.OS, w.Arch, err)
	}
	return locked, nil
}

// Lock looks up every package that is not in the lock yet, and returns the lock with them, in the order of wanted. Rows of
// the lock stay as they are, so that looking up again never changes what is baked; rows that nobody wants go. What is locked
// of images is not its business.
func (v Vendors) Lock(ctx context.Context, known cluster.Lock, wanted []cluster.Wanted) (cluster.Lock, error) {
	lock := cluster.Lock{Format: cluster.LockFormat, Packages: []cluster.Locked{}, Snapshot: known.Snapshot, Images: known.Images}
	for _, w := range wanted {
		locked, ok := known.Find(w)
		if !ok {
			var err error
			if locked, err = v.Lookup(ctx, w); err != nil {
				return cluster.Lock{}, err
			}
		}
		lock.Packages = append(lock.Packages, locked)
	}
	return lock, nil
}

// cinc asks Omnitruck, which names systems and processors in Chef's words.
func (v Vendors) cinc(ctx context.Context, w cluster.Wanted) (cluster.Locked, error) {
	system, release, ok := strings.Cut(w.OS, "-")
	machine, known := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[w.Arch]
	if !ok || !known {
		return cluster.Locked{}, errors.New("the vendor has no words for this system or processor")
	}
	query := url.Values{"p": {system}, "pv": {release}, "m": {machine}, "v": {w.Version}}
	text, err := v.get(ctx, v.Cinc+"/stable/cinc-server/metadata?"+query.Encode())
	if err != nil {
		return cluster.Locked{}, err
	}
	var answer struct {
		URL     string `json:"url"`
		SHA256  string `json:"sha256"`
		Version string `json:"version"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return cluster.Locked{}, fmt.Errorf("the answer is not JSON: %w", err)
	}
	if answer.Version != w.Version {
		return cluster.Locked{}, fmt.Errorf("the answer is about version %.40q", answer.Version)
	}
	return locked(w, answer.URL, "sha256", answer.SHA256)
}

// opensearch reads the digest that lies beside the package (unverified: the vendor documents the package and its .sig there).
func (v Vendors) opensearch(ctx context.Context, w cluster.Wanted) (cluster.Locked, error) {
	arch, known := map[string]string{"amd64": "x64", "arm64": "arm64"}[w.Arch]
	if !known {
		return cluster.Locked{}, fmt.Errorf("there is no package for %s", w.Arch)
	}
	location := fmt.Sprintf("%s/releases/bundle/opensearch/%[2]s/opensearch-%[2]s-linux-%[3]s.deb", v.OpenSearch, w.Version, arch)
	text, err := v.get(ctx, location+".sha512")
	if err != nil {
		return cluster.Locked{}, err
	}
	sum, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ") // as sha512sum prints it: digest, blanks, name
	return locked(w, location, "sha512", sum)
}

// locked checks what a vendor said.
func locked(w cluster.Wanted, location, kind, sum string) (cluster.Locked, error) {
	bytes := map[string]int{"sha256": 32, "sha512": 64}[kind]
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != bytes {
		return cluster.Locked{}, fmt.Errorf("the answer has no %s", kind)
	}
	if u, err := url.Parse(location); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return cluster.Locked{}, errors.New("the answer has no URL to download from")
	}
	return cluster.Locked{Wanted: w, URL: location, Digest: kind + ":" + strings.ToLower(sum)}, nil
}

// get fetches a small answer.
func (v Vendors) get(ctx context.Context, location string) ([]byte, error) {
	const largest = 64 << 10
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json") // without it Omnitruck answers in a format of its own
	response, err := v.Client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s (is that version released for this system?)", request.URL.Host, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, largest+1))
	if err != nil {
		return nil, err
	}
	if len(text) > largest {
		return nil, fmt.Errorf("%s answered with more than %d KiB", request.URL.Host, largest>>10)
	}
	return text, nil
}
