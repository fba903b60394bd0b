package operate

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

func finding(findings ...cluster.Finding) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/v1/doctor" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(findings)
	})
}

func TestDoctor(t *testing.T) {
	c := agents(t, map[string]http.Handler{
		"postgres-1": finding(cluster.Finding{Check: "clock", OK: true, Detail: "right"}, cluster.Finding{Check: "certificate", OK: true, Detail: "20 days", Hint: "renew it"}),
		"postgres-2": finding(cluster.Finding{Check: "space on /data", Detail: "4 % free\nand more", Hint: "empty it"}),
	})
	all, err := c.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	well := map[string]bool{}
	for _, e := range all {
		well[e.Node] = e.Well()
	}
	if diff := cmp.Diff(map[string]bool{"postgres-1": true, "postgres-2": false, "heartbeat-1": false}, well); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var text strings.Builder
	if err := DoctorTable(&text, all[:2]); err != nil {
		t.Fatal(err)
	}
	const want = `NODE        CHECK                 DETAIL
postgres-1  clock           ok    right
postgres-1  certificate     warn  20 days
postgres-2  space on /data  FAIL  4 % free

postgres-1: certificate: warn
  → renew it
postgres-2: space on /data: FAIL
  → empty it
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	one, err := c.Doctor(t.Context(), "postgres-2")
	if err != nil || len(one) != 1 || one[0].Node != "postgres-2" {
		t.Errorf("asked for one, got %+v, %v", one, err)
	}
	if _, err := c.Doctor(t.Context(), "postgres-9"); exit.CodeOf(err) != exit.Invalid {
		t.Errorf("a machine that there is not: %v", err)
	}
}
