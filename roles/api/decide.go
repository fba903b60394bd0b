package api

import (
	"fmt"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/roles/role"
)

// View is what an API node sees before it configures Cinc Server.
type View struct {
	// Configured tells that this machine's last reconfigure succeeded and read the same as one would read now. What follows a
	// reconfigure, such as an upgrade, may be left to do all the same.
	Configured bool
	// Version is the image's Cinc Server.
	Version string
	// Contents is what the database server holds.
	Contents cinc.Contents
}

// The rows of the join table, by name.
const (
	RowConfigured   = "configured"     // nothing is new, and nothing was left half-done
	RowLost         = "databases-lost" // they were made, and are gone
	RowBootstrap    = "bootstrap"      // nothing was ever made
	RowRecover      = "recover"        // half-made, and provably without an organization
	RowHalf         = "half-made"      // half-made, with organizations
	RowOtherSecrets = "other-secrets"  // made to the end, for another key
	RowForeign      = "foreign"        // made by somebody else
	RowFinish       = "finish"         // made, up to the last steps
	RowJoin         = "join"           // made to the end
	RowUpgrade      = "upgrade"        // made to the end, by an older Cinc Server
	RowLockBusy     = "lock-busy"      // another node has the lock
	RowNoDatabase   = "no-database"    // no login on a primary
)

// hintOtherSecrets is the way out when the databases were made for another bundle.
const hintOtherSecrets = "launch the machine with the secrets that the databases were made with: cincbake secrets init --help tells how to import them"

// Decide is the table. What it decides, other than to go on with what is configured, is carried out under the lock.
func Decide(v View) role.Decision {
	c := v.Contents
	made := len(c.Databases) > 0
	switch {
	case c.OurKey && v.Configured && c.Ledger.Made && !newer(v.Version, c.Ledger.Version):
		return proceed(RowConfigured, "Cinc Server is configured, and nothing that it reads is new", role.APIStart{Settled: true})
	case c.OurKey && !c.Ledger.Made:
		return proceed(RowFinish, "the databases are made; who made them did not come to the end", role.APIStart{Finish: true})
	case c.OurKey && newer(v.Version, c.Ledger.Version):
		return proceed(RowUpgrade, fmt.Sprintf("the databases were last configured by Cinc Server %s, and this is %s", c.Ledger.Version, v.Version),
			role.APIStart{Upgrade: true})
	case c.OurKey:
		return proceed(RowJoin, "the databases are made, and the superuser has the bundle's key", role.APIStart{})
	case !made && c.Ledger.Made:
		return refuse(RowLost, "Cinc Server's databases were made, and are gone",
			"restore them: cincbake restore; nothing makes them anew where they once were")
	case !made && v.Configured:
		return refuse(RowLost, "this machine was configured, and the database server no longer holds Cinc Server's databases",
			"look whether it is the right database server, or restore it; to begin anew, launch fresh API machines")
	case !made:
		return proceed(RowBootstrap, "the database server holds nothing of Cinc Server yet", role.APIStart{Bootstrap: true, Finish: true})
	case c.Ledger.Made:
		return refuse(RowOtherSecrets, "the superuser in the databases has other keys than the bundle's: "+names(c.OtherKeys), hintOtherSecrets)
	case !c.Ledger.Began:
		return refuse(RowForeign, fmt.Sprintf("the database server holds %s, which this cluster did not make", names(c.Databases)),
			"give the cluster an empty database server, or "+hintOtherSecrets)
	case c.Organizations > 0:
		return refuse(RowHalf, fmt.Sprintf("the databases were never made to the end, but hold %d organizations", c.Organizations),
			"nothing is thrown away here: restore a backup, or drop the databases yourself if nothing in them is needed")
	}
	return proceed(RowRecover, "the databases are half-made and hold no organization: they are dropped, and made again",
		role.APIStart{Bootstrap: true, Clear: true, Finish: true})
}

func newer(a, b string) bool { return b != "" && cluster.CompareVersions(a, b) > 0 }

func names(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

func proceed(row, reason string, start role.APIStart) role.Decision {
	return role.Decision{Verdict: role.Proceed, Row: row, Reason: reason, API: start}
}

func refuse(row, reason, hint string) role.Decision {
	return role.Decision{Verdict: role.Refuse, Row: row, Reason: reason, Hint: hint}
}

func wait(row, reason, hint string) role.Decision {
	return role.Decision{Verdict: role.Wait, Row: row, Reason: reason, Hint: hint}
}
