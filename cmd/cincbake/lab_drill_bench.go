package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/lab"
	"github.com/cincbake/cincbake/lab/drill"
	"github.com/cincbake/cincbake/operate"
	"github.com/cincbake/cincbake/secrets"
)

// drillBench is a lab with clients that know its secrets.
type drillBench struct {
	cluster *cluster.Resolved
	bundle  *secrets.Bundle
	lab     *lab.Lab
	client  operate.Client
	images  imagesFlag // those that a rollout boots
}

func (f *drillFlags) open() (drillBench, error) {
	l, spec, resolved, err := f.spec.labOf()
	if err != nil {
		return drillBench{}, err
	}
	bundle, err := loadBundle(spec.SecretsPath(), resolved)
	if err != nil {
		return drillBench{}, err
	}
	client, err := labClient(l, resolved, bundle)
	return drillBench{resolved, bundle, l, client, f.folder}, err
}

func (b drillBench) site() site { return site{b.client, b.lab, b.images} }

func (b drillBench) postgres() *drill.Postgres {
	return &drill.Postgres{
		Cluster: b.cluster, CA: b.bundle.CA.Certificate, Password: b.bundle.Postgres.Owner, Dial: b.lab.Dial, DialFrom: b.lab.DialFrom,
	}
}

// The pauses leave a host of two cores some room: with all it has taken, a failover takes longer than on machines of their
// own. The Chef API's clients are slower than SQL's: each request is some statements, and an entry in the search index.
const (
	sqlPause  = 30 * time.Millisecond
	chefPause = 200 * time.Millisecond
)

// traffic returns the work of all kinds of clients that the cluster has something for.
func (b drillBench) traffic(organization string) func() []drill.Traffic {
	return func() []drill.Traffic {
		var kinds []drill.Traffic
		if len(b.cluster.NodesOf(cluster.RolePostgres)) > 0 {
			sql := b.postgres()
			kinds = append(kinds, drill.Traffic{Kind: drill.TrafficSQL, Clients: sql.Clients(), Pause: sqlPause, Source: sql})
		}
		if b.bundle.Cinc == nil || b.cluster.Domain == "" {
			return kinds
		}
		chef := &drill.Chef{Cluster: b.cluster, CA: b.bundle.CA.Certificate, Key: b.bundle.Cinc.Superuser.Private, Dial: b.lab.Dial}
		if b.bundle.Front != nil {
			chef.CA += b.bundle.Front.Certificate // it may be the user's own
		}
		if organization != "" {
			chef.Path = "organizations/" + organization
		}
		reads := &drill.ChefReads{Chef: chef}
		return append(kinds,
			drill.Traffic{Kind: drill.TrafficChefWrite, Clients: chef.Clients(), Pause: chefPause, Source: chef},
			drill.Traffic{Kind: drill.TrafficChefRead, Clients: reads.Clients(), Pause: chefPause, Source: reads})
	}
}

// configuration says what is struck, and by what it is measured.
func (b drillBench) configuration(ctx context.Context) (drill.Configuration, error) {
	machines, err := b.lab.Status(ctx)
	if err != nil {
		return drill.Configuration{}, err
	}
	r := b.cluster
	c := drill.Configuration{
		Cincbake: version, Cluster: r.Name, Topology: r.Topology(), Versions: map[string]string{"OS": r.Image.OS + " " + r.Image.Arch},
		Host: drill.Host{Cores: runtime.NumCPU(), Kernel: firstLine("/proc/sys/kernel/osrelease"), MemoryBytes: memory()},
	}
	if r.Postgres != nil {
		c.Versions["PostgreSQL"] = strconv.Itoa(r.Postgres.Version)
	}
	if r.Cinc != nil {
		c.Versions["Cinc Server"] = r.Cinc.Version
	}
	if r.OpenSearch != nil {
		c.Versions["OpenSearch"] = r.OpenSearch.Version
	}
	for _, m := range machines {
		c.Machines = append(c.Machines, drill.StruckMachine{Name: m.Node, Role: m.Role, Address: m.Address.String(), Image: m.Image})
	}
	return c, nil
}

// firstLine returns a file's first line; nothing if there is none. It is for a report, and no reason to fail.
func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return string(line)
}

// memory is the host's.
func memory() uint64 {
	var kilobytes uint64
	if _, err := fmt.Sscanf(firstLine("/proc/meminfo"), "MemTotal: %d kB", &kilobytes); err != nil {
		return 0
	}
	return kilobytes << 10
}

// site is the cluster as a drill sees it.
type site struct {
	operate.Client
	lab    *lab.Lab
	images imagesFlag
}

var _ drill.Site = site{}

// Switchover moves the primary to the cluster's choice.
func (s site) Switchover(ctx context.Context) error {
	_, err := s.Client.Switchover(ctx, "")
	return err
}

// Rollout boots a new machine in every one's place, from the newest images.
func (s site) Rollout(ctx context.Context) error {
	rollout, err := rolloutOf(ctx, s.lab, s.Client, s.images, nil)
	if err != nil {
		return err
	}
	return rollout.Run(ctx)
}
