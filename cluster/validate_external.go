package cluster

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode"
)

// hostAt refuses what is neither a name nor an IPv4 address.
func (c *checker) hostAt(at, host string) {
	switch {
	case host == "":
	case strings.Contains(host, ":"):
		c.report(at, show(host)+" is not a host", "write a name or an IPv4 address, without a port")
	case !isAddress(host) && !isHostName(strings.ToLower(host)):
		c.report(at, show(host)+" is not a host", "write a name like db.example.com, or an IPv4 address")
	}
}

func (c *checker) externalPostgres() {
	const base = "postgres.external."
	if !c.external("postgres") || c.spec.Postgres.External == nil || c.broken["postgres.external"] {
		return
	}
	e := c.spec.Postgres.External
	c.hostAt(base+"host", e.Host)
	if e.Port < 0 || e.Port > 65535 || e.Port == 0 && c.spec.written(base+"port") && !c.broken[base+"port"] {
		c.report(base+"port", fmt.Sprintf("%d is no port", e.Port), "write a number from 1 to 65535, or remove the key for 5432")
	}
	if tls := e.TLS; tls != "" && tls != tlsRequire && tls != tlsDisable {
		c.report(base+"tls", show(tls)+" is not what Cinc Server's driver takes", remedyOneOf(tls, []string{tlsRequire, tlsDisable}))
	}
	const longest = 63 // NAMEDATALEN less its NUL
	if owner := e.Owner; owner != "" && (len(owner) > longest || !madeOf(owner, letters+digits+"_") || strings.Contains(digits, owner[:1])) {
		c.report(base+"owner", show(owner)+" is not a login that needs no quotes", "use lower-case letters, digits and underscores")
	}
}

// capacity holds a database's limit against the connections that the API nodes open.
func (c *checker) capacity() {
	const at = "postgres.external.maxConnections"
	if !c.external("postgres") || c.spec.Postgres.External == nil || c.broken[at] || !c.spec.written(at) && c.spec.Postgres.External.MaxConnections == 0 {
		return
	}
	nodes := max(c.spec.mostNodes(), 1)
	need, allowed := connections(nodes), c.spec.Postgres.External.MaxConnections
	if !c.pool() || c.broken["api.max"] || c.broken[poolPath] || nodes > mostAPINodes || allowed >= need {
		return
	}
	c.report(at, fmt.Sprintf("needs %d = %d × %d + %d, the database allows %d", need, nodes, connectionsPerNode, reservedConnections, allowed),
		"raise max_connections there, or have fewer API nodes at most")
}

func (c *checker) externalSearch() {
	const base = "opensearch.external."
	if !c.external("opensearch") || c.spec.OpenSearch.External == nil || c.broken["opensearch.external"] {
		return
	}
	e := c.spec.OpenSearch.External
	if e.URL != "" {
		switch u, err := url.Parse(e.URL); {
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
			c.report(base+"url", "this is not a URL of a search", "write one like https://search.example.com")
		case u.User != nil:
			c.report(base+"url", "the URL holds a login", "remove it: the password belongs in the secrets, and the name in user")
		case u.Scheme == "http":
			c.report(base+"url", "the password would travel in clear", "use https")
		case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			c.report(base+"url", "the URL goes on after the host", "write its root, like https://search.example.com")
		default:
			c.searchHost(base+"url", u)
		}
	}
	if e.Nodes < 1 && (c.spec.written(base+"nodes") || e.Nodes < 0) && !c.broken[base+"nodes"] {
		c.report(base+"nodes", fmt.Sprintf("%d nodes are no search", e.Nodes), "write how many data nodes it has")
	}
	if user := e.User; user != "" && !madeOf(user, letters+upperCase+digits+"_.@-") {
		c.report(base+"user", show(user)+" is not a login that every program takes", "use letters, digits and _ . @ -")
	}
}

func (c *checker) searchHost(at string, u *url.URL) {
	host := u.Hostname()
	if strings.Contains(host, ":") {
		c.report(at, "the host is an IPv6 address", "use a name or IPv4: Cinc Server does not reliably reach a search over IPv6")
		return
	}
	c.hostAt(at, host)
}

// searchNodes keeps a majority among the nodes that elect OpenSearch's manager.
func (c *checker) searchNodes() {
	const at, most = "opensearch.nodes", 9
	if !c.own("opensearch") || c.broken[at] {
		return
	}
	switch nodes := len(c.spec.OpenSearch.Nodes); {
	case nodes == 0:
		c.report(at, "there is no search node", "list three, or one where search may be down for a while")
	case nodes%2 == 0:
		c.report(at, fmt.Sprintf("%d search nodes elect a manager no better than %d do", nodes, nodes-1), "list an odd number: three, or one where search may be down for a while")
	case nodes > most:
		c.report(at, fmt.Sprintf("an index of %d shards gains nothing from %d nodes", mostShards, nodes), fmt.Sprintf("list %d at most", most))
	}
}

func (c *checker) backup() {
	b := c.spec.Backup
	if b == nil || c.broken["backup"] {
		return
	}
	var kinds int
	for _, kind := range []struct {
		path  string
		given bool
	}{{"backup.s3", b.S3 != nil}, {"backup.sftp", b.SFTP != nil}, {"backup.path", b.Path != ""}} {
		if kind.given || c.broken[kind.path] {
			kinds++
		}
	}
	if kinds != 1 {
		c.report("backup", fmt.Sprintf("a backup goes to one place, and this names %d", kinds), "give exactly one of s3, sftp and path")
	}
	if c.standalone() {
		c.report("backup", "this release does not build backups of a standalone server yet", "remove backup, and back the machine's data disk up")
	}
	if c.external("postgres") {
		c.report("backup", "the database is external, and whoever runs it backs it up", "remove backup")
	}
	const most = 9999999 // pgBackRest's repo-retention-full
	if b.Full < 0 || b.Full > most || b.Full == 0 && c.spec.written("backup.full") && !c.broken["backup.full"] {
		c.report("backup.full", fmt.Sprintf("%d full backups cannot be kept", b.Full), "write 1 at least, or remove the key")
	}
	c.absolutePath("backup.path", b.Path, "/mnt/backup")
	if b.SFTP != nil {
		c.absolutePath("backup.sftp.path", b.SFTP.Path, "/srv/cinc")
	}
}

// absolutePath refuses what is not a whole path without detours and characters that need quotes.
func (c *checker) absolutePath(at, file, example string) {
	const allowed = letters + upperCase + digits + "/._@+=-"
	if file != "" && (!strings.HasPrefix(file, "/") || file == "/" || path.Clean(file) != file || !madeOf(file, allowed)) {
		c.report(at, show(file)+" is not a whole path", "write it from the root, like "+example)
	}
}

func (c *checker) backupTarget() {
	b := c.spec.Backup
	if b == nil {
		return
	}
	if s3 := b.S3; s3 != nil {
		const longest, shortest = 63, 3
		if bucket := s3.Bucket; bucket != "" && (len(bucket) < shortest || len(bucket) > longest || !isHostName(bucket)) {
			c.report("backup.s3.bucket", show(bucket)+" cannot be a bucket's name", "use lower-case letters, digits, hyphens and dots, 3 to 63")
		}
		c.regionAt("backup.s3.region", s3.Region)
		c.hostAt("backup.s3.endpoint", s3.Endpoint)
		if !madeOf(s3.Prefix, letters+upperCase+digits+"/._-") {
			c.report("backup.s3.prefix", show(s3.Prefix)+" needs quotes", "use letters, digits and / . _ -")
		}
	}
	if sftp := b.SFTP; sftp != nil {
		c.hostAt("backup.sftp.host", sftp.Host)
		if !madeOf(sftp.User, letters+upperCase+digits+"_.-") {
			c.report("backup.sftp.user", show(sftp.User)+" is not a user's name", "use letters, digits and _ . -")
		}
		const bytes = 32 // of SHA-256
		if sum, err := hex.DecodeString(sftp.HostKey); sftp.HostKey != "" && (err != nil || len(sum) != bytes) {
			c.report("backup.sftp.hostKey", "this is not the SHA-256 of a host key", "write the 64 hexadecimal digits that this prints: ssh-keyscan HOST | awk '{print $3}' | base64 -d | sha256sum")
		}
	}
}

func (c *checker) restore() {
	if c.spec.Backup == nil || c.spec.Backup.Restore == nil || c.broken["backup.restore"] {
		return
	}
	const at = "backup.restore"
	r := c.spec.Backup.Restore
	latest, point := c.spec.written(at+".latest") || r.Latest, c.spec.written(at+".time") || !r.Time.IsZero()
	switch {
	case latest == point:
		c.report(at, "it does not say one point to go back to", "write {latest: true} or {time: 2026-11-26T08:00:00Z}")
	case latest && !r.Latest && !c.broken[at+".latest"]:
		c.report(at+".latest", "false is no point to go back to", "write true, or remove restore to begin empty")
	}
}

// recipients keeps an encrypted bundle and those who can open it together.
func (c *checker) recipients() {
	const at = "secrets.recipients"
	encrypted := strings.HasSuffix(c.spec.Secrets.File, ageExt)
	list := c.spec.Secrets.Recipients
	switch {
	case c.broken["secrets"] || c.broken["secrets.file"] || c.broken[at]:
	case encrypted && len(list) == 0:
		c.report(at, "the key is missing: nobody could open the bundle", "add public keys that \"age-keygen\" prints, two at least, like recipients: [age1…, age1…]")
	case !encrypted && len(list) > 0:
		c.report(at, "the bundle is not encrypted, so it has no recipients", "name a file that ends in .age, like file: secrets.age")
	}
	for i, recipient := range list {
		if recipient != "" && !isAgeRecipient(recipient) {
			c.report(index(at, i), show(recipient)+" is not an age public key", "write one that \"age-keygen -y\" prints, like age1…")
		}
	}
}

// isAgeRecipient tells whether a text has the form of an X25519 recipient of age: bech32 of 32 bytes. Its checksum is
// checked where the bundle is encrypted.
func isAgeRecipient(text string) bool {
	const (
		prefix   = "age1"
		alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l" // BIP 173
		length   = 62
	)
	rest, ok := strings.CutPrefix(text, prefix)
	return ok && len(text) == length && madeOf(rest, alphabet)
}

func (c *checker) certificateFiles() {
	for i, file := range c.spec.CACertificates {
		if strings.ContainsFunc(file, unicode.IsControl) {
			c.report(index("caCertificates", i), "this is not a file's path", remedyFile)
		}
	}
}

// sourceURLs holds mirror and proxy to what apt takes.
func (c *checker) sourceURLs() {
	for _, source := range []struct{ path, url string }{{"image.mirror", c.spec.Image.Mirror}, {"image.proxy", c.spec.Image.Proxy}} {
		if source.url == "" {
			continue
		}
		switch u, err := url.Parse(source.url); {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsFunc(source.url, unicode.IsSpace):
			c.report(source.path, "this is not a URL that apt takes", "write one like http://proxy.example.com:3128")
		case u.User != nil:
			c.report(source.path, "the URL holds a login", "use one that needs none: a spec is kept in version control")
		}
	}
}
