package cluster

import (
	"cmp"
	"fmt"
)

const defaultInterface = "eth0"

// Resolve fills in what the spec leaves out and names every machine. It fails with Problems on a spec that breaks a rule,
// which one from Load or Parse does not; so nobody who holds a Resolved has to check it again.
func (s *Spec) Resolve() (*Resolved, error) {
	if problems := check(s, nil); len(problems) > 0 {
		problems.sort()
		return nil, problems
	}
	os, err := OSFor(s.Image.OS)
	if err != nil {
		return nil, fmt.Errorf("resolve cluster %s: %w", s.Name, err)
	}
	postgres, err := PostgresFor(os.Name, s.Postgres.Version)
	if err != nil {
		return nil, fmt.Errorf("resolve cluster %s: %w", s.Name, err)
	}
	resolved := &Resolved{
		Name:     s.Name,
		Platform: s.Platform,
		Image:    Image{OS: os.Name, Arch: cmp.Or(s.Image.Arch, os.Arches[0])},
		Network: Network{
			Prefix:    s.Network.Prefix,
			Gateway:   s.Network.Gateway,
			DNS:       s.Network.DNS,
			NTP:       s.Network.NTP,
			Interface: cmp.Or(s.Network.Interface, defaultInterface),
		},
		Postgres: &Postgres{Version: postgres.Major},
		Access:   Access{SSH: s.Access.SSH},
	}
	for _, m := range s.machines() {
		resolved.Nodes = append(resolved.Nodes, Node{
			Name:    fmt.Sprintf("%s-%d", m.role, m.slot),
			Role:    m.role,
			Slot:    m.slot,
			Address: m.Address,
			Disk:    m.Disk,
		})
	}
	return resolved, nil
}
