package cluster

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Site is where a bake takes place: which mirror it reaches, through which proxy, and whose certificates it must accept for
// that. Two sites make the same image, so nothing of a site is part of a Recipe, and nothing of it stays in the image.
type Site struct {
	// Mirror is a server with Debian's trees below it, like http://mirror.example.com; empty: Debian's own.
	Mirror string `json:"mirror,omitempty"`
	// Proxy is a proxy for apt and for packages that are fetched by URL; empty: none.
	Proxy string `json:"proxy,omitempty"`
	// CACertificates are certificate authorities that mirror, proxy and package servers may be signed by, PEM.
	CACertificates string `json:"caCertificates,omitempty"`
	// Snapshot is the moment whose state of Debian is baked, in the form of SnapshotForm; empty: today's.
	Snapshot string `json:"snapshot,omitempty"`
	// Offline tells that nothing outside the machine can be reached: its package lists are taken as they are, and packages
	// that apt does not find on its own disk are an error.
	Offline bool `json:"offline,omitempty"`
}

// SnapshotForm is how snapshot.debian.org names a moment, for time.Parse.
const SnapshotForm = "20060102T150405Z"

const (
	debianServer   = "http://deb.debian.org"
	snapshotServer = "http://snapshot.debian.org"
	pgdgServer     = "http://apt.postgresql.org/pub/repos/apt"
)

// Site returns where the cluster's images are baked: what the spec says of it.
func (r *Resolved) Site() Site {
	return Site{Mirror: r.Image.Mirror, Proxy: r.Image.Proxy, CACertificates: r.CACertificates}
}

// URI returns where an archive is at this site. A mirror that serves snapshots must do so as snapshot.debian.org does.
// Packages are signed, so plain HTTP is Debian's own default. PostgreSQL's archive is where it is: no mirror of Debian has it.
func (s Site) URI(a Archive) string {
	if a == ArchivePGDG {
		return pgdgServer
	}
	if s.Snapshot != "" {
		return strings.TrimSuffix(cmp.Or(s.Mirror, snapshotServer), "/") + "/archive/" + string(a) + "/" + s.Snapshot
	}
	return strings.TrimSuffix(cmp.Or(s.Mirror, debianServer), "/") + "/" + string(a)
}

// Validate tells what no bake could work with.
func (s Site) Validate() error {
	if _, err := time.Parse(SnapshotForm, s.Snapshot); s.Snapshot != "" && err != nil {
		return fmt.Errorf("snapshot %q is not a moment like %s", s.Snapshot, SnapshotForm)
	}
	return nil
}
