package cluster

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

func (c *checker) versionForm() {
	const remedy = "write it in full, like 15.10.91"
	if c.spec.Cinc != nil {
		if v := string(c.spec.Cinc.Version); v != "" && !isFullVersion(v) {
			c.report("cinc.version", show(v)+" is not a version", remedy)
		}
	}
	if !c.has("opensearch") {
		return
	}
	switch v := string(c.spec.OpenSearch.Version); {
	case v == "":
	case c.external("opensearch") && isShortVersion(v):
	case !isFullVersion(v):
		c.report("opensearch.version", show(v)+" is not a version", "write it in full, like "+defaultOpenSearch)
	}
}

// isShortVersion tells whether a text is a version of two plain numbers.
func isShortVersion(text string) bool { return isFullVersion(text + ".0") }

// packageSource holds each package to one source, and a download to a digest.
func (c *checker) packageSource() {
	if c.spec.Cinc != nil && !c.broken["cinc"] {
		c.packageAt("cinc.package", c.spec.Cinc.Package, "sha256")
	}
	if c.own("opensearch") {
		const at = "opensearch.package"
		if p := c.spec.OpenSearch.Package; p == (PackageSpec{}) && !c.spec.written(at) {
			c.report(at, "the key is missing: OpenSearch is not in the distribution", "add it, like package: {official: true}")
			return
		}
		c.packageAt(at, c.spec.OpenSearch.Package, "sha512")
	}
}

func (c *checker) packageAt(at string, p PackageSpec, digestKey string) {
	var sources int
	for _, source := range []struct {
		key   string
		given bool
	}{{"url", p.URL != ""}, {"file", p.File != ""}, {"official", p.Official}} {
		if source.given || c.broken[join(at, source.key)] {
			sources++
		}
	}
	stated := p.SHA256 != "" || p.SHA512 != "" || c.broken[join(at, "sha256")] || c.broken[join(at, "sha512")]
	switch {
	case c.broken[at] || !c.spec.written(at) && p == (PackageSpec{}):
	case sources != 1:
		c.report(at, fmt.Sprintf("a package comes from one source, and this names %d", sources), "give exactly one of url, file and official: true")
	case p.URL != "" && !stated:
		c.report(join(at, digestKey), "the key is missing: what a download holds must be known before", "add it: the vendor publishes it beside the package")
	case p.Official && stated:
		c.report(at, "an official package's digest is looked up and kept in the lock file", "remove the digest, or name a url")
	case p.SHA256 != "" && p.SHA512 != "":
		c.report(at, "there are two digests", "keep one")
	}
	if p.URL != "" {
		u, err := url.Parse(p.URL)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsFunc(p.URL, unicode.IsSpace):
			c.report(join(at, "url"), "this is not a URL to download from", "write one like https://downloads.example.com/package.deb")
		case u.User != nil:
			c.report(join(at, "url"), "the URL holds a login", "use one that needs none: a spec is kept in version control")
		}
	}
}

func (c *checker) packageDigest() {
	check := func(at string, literal Literal, bytes int) {
		digest := string(literal)
		if sum, err := hex.DecodeString(digest); digest != "" && (err != nil || len(sum) != bytes) {
			c.report(at, show(digest)+" is not such a digest", fmt.Sprintf("write %d hexadecimal digits", 2*bytes))
		}
	}
	both := func(at string, p PackageSpec) {
		const sha256Bytes, sha512Bytes = 32, 64
		check(join(at, "sha256"), p.SHA256, sha256Bytes)
		check(join(at, "sha512"), p.SHA512, sha512Bytes)
	}
	if c.spec.Cinc != nil {
		both("cinc.package", c.spec.Cinc.Package)
	}
	if c.spec.OpenSearch != nil {
		both("opensearch.package", c.spec.OpenSearch.Package)
	}
}

// settings calls visit for each of the user's settings, in a fixed order.
func (c *checker) settings(visit func(path, group, key string, value any)) {
	if c.spec.Cinc == nil {
		return
	}
	const base = "cinc.settings"
	settings := c.spec.Cinc.Settings
	for _, group := range slices.Sorted(maps.Keys(settings)) {
		for _, key := range slices.Sorted(maps.Keys(settings[group])) {
			path := join(base, key)
			if group != "" {
				path = join(join(base, group), key)
			}
			visit(path, group, key, settings[group][key])
		}
	}
}

func (c *checker) settingReserved() {
	c.settings(func(path, group, key string, _ any) {
		if why, reserved := ReservedSetting(group, key); reserved {
			c.report(path, "cincbake writes this setting itself: "+why, "remove it")
		}
	})
}

func (c *checker) settingSecret() {
	c.settings(func(path, _, key string, _ any) {
		if holdsSecret(key) {
			c.report(path, "this setting is a secret by its name", "remove it: Cinc Server's own are in the bundle of secrets, and others can be set with \"cinc-server-ctl set-secret\" from a hook")
		}
	})
}

func (c *checker) settingValue() {
	const longest = 1000
	refuse := func(path string, value any) {
		text, isText := value.(string)
		if isText && (len(text) > longest || strings.ContainsFunc(text, unicode.IsControl)) {
			c.report(path, "the value is too long or has characters that cannot be seen", fmt.Sprintf("write one line of %d characters at most", longest))
		}
	}
	c.settings(func(path, _, _ string, value any) {
		list, isList := value.([]any)
		if !isList {
			refuse(path, value)
		}
		for i, item := range list {
			refuse(index(path, i), item)
		}
	})
}

// hookCommand holds hooks to commands that need no shell: a program in the image, and its arguments.
func (c *checker) hookCommand() {
	if c.spec.Cinc == nil {
		return
	}
	hooks := c.spec.Cinc.Hooks
	for _, hook := range []struct {
		path    string
		command []string
	}{{"cinc.hooks.preConfigure", hooks.PreConfigure}, {"cinc.hooks.postReady", hooks.PostReady}} {
		switch {
		case hook.command == nil || c.broken[hook.path]:
		case len(hook.command) == 0:
			c.report(hook.path, "there is no program", "write one like [/usr/local/sbin/announce, up], or remove the key")
		case !c.broken[index(hook.path, 0)]:
			c.absolutePath(index(hook.path, 0), hook.command[0], "/usr/local/sbin/announce")
		}
		for i, word := range hook.command {
			if strings.ContainsFunc(word, unicode.IsControl) {
				c.report(index(hook.path, i), "this has characters that cannot be seen", "write one line")
			}
		}
	}
}

// row returns what the spec's Cinc Server works with, if it is known.
func (c *checker) row() (Compat, bool) {
	if c.spec.Cinc == nil || !isFullVersion(string(c.spec.Cinc.Version)) {
		return Compat{}, false
	}
	row, err := CompatFor(string(c.spec.Cinc.Version))
	return row, err == nil
}

func (c *checker) compatCinc() {
	if c.spec.Cinc == nil || !isFullVersion(string(c.spec.Cinc.Version)) {
		return
	}
	if _, err := CompatFor(string(c.spec.Cinc.Version)); err != nil {
		c.report("cinc.version", err.Error(), "\"cincbake compat\" prints the table")
	}
}

func (c *checker) compatPostgres() {
	row, ok := c.row()
	if !ok || !c.has("postgres") || c.broken["postgres.version"] {
		return
	}
	const at = "postgres.version"
	major := c.spec.Postgres.Version
	if !c.external("postgres") {
		os, err := OSFor(c.spec.Image.OS)
		if err != nil {
			return
		}
		source, err := PostgresFor(os.Name, major)
		if err != nil {
			return
		}
		major = source.Major
	} else if major == 0 && !c.spec.written(at) {
		major = defaultExternalPostgres
	}
	if !row.AcceptsPostgres(major) {
		c.report(at, fmt.Sprintf("Cinc Server %s refuses PostgreSQL %d with CSPG014", c.spec.Cinc.Version, major), "it accepts "+row.PostgresRange())
	}
}

func (c *checker) compatOpenSearch() {
	row, ok := c.row()
	version := ""
	if c.has("opensearch") {
		version = string(c.spec.OpenSearch.Version)
	}
	if ok && (isFullVersion(version) || isShortVersion(version)) && !row.AcceptsOpenSearch(version) {
		c.report("opensearch.version", fmt.Sprintf("Cinc Server %s works with OpenSearch %d only", c.spec.Cinc.Version, row.OpenSearch), "use "+defaultOpenSearch)
	}
}

func (c *checker) compatOS() {
	row, ok := c.row()
	os, err := OSFor(c.spec.Image.OS)
	if ok && err == nil && !row.AcceptsOS(os.Name) {
		c.report("cinc.version", fmt.Sprintf("Cinc Server %s has no package for %s", c.spec.Cinc.Version, os.Name), "it has for: "+strings.Join(row.OSes, ", "))
	}
}

// compatCPU looks at what the API nodes would be: image.arch is held against the systems' own table already.
func (c *checker) compatCPU() {
	row, ok := c.row()
	if !ok || !c.has("api") {
		return
	}
	if arch := archOf(c.spec.API.InstanceType); arch != "" && !row.AcceptsCPU(arch) {
		c.report("api.instanceType", fmt.Sprintf("%s is a machine of %s, and Cinc Server is built for %s", show(c.spec.API.InstanceType), arch, strings.Join(row.CPUs, ", ")), "use a type without a g after its number, like m6i.xlarge")
	}
}
