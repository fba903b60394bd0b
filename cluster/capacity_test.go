package cluster

import (
	"fmt"
	"strings"
	"testing"
)

func TestConnections(t *testing.T) {
	for nodes, want := range map[int]int{0: 130, 1: 130, 2: 210, 6: 530, 10: 850} {
		if got := connections(nodes); got != want {
			t.Errorf("%d nodes: %d connections, want %d", nodes, got, want)
		}
	}
}

// TestRaisingTheMaximumRaisesTheLimit, whatever is launched now.
func TestRaisingTheMaximumRaisesTheLimit(t *testing.T) {
	text, err := Example(SelfHosted, AWS)
	if err != nil {
		t.Fatal(err)
	}
	for most := 2; most <= 12; most++ {
		r := resolve(t, strings.Replace(text, "max: 6", fmt.Sprintf("max: %d", most), 1))
		if want := most*80 + 50; r.Postgres.MaxConnections != want {
			t.Errorf("max %d: %d connections, want %d", most, r.Postgres.MaxConnections, want)
		}
	}
	on := exampleOf(t, SelfHosted, OnPrem)
	if len(on.NodesOf(RoleAPI)) != 2 || on.Postgres.MaxConnections != 850 {
		t.Errorf("two of a pool of ten: %d connections, want 850", on.Postgres.MaxConnections)
	}
}

func TestIndexShape(t *testing.T) {
	for nodes, want := range map[int][2]int{1: {1, 0}, 2: {2, 1}, 3: {3, 2}, 5: {3, 2}, 9: {3, 2}} {
		if shards, replicas := indexShape(nodes); shards != want[0] || replicas != want[1] {
			t.Errorf("%d nodes: %d shards, %d replicas, want %v", nodes, shards, replicas, want)
		}
	}
}

func TestAddressList(t *testing.T) {
	for _, test := range []struct {
		text string
		most int
		want string
	}{
		{"10.20.0.20", 5, "10.20.0.20"},
		{"10.20.0.254-10.20.1.1", 5, "10.20.0.254 10.20.0.255 10.20.1.0 10.20.1.1"},
		{"10.20.0.20-10.20.0.29", 2, "10.20.0.20 10.20.0.21"},
		{"255.255.255.254-255.255.255.255", 5, "255.255.255.254 255.255.255.255"},
		{"10.20.0.29-10.20.0.20", 5, ""},
		{"10.20.0.20-::1", 5, ""},
	} {
		var r AddressRange
		if err := r.UnmarshalText([]byte(test.text)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range (AddressList{r}).expand(test.most) {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %v, want %s", test.text, got, test.want)
		}
		if back, err := r.MarshalText(); err != nil || string(back) != test.text {
			t.Errorf("%s comes back as %s, %v", test.text, back, err)
		}
	}
}
