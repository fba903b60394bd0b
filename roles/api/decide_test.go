package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/roles/role"
)

func TestDecide(t *testing.T) {
	all := []string{"bifrost", "bookshelf", "oc_id", "opscode_chef"}
	begun := cinc.Ledger{Holder: "api-1", Began: true}
	made := cinc.Ledger{Holder: "api-1", Began: true, Made: true, Ended: true, Version: "15.10.91"}
	whole := cinc.Contents{Databases: all, Superuser: true, OurKey: true, Ledger: made}
	for _, row := range []struct {
		name       string
		configured bool
		version    string
		contents   cinc.Contents
		row        string
		verdict    role.Verdict
		start      role.APIStart
	}{
		{"an empty server", false, "", cinc.Contents{}, RowBootstrap, role.Proceed, role.APIStart{Bootstrap: true, Finish: true}},
		{"an empty server, begun by one that died at once", false, "", cinc.Contents{Ledger: begun}, RowBootstrap, role.Proceed, role.APIStart{Bootstrap: true, Finish: true}},
		{"made to the end", false, "", whole, RowJoin, role.Proceed, role.APIStart{}},
		{"made to the end, and this machine knows", true, "", whole, RowConfigured, role.Proceed, role.APIStart{Settled: true}},
		{"made by an older release", false, "15.10.125", whole, RowUpgrade, role.Proceed, role.APIStart{Upgrade: true}},
		{
			"made by an older release, and the upgrade broke off after the reconfigure", true, "15.10.125", whole,
			RowUpgrade, role.Proceed,
			role.APIStart{Upgrade: true},
		},
		{"made by a newer release", false, "15.10.83", whole, RowJoin, role.Proceed, role.APIStart{}},
		{"upgraded by another machine since, and this machine knows its own", true, "15.10.83", whole, RowConfigured, role.Proceed, role.APIStart{Settled: true}},
		{
			"the bootstrap broke off when this machine was configured, before it was written down that the databases are made", true, "",
			cinc.Contents{Databases: all, Superuser: true, OurKey: true, Ledger: begun},
			RowFinish, role.Proceed,
			role.APIStart{Finish: true},
		},
		{
			"the key is handed over, the rest is not done", false, "",
			cinc.Contents{Databases: all, Superuser: true, OurKey: true, OtherKeys: []string{"default"}, Ledger: begun},
			RowFinish, role.Proceed,
			role.APIStart{Finish: true},
		},
		{
			"restored, or made before there was a ledger", false, "",
			cinc.Contents{Databases: all, Superuser: true, OurKey: true},
			RowFinish, role.Proceed,
			role.APIStart{Finish: true},
		},
		{
			"half-made: a database", false, "",
			cinc.Contents{Databases: all[:1], Ledger: begun},
			RowRecover, role.Proceed,
			role.APIStart{Bootstrap: true, Clear: true, Finish: true},
		},
		{
			"half-made: a superuser with the key of a machine that is gone", false, "",
			cinc.Contents{Databases: all, Superuser: true, OtherKeys: []string{"default"}, Ledger: begun},
			RowRecover, role.Proceed,
			role.APIStart{Bootstrap: true, Clear: true, Finish: true},
		},
		{
			"half-made, with organizations", false, "",
			cinc.Contents{Databases: all, Superuser: true, OtherKeys: []string{"default"}, Organizations: 2, Ledger: begun},
			RowHalf, role.Refuse,
			role.APIStart{},
		},
		{"somebody else's", false, "", cinc.Contents{Databases: all, Superuser: true, OtherKeys: []string{"default"}}, RowForeign, role.Refuse, role.APIStart{}},
		{"somebody else's, half-made", false, "", cinc.Contents{Databases: all[:2]}, RowForeign, role.Refuse, role.APIStart{}},
		{
			"made for other secrets", false, "",
			cinc.Contents{Databases: all, Superuser: true, OtherKeys: []string{"cincbake"}, Ledger: made},
			RowOtherSecrets, role.Refuse,
			role.APIStart{},
		},
		{
			"made for other secrets, and this machine was configured once", true, "",
			cinc.Contents{Databases: all, Superuser: true, OtherKeys: []string{"cincbake"}, Ledger: made},
			RowOtherSecrets, role.Refuse,
			role.APIStart{},
		},
		{"made and gone", false, "", cinc.Contents{Ledger: made}, RowLost, role.Refuse, role.APIStart{}},
		{"another, empty server under a machine that was configured", true, "", cinc.Contents{}, RowLost, role.Refuse, role.APIStart{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.version == "" {
				row.version = "15.10.91"
			}
			got := Decide(View{Configured: row.configured, Version: row.version, Contents: row.contents})
			if got.Row != row.row || got.Verdict != row.verdict {
				t.Errorf("got %s, %s; want %s, %s", got.Row, got.Verdict, row.row, row.verdict)
			}
			if diff := cmp.Diff(row.start, got.API); diff != "" {
				t.Error(diff)
			}
			if got.Reason == "" || got.Verdict == role.Refuse && got.Hint == "" {
				t.Errorf("it does not say why, or the way out: %+v", got)
			}
		})
	}
}
