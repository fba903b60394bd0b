package operate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/roles/role"
)

// What a database node says of its role and state, in Patroni's words.
const (
	rolePrimary = "primary"
	roleSync    = "sync_standby"
	streaming   = "streaming"
	running     = "running"
)

// Whole tells what a cluster lacks, all of it at once; nil: nothing. It is whole when every node is ready, one database
// node is primary and the others stream from it, one of them synchronously, every voter sees the same healthy quorum of
// them all, the search nodes are one cluster that is green, every Cinc Server answers, and one balancer holds the clients'
// address.
func Whole(all []NodeStatus) error {
	var lacks []string
	lack := func(format string, args ...any) { lacks = append(lacks, fmt.Sprintf(format, args...)) }

	var primaries, synchronous []string
	timelines := map[int]bool{}
	databases := 0
	for _, s := range all {
		name := s.Node.Name
		if s.Node.Role == cluster.RolePostgres {
			databases++
		}
		switch {
		case !s.Answered():
			lack("%s", s.Error)
			continue
		case s.Status.Result != cluster.ResultReady:
			lack("%s is %s in phase %s%s", name, s.Status.Result, s.Status.Phase, because(s.Status.Reason))
		}
		if s.Node.Role != cluster.RolePostgres {
			continue
		}
		db := s.Status.Database
		if db == nil {
			lack("%s runs no database", name)
			continue
		}
		timelines[db.Timeline] = true
		switch db.Role {
		case rolePrimary:
			primaries = append(primaries, name)
			if db.State != running {
				lack("the primary %s is %s", name, db.State)
			}
			continue
		case roleSync:
			synchronous = append(synchronous, name)
		}
		if db.State != streaming {
			lack("%s is a %s, and %s instead of streaming", name, db.Role, db.State)
		}
	}
	if len(primaries) != 1 && databases > 0 {
		lack("%s", primariesAre(primaries))
	}
	if databases > 1 && len(synchronous) == 0 {
		lack("no database node is a synchronous standby")
	}
	if len(timelines) > 1 {
		lack("the database nodes are not on one timeline")
	}
	for _, of := range []func([]NodeStatus) []string{quorumLacks, searchLacks, serviceLacks, balancerLacks} {
		lacks = append(lacks, of(all)...)
	}
	if len(lacks) == 0 {
		return nil
	}
	return errors.New(strings.Join(lacks, "\n"))
}

// quorumLacks tells what the etcd quorum lacks.
func quorumLacks(all []NodeStatus) []string {
	var lacks []string
	voters := 0
	for _, s := range all {
		if votes(s.Node) {
			voters++
		}
	}
	clusters, leaders := map[string]bool{}, map[string]bool{}
	for _, s := range all {
		if !votes(s.Node) || !s.Answered() {
			continue
		}
		q := s.Status.Quorum
		switch {
		case q == nil:
			lacks = append(lacks, s.Node.Name+" runs no etcd")
			continue
		case !q.Healthy:
			lacks = append(lacks, s.Node.Name+" sees no healthy quorum")
			continue
		case q.Members != voters:
			lacks = append(lacks, fmt.Sprintf("%s sees a quorum of %d members instead of %d", s.Node.Name, q.Members, voters))
		}
		clusters[q.ClusterID], leaders[q.Leader] = true, true
	}
	if len(clusters) > 1 {
		lacks = append(lacks, "the voters are in different etcd clusters")
	}
	if len(leaders) > 1 || leaders[""] {
		lacks = append(lacks, "the voters do not agree on etcd's leader")
	}
	return lacks
}

func votes(n cluster.Node) bool {
	return n.Role == cluster.RolePostgres || n.Role == cluster.RoleHeartbeat
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func primariesAre(names []string) string {
	if len(names) == 0 {
		return "no database node is primary"
	}
	return fmt.Sprintf("%d database nodes say that they are primary: %s", len(names), strings.Join(names, ", "))
}

// Primary returns the name of the node that is primary now.
func (c Client) Primary(ctx context.Context) (string, error) { return primaryOf(c.Status(ctx)) }

func primaryOf(all []NodeStatus) (string, error) {
	var primaries, silent []string
	for _, s := range all {
		if !s.Answered() {
			silent = append(silent, s.Error)
		} else if s.Primary() {
			primaries = append(primaries, s.Node.Name)
		}
	}
	if len(primaries) != 1 {
		return "", errors.New(strings.Join(append([]string{primariesAre(primaries)}, silent...), "; "))
	}
	return primaries[0], nil
}

// DatabaseRole returns what a node is to the database: primary, sync_standby or replica; nothing for a node whose role runs
// none.
func (c Client) DatabaseRole(ctx context.Context, name string) (string, error) {
	node, err := c.node(name)
	if err != nil || node.Role != cluster.RolePostgres {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, askDeadline)
	defer cancel()
	var status cluster.Status
	if err := c.call(ctx, node, http.MethodGet, "/v1/status", nil, &status); err != nil {
		return "", err
	}
	if status.Database == nil {
		return "", fmt.Errorf("%s runs no database now", name)
	}
	return status.Database.Role, nil
}

// WaitWhole waits until the cluster is whole, and says what it lacks when that takes longer than within.
func (c Client) WaitWhole(ctx context.Context, within time.Duration) error {
	return c.Watch(ctx, within, func([]NodeStatus) {})
}

// wholePause is about how long to wait before all are asked again.
const wholePause = 400 * time.Millisecond

// Watch is WaitWhole with somebody who hears every round of answers.
func (c Client) Watch(ctx context.Context, within time.Duration, heard func([]NodeStatus)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	lacks := errors.New("nobody was asked yet")
	for {
		all := c.Status(ctx)
		if ctx.Err() == nil { // else the answers are about our own hurry
			heard(all)
			if lacks = Whole(all); lacks == nil {
				return nil
			}
		}
		if err := role.Pause(ctx, wholePause); err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return exit.Errorf(exit.TimedOut, "the cluster is not whole after %v:\n%w", within, lacks)
		}
	}
}
