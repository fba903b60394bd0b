package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
)

// Port is what the machine's firewall lets in.
type Port struct {
	Port     int      `json:"port,omitempty"` // 0 for a protocol without ports
	Protocol string   `json:"protocol"`
	From     []string `json:"from"` // roles, or who is outside
	What     string   `json:"what"`
}

func (p Port) String() string {
	if p.Port == 0 {
		return p.Protocol
	}
	return fmt.Sprintf("%d/%s", p.Port, p.Protocol)
}

// listens picks the machine's rows of the cluster's port table. Several callers of one port are one row.
func listens(r *cluster.Resolved, role cluster.Role) []Port {
	ports := []Port{}
	for _, flow := range cluster.Inbound(r, role) {
		at := slices.IndexFunc(ports, func(p Port) bool { return p.Port == flow.Port && p.Protocol == flow.Protocol })
		if at < 0 {
			ports = append(ports, Port{flow.Port, flow.Protocol, []string{flow.From}, flow.Why})
			continue
		}
		ports[at].From = append(ports[at].From, flow.From)
		if !strings.Contains(ports[at].What, flow.Why) {
			ports[at].What += "; " + flow.Why
		}
	}
	slices.SortStableFunc(ports, func(a, b Port) int { return cmp.Compare(a.Port, b.Port) })
	return ports
}
