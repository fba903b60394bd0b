package main

import "testing"

// Whatever a machine and a database hold, a row says what happens; and no row is there for nothing.
func TestEveryStateHasARow(t *testing.T) {
	used := map[string]bool{}
	for n := range 1 << 8 {
		bit := func(i int) bool { return n>>i&1 == 1 }
		o := observed{bit(0), bit(1), bit(2), bit(3), bit(4), bit(5), bit(6), bit(7)}
		if o.half && !o.databases || o.half && o.pivotal || o.pivotal && !o.databases {
			continue // can't be
		}
		r := decide(o)
		if r.name == "" {
			t.Errorf("no row for %+v", o)
		}
		if (r.says == "") == (r.outcome == refuse || r.outcome == breaks) {
			t.Errorf("row %q must say something if and only if it fails", r.name)
		}
		used[r.name] = true
		// A superuser is made on an empty database alone.
		if r.outcome == bootstrap && (o.pivotal || o.running || o.sentinel || o.key) {
			t.Errorf("row %q makes a superuser for %+v", r.name, o)
		}
	}
	for _, r := range contract() {
		if !used[r.name] {
			t.Errorf("row %q never counts", r.name)
		}
	}
}
