package postgres

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// keys collects what is deleted; fail makes the next deletion fail, as a power failure would.
type keys struct {
	deleted []string
	fail    bool
}

func (k *keys) Delete(_ context.Context, name, created string) error {
	if k.fail {
		k.fail = false
		return errors.New("cut off")
	}
	k.deleted = append(k.deleted, name+"@"+created)
	return nil
}

// A database whose making was cut off goes, and so does Patroni's mark, so that somebody makes it anew. Nothing else may go:
// not what another machine makes now, and not what this one is making.
func TestDropUnfinished(t *testing.T) {
	const half, aside = Dir + "/13/base", Dir + "/unfinished-40"
	for name, test := range map[string]struct {
		there   []string
		patroni bool // runs on this machine
		cut     bool // the first attempt is cut off
		deletes bool
		left    []string
	}{
		"half a database":                     {there: []string{half}, deletes: true},
		"half a database, cut off once more":  {there: []string{half}, cut: true, deletes: true},
		"it is being made here":               {there: []string{half}, patroni: true, left: []string{half}},
		"another machine makes it":            {},
		"set aside earlier, and cut off then": {there: []string{aside + "/base"}, deletes: true},
		"left over from another attempt":      {there: []string{Dir + "/unfinished-7/base"}, left: []string{Dir + "/unfinished-7/base"}},
	} {
		t.Run(name, func(t *testing.T) {
			host := step.NewRecorder()
			for _, path := range test.there {
				host.Entries[path] = step.Entry{Kind: step.KindFile}
			}
			host.Answer = func(c step.Command) (step.Output, error) {
				switch {
				case c.Argv[0] == "systemctl" && !test.patroni:
					return step.Output{}, &step.ExitError{Argv: c.Argv, Status: 3}
				case c.Argv[0] == "mv":
					if c.Argv[2] != Dir+"/13" || c.Argv[3] != aside {
						t.Errorf("moved %v", c.Argv)
					}
					delete(host.Entries, half)
					host.Entries[aside+"/base"] = step.Entry{Kind: step.KindFile}
				}
				return step.Output{}, nil
			}
			s := sameSystem{in: role.Inputs{Cluster: &cluster.Resolved{Postgres: &cluster.Postgres{Version: 13}}}}
			store := &keys{fail: test.cut}
			err := s.dropUnfinished(context.Background(), step.NewRun(host), store, "/initialize", "40")
			if test.cut {
				if err == nil {
					t.Fatal("the cut was not noticed")
				}
				err = s.dropUnfinished(context.Background(), step.NewRun(host), store, "/initialize", "40")
			}
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if test.deletes {
				want = []string{"/initialize@40"}
			}
			if diff := cmp.Diff(want, store.deleted); diff != "" {
				t.Errorf("deleted (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.left, host.Files()); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
		})
	}
}
