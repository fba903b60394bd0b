package cinc

import (
	"encoding/json"

	"github.com/cincbake/cincbake/secrets"
)

// store is Cinc Server's secrets in the plain form that it still accepts, and rewrites into its own at the first save.
// Entries of that form are not frozen, so that "rotate-all-credentials" and "rotate-shared-secrets" would change the
// superuser's id and keys on one node alone: they must never be used. cincbake secrets rotate is the way.
type store struct {
	Postgresql postgresqlSecrets `json:"postgresql"`
	Redis      redisSecrets      `json:"redis_lb"`
	Erchef     erchefSecrets     `json:"opscode_erchef"`
	Bifrost    bifrostSecrets    `json:"oc_bifrost"`
	OCID       ocidSecrets       `json:"oc_id"`
	Bookshelf  bookshelfSecrets  `json:"bookshelf"`
	Server     serverSecrets     `json:"chef-server"`
}

type postgresqlSecrets struct {
	Superuser string `json:"db_superuser_password"`
}

type redisSecrets struct {
	Password string `json:"password"`
}

type erchefSecrets struct {
	SQL    string `json:"sql_password"`
	SQLRO  string `json:"sql_ro_password"`
	Stats  string `json:"stats_password"`
	Search string `json:"search_auth_password"`
}

type bifrostSecrets struct {
	Superuser string `json:"superuser_id"`
	SQL       string `json:"sql_password"`
	SQLRO     string `json:"sql_ro_password"`
}

type ocidSecrets struct {
	KeyBase string `json:"secret_key_base"`
	SQL     string `json:"sql_password"`
	SQLRO   string `json:"sql_ro_password"`
}

type bookshelfSecrets struct {
	KeyID  string `json:"access_key_id"`
	Secret string `json:"secret_access_key"`
	SQL    string `json:"sql_password"`
	SQLRO  string `json:"sql_ro_password"`
}

type serverSecrets struct {
	Superuser   string `json:"superuser_key,omitempty"`
	WebUI       string `json:"webui_key"`
	WebUIPublic string `json:"webui_pub_key"`
}

// Store is what private-cinc-secrets.json is filled with. A machine that bootstraps gets it without the superuser's key: with an external
// database, Cinc Server takes a store that has one for that of a machine that joins.
func Store(c secrets.Cinc, bootstrap bool) ([]byte, error) {
	s := store{
		Postgresql: postgresqlSecrets{Superuser: c.DatabaseOwner.Reveal()},
		Redis:      redisSecrets{Password: c.RedisPassword.Reveal()},
		Erchef: erchefSecrets{
			SQL: c.ErchefSQL.Reveal(), SQLRO: c.ErchefSQLRO.Reveal(), Stats: c.ErchefStats.Reveal(), Search: c.Search.Reveal(),
		},
		Bifrost: bifrostSecrets{Superuser: c.BifrostSuperuser.Reveal(), SQL: c.BifrostSQL.Reveal(), SQLRO: c.BifrostSQLRO.Reveal()},
		OCID:    ocidSecrets{KeyBase: c.OCIDKeyBase.Reveal(), SQL: c.OCIDSQL.Reveal(), SQLRO: c.OCIDSQLRO.Reveal()},
		Bookshelf: bookshelfSecrets{
			KeyID: c.BookshelfKeyID.Reveal(), Secret: c.BookshelfSecret.Reveal(), SQL: c.BookshelfSQL.Reveal(), SQLRO: c.BookshelfSQLRO.Reveal(),
		},
		Server: serverSecrets{Superuser: c.Superuser.Private.Reveal(), WebUI: c.WebUI.Private.Reveal(), WebUIPublic: c.WebUI.Public},
	}
	if bootstrap {
		s.Server.Superuser = ""
	}
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}
