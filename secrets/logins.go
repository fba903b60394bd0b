package secrets

import "github.com/cincbake/cincbake/cluster"

// addLogins gives Cinc Server the two passwords with which it logs in to the tiers behind it. Of a tier that is the
// cluster's own it is that tier's password; of one inside the same machine it is drawn here; an external one's must be
// imported, and addLogins leaves it alone.
func (b *Bundle) addLogins(r *cluster.Resolved) (changed bool) {
	for _, l := range b.logins(r) {
		switch {
		case l.external:
		case l.tier != nil && !l.cinc.Equal(*l.tier):
			*l.cinc, changed = *l.tier, true
		case l.cinc.IsZero():
			*l.cinc, changed = newPassword(), true
		}
	}
	return changed
}

// login is a password that Cinc Server needs for a tier behind it.
type login struct {
	name     string  // of Cinc's copy
	cinc     *Secret // Cinc's copy
	source   string  // name of the tier's
	tier     *Secret // the tier's own; nil: the bundle has none
	external bool    // the tier is somebody else's
}

func (b *Bundle) logins(r *cluster.Resolved) []login {
	database := login{name: "cinc.databaseOwner", cinc: &b.Cinc.DatabaseOwner, source: "postgres.owner", external: hasExternalPostgres(r)}
	if b.Postgres != nil {
		database.tier = &b.Postgres.Owner
	}
	search := login{name: "cinc.search", cinc: &b.Cinc.Search, source: "openSearch.cinc", external: hasExternalOpenSearch(r)}
	if b.OpenSearch != nil {
		search.tier = &b.OpenSearch.Cinc
	}
	return []login{database, search}
}

// unmet tells that an external tier's password was not imported: there is none, or the one of a tier that the cluster
// had of its own before.
func (l login) unmet() bool {
	return l.external && (l.cinc.IsZero() || (l.tier != nil && l.cinc.Equal(*l.tier)))
}

// cincIsWhole tells whether Cinc has all that is not imported.
func (b *Bundle) cincIsWhole(r *cluster.Resolved) bool {
	if b.Cinc == nil {
		return false
	}
	for _, l := range b.logins(r) {
		if !l.external && (l.cinc.IsZero() || (l.tier != nil && !l.cinc.Equal(*l.tier))) {
			return false
		}
	}
	const logins = 2 // come first in the table
	return b.Cinc.fields()[logins:].whole()
}

func hasExternalPostgres(r *cluster.Resolved) bool {
	return r.Postgres != nil && r.Postgres.External != nil
}

func hasExternalOpenSearch(r *cluster.Resolved) bool {
	return r.OpenSearch != nil && r.OpenSearch.External != nil
}
