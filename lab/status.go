package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"strconv"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab/machine"
)

// Machine is how a node of the lab is, as its host sees it.
type Machine struct {
	Node    string       `json:"node"`
	Role    cluster.Role `json:"role"`
	Address netip.Addr   `json:"address"`
	Running bool         `json:"running"`
	Frozen  bool         `json:"frozen,omitempty"` // it runs, and does nothing: see Freeze
	// Partitioned tells that it is cut off from others: see Partition.
	Partitioned bool `json:"partitioned,omitempty"`
	// Seconds is how long ago it was started; 0 when it does not run.
	Seconds float64 `json:"seconds"`
	Image   string  `json:"image"` // the content digest of what it boots
}

// Status returns every node in the cluster's order. It says nothing about the cluster that they make up: that is for
// their agents to say.
func (l *Lab) Status(ctx context.Context) ([]Machine, error) {
	host, err := machine.ThisHost()
	if err != nil {
		return nil, exit.As(exit.Missing, err)
	}
	r, err := l.load()
	if err != nil {
		return nil, err
	}
	partitioned, err := l.partitioned(ctx)
	if err != nil {
		return nil, err
	}
	var machines []Machine
	for slot, node := range r.nodes() {
		m := l.machine(r, slot)
		running, err := m.Running(host)
		if err != nil {
			return nil, err
		}
		frozen, err := m.Frozen(host)
		if err != nil {
			return nil, err
		}
		since, err := m.Uptime(host)
		if err != nil {
			return nil, err
		}
		machines = append(machines, Machine{
			Node: node.Name, Role: node.Role, Address: node.Address,
			Running: running, Frozen: frozen, Partitioned: partitioned(m.Port), Seconds: since.Seconds(), Image: r.image(node),
		})
	}
	return machines, nil
}

// Cluster returns the cluster that the lab runs.
func (l *Lab) Cluster() (*cluster.Resolved, error) {
	r, err := l.load()
	if err != nil {
		return nil, err
	}
	return &r.Cluster, nil
}

// Nodes returns every node that the lab has, those that were added last.
func (l *Lab) Nodes() ([]cluster.Node, error) {
	r, err := l.load()
	if err != nil {
		return nil, err
	}
	return r.nodes(), nil
}

// Logs writes the last lines of a node's journal, also of one that is stopped; and what it printed before it had one.
func (l *Lab) Logs(ctx context.Context, node string, lines int, to io.Writer) error {
	m, err := l.machineOf(node)
	if err != nil {
		return err
	}
	console, err := os.ReadFile(m.Console())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := to.Write(console); err != nil {
		return err
	}
	if _, err := os.Stat(m.Journal()); errors.Is(err, fs.ErrNotExist) {
		return nil // it has not come that far
	}
	command := exec.CommandContext(ctx, "journalctl", "--directory="+m.Journal(), "--no-pager", "--output=short-iso",
		"--lines="+strconv.Itoa(lines))
	command.Stdout, command.Stderr = to, to
	if err := command.Run(); err != nil {
		return fmt.Errorf("reading the journal of %s: %w", node, err)
	}
	return nil
}
