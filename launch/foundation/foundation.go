// Package foundation writes one CloudFormation template with everything that a cluster uses in its account and does not make
// itself: security groups from the cluster's own port table, IAM roles from package iam, a load balancer, a bucket and a key;
// for the managed topology a database and a search domain; and, if asked for, the network that all of it is in.
//
// The template is a pure function of the cluster: the same spec gives the same bytes, whatever its section aws says, as that
// is filled in from the template's outputs.
package foundation

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/launch/iam"
)

// Options are what the spec does not say.
type Options struct {
	// Network lets the template make the network, from the spec's prefix, instead of the subnets that the spec names.
	Network bool
}

// MaxBytes is how long a template may be that is handed to CloudFormation directly, and not by way of a bucket.
const MaxBytes = 51200

// Write returns the template, as YAML. A cluster that cannot have one is exit.Invalid.
func Write(r *cluster.Resolved, o Options) ([]byte, error) {
	at, err := iam.PlaceOf(r, "", "")
	if err != nil {
		return nil, err
	}
	own := *r
	own.AWS = nil // what it names comes from here
	f := &foundation{Resolved: &own, place: at, made: o.Network, template: template{description: description(r)}}
	if err := f.lay(); err != nil {
		return nil, err
	}
	text, err := f.template.yaml()
	if err != nil {
		return nil, fmt.Errorf("write the template of cluster %s: %w", r.Name, err)
	}
	return text, nil
}

func description(r *cluster.Resolved) string {
	return fmt.Sprintf("What the %s Cinc Server cluster %s uses in its account. Written by cincbake launch foundation: change the spec, not this.", r.Topology(), r.Name)
}

// foundation is a template in the making.
type foundation struct {
	*cluster.Resolved
	place    iam.Place
	made     bool     // the network
	subnets  []string // as values of a template, one per zone, those of the spec first
	template template
}

// lay adds everything, in the order in which people read it.
func (f *foundation) lay() error {
	if err := f.network(); err != nil {
		return err
	}
	f.storage()
	f.securityGroups()
	if err := f.roles(); err != nil {
		return err
	}
	f.balancer()
	if err := f.database(); err != nil {
		return err
	}
	f.search()
	return nil
}

// hasDatabase tells whether the database is RDS, which the template makes. One of somebody else's is left to them.
func (f *foundation) hasDatabase() bool {
	return f.Postgres != nil && f.Postgres.External != nil && f.Postgres.External.RDS
}

// hasSearch tells whether the search is Amazon's, likewise.
func (f *foundation) hasSearch() bool {
	if f.OpenSearch == nil || f.OpenSearch.External == nil {
		return false
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(f.OpenSearch.External.URL, "https://"), "/")
	host, _, _ = strings.Cut(host, ":")
	return strings.HasSuffix(host, ".es.amazonaws.com") || strings.HasSuffix(host, ".es.amazonaws.com.cn")
}

// mostZones is how many zones a search domain is spread over.
const mostZones = 3

// searchZones is how many zones the search domain is in: a node in each, so that one may go.
func (f *foundation) searchZones() int {
	if !f.hasSearch() {
		return 0
	}
	return min(mostZones, max(1, f.OpenSearch.External.Nodes))
}

// tags are on everything that can have them.
func (f *foundation) tags(name string) []any {
	return []any{
		inline{{"Key", "Name"}, {"Value", f.Name + " " + name}},
		inline{{"Key", cluster.TagCluster}, {"Value", f.Name}},
	}
}

// split divides a network into so many parts of the same size, a power of two of which it has.
func split(prefix netip.Prefix, parts int) ([]netip.Prefix, error) {
	bits := prefix.Bits()
	for size := 1; size < parts; size *= 2 {
		bits++
	}
	const largest, smallest = 16, 28 // of EC2's networks
	if !prefix.Addr().Is4() || prefix.Bits() < largest || bits > smallest {
		return nil, exit.Errorf(exit.Invalid, "network.prefix %s cannot be divided into %d subnets: EC2 makes networks from /%d on, and subnets down to /%d", prefix, parts, largest, smallest)
	}
	at := prefix.Masked().Addr().As4()
	number := binary.BigEndian.Uint32(at[:])
	var list []netip.Prefix
	for range parts {
		binary.BigEndian.PutUint32(at[:], number)
		list = append(list, netip.PrefixFrom(netip.AddrFrom4(at), bits))
		number += 1 << (32 - bits)
	}
	return slices.Clip(list), nil
}
