// Package lab runs a whole cluster on one Linux machine: every node boots its baked image with real systemd and real
// cloud-init, from the very seed that render writes, on a network that the host has no part in. Nodes can be powered off,
// killed and replaced, so that what the cluster promises can be seen to hold.
//
// What a lab is made of is written down before it is made (lab.json), and what runs is looked up in the kernel under names
// made of the lab's. So Down takes everything away, however the program that made it ended.
package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/flock"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab/machine"
	"github.com/cincbake/cincbake/roles/role"
)

// Folders are where labs keep things.
type Folders struct {
	State string // one folder per lab, gone when the lab is
	Cache string // unpacked images, shared between labs and kept for the next one
	// Backups stands for the share that a spec's backup.path names: one folder per lab, which stays when the lab goes. That is
	// what a backup is for. Empty: there is no such share.
	Backups string
}

// DefaultFolders are the folders of a host.
func DefaultFolders() Folders {
	return Folders{State: "/var/lib/cincbake/lab", Cache: "/var/cache/cincbake/trees", Backups: "/var/lib/cincbake/backups"}
}

// Lab is one cluster on this machine, whether it is there yet or not.
type Lab struct {
	name    string
	folders Folders
}

// Open returns the lab of that name. It neither makes nor needs anything on disk.
func Open(folders Folders, name string) (*Lab, error) {
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$`).MatchString(name) {
		return nil, exit.Errorf(exit.Invalid, "%q can't name a lab: at most 30 small letters, digits and dashes", name)
	}
	used := []string{folders.State, folders.Cache}
	if folders.Backups != "" {
		used = append(used, folders.Backups)
	}
	for _, folder := range used {
		// These paths become mount options, where commas and colons have a meaning.
		if !filepath.IsAbs(folder) || !regexp.MustCompile(`^[A-Za-z0-9/._-]+$`).MatchString(folder) {
			return nil, exit.Errorf(exit.Invalid, "%q can't hold a lab: an absolute path of letters, digits and . _ - is needed", folder)
		}
	}
	return &Lab{name: name, folders: folders}, nil
}

// Name returns the lab's name.
func (l *Lab) Name() string { return l.name }

// Dial connects to a node as another node would: it leaves from the lab's bridge and needs no route on the host. Of a lab that
// is not up no machine is left, which the error says as any network does.
func (l *Lab) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := machine.Network{Path: l.networkFile()}.Dial(ctx, network, address)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (%w)", l.notUp(), syscall.EHOSTUNREACH)
	}
	return conn, err
}

// DialFrom connects as a program on a node does, so it reaches what listens on that node's loopback alone.
func (l *Lab) DialFrom(ctx context.Context, node, network, address string) (net.Conn, error) {
	host, err := machine.ThisHost()
	if err != nil {
		return nil, exit.As(exit.Missing, err)
	}
	m, err := l.machineOf(node)
	if err != nil {
		return nil, err
	}
	return m.Dial(ctx, host, network, address)
}

func (l *Lab) dir() string         { return filepath.Join(l.folders.State, l.name) }
func (l *Lab) networkFile() string { return filepath.Join(l.dir(), "network") }
func (l *Lab) recordFile() string  { return filepath.Join(l.dir(), "lab.json") }
func (l *Lab) machinesDir() string { return filepath.Join(l.dir(), "machines") }

// ErrNoLab is a lab that is not up.
var ErrNoLab = errors.New("there is no lab")

func (l *Lab) notUp() error {
	return exit.Errorf(exit.Missing, "%w %s: cincbake lab up makes it", ErrNoLab, l.name)
}

// recordFormat is the format of lab.json.
const recordFormat = 1

// record is what a lab is made of: all that it takes to start, replace and remove its machines.
type record struct {
	Format    int                     `json:"format"`
	Created   time.Time               `json:"created"`
	Cluster   cluster.Resolved        `json:"cluster"`
	Images    map[cluster.Role]string `json:"images"` // content digests
	DiskBytes int64                   `json:"diskBytes"`
	// NodeImages are the images of nodes that were replaced by one from another image than their role's.
	NodeImages map[string]string `json:"nodeImages,omitempty"`
	// Added are nodes of the pool that were launched later. They stand behind the cluster's, so every node keeps its port.
	Added []cluster.Node `json:"added,omitempty"`
}

// nodes returns every node that the lab has.
func (r *record) nodes() []cluster.Node { return slices.Concat(r.Cluster.Nodes, r.Added) }

// image returns the content digest of what a node boots.
func (r *record) image(node cluster.Node) string {
	if own, ok := r.NodeImages[node.Name]; ok {
		return own
	}
	return r.Images[node.Role]
}

// setImage gives a node another image. What every node of a role has is the role's.
func (r *record) setImage(node cluster.Node, digest string) {
	if r.NodeImages == nil {
		r.NodeImages = map[string]string{}
	}
	r.NodeImages[node.Name] = digest
	var peers []cluster.Node
	for _, n := range r.nodes() {
		if n.Role != node.Role {
			continue
		}
		if r.image(n) != digest {
			peers = nil
			break
		}
		peers = append(peers, n)
	}
	if peers != nil {
		r.Images[node.Role] = digest
	}
	for _, n := range r.nodes() {
		if r.NodeImages[n.Name] == r.Images[n.Role] {
			delete(r.NodeImages, n.Name)
		}
	}
}

// boots tells whether any node of a role boots that image.
func (r *record) boots(role cluster.Role, digest string) bool {
	return slices.ContainsFunc(r.nodes(), func(n cluster.Node) bool { return n.Role == role && r.image(n) == digest })
}

// text returns the record as it is written. Records that say the same have the same text.
func (r record) text() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}

func (l *Lab) load() (record, error) {
	text, err := os.ReadFile(l.recordFile())
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, l.notUp()
	}
	if err != nil {
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, fmt.Errorf("%s: %w: cincbake lab down takes the lab away", l.recordFile(), err)
	}
	if r.Format != recordFormat {
		return record{}, fmt.Errorf("%s has format %d, this release knows %d: take the lab away with the release that made it",
			l.recordFile(), r.Format, recordFormat)
	}
	return r, nil
}

func (l *Lab) save(r record) error {
	// Who is not root may read the CA's certificate, by its name, and look into nothing else: what machines hold is secret.
	if err := errors.Join(os.MkdirAll(l.dir(), 0o711), os.MkdirAll(l.machinesDir(), 0o700)); err != nil {
		return err
	}
	text, err := r.text()
	if err != nil {
		return err
	}
	partial := l.recordFile() + ".partial"
	if err := os.WriteFile(partial, text, 0o600); err != nil {
		return err
	}
	return os.Rename(partial, l.recordFile())
}

// machine returns the machine of a node; slot numbers it among all.
func (l *Lab) machine(r record, slot int) machine.Machine {
	node := r.nodes()[slot]
	m := l.machineCalled(node.Name)
	m.Tree = l.treeDir(r.image(node))
	m.Disk, m.DiskBytes = node.Disk, r.DiskBytes
	m.Share = l.share(&r.Cluster, node)
	m.Weight = weights[node.Role]
	m.Interface = r.Cluster.Network.Interface
	m.Port = fmt.Sprintf("node%d", slot+1)
	m.Network = machine.Network{Path: l.networkFile(), Gateway: bridgeAddress(&r.Cluster)}
	return m
}

// weights are of roles whose machines give way when the host's processors do not suffice. Real machines have processors of
// their own: three of Java that start at once take nothing from a database that does so, too.
var weights = map[cluster.Role]int{cluster.RoleOpenSearch: 25}

// share is the backup's, on machines that have a database.
func (l *Lab) share(c *cluster.Resolved, node cluster.Node) machine.Share {
	if c.Backup == nil || c.Backup.Path == "" || node.Role != cluster.RolePostgres || l.folders.Backups == "" {
		return machine.Share{}
	}
	return machine.Share{From: filepath.Join(l.folders.Backups, l.name), At: c.Backup.Path, UID: role.UIDPostgres}
}

// machineCalled returns as much of a machine as its name says: enough to stop and to remove it.
func (l *Lab) machineCalled(node string) machine.Machine {
	return machine.Machine{Unit: "cincbake-lab-" + l.name + "." + node, Dir: filepath.Join(l.machinesDir(), node)}
}

// machineOf returns the machine of the node with that name.
func (l *Lab) machineOf(node string) (machine.Machine, error) {
	r, err := l.load()
	if err != nil {
		return machine.Machine{}, err
	}
	slot, err := l.slotOf(r, node)
	if err != nil {
		return machine.Machine{}, err
	}
	return l.machine(r, slot), nil
}

// slotOf returns the number of a node among all of the lab's.
func (l *Lab) slotOf(r record, node string) (int, error) {
	slot := slices.IndexFunc(r.nodes(), func(n cluster.Node) bool { return n.Name == node })
	if slot < 0 {
		return 0, exit.Errorf(exit.Invalid, "lab %s has no node %q: cincbake lab status lists them", l.name, node)
	}
	return slot, nil
}

// exclusively runs f while no other command changes a lab on this host.
func (l *Lab) exclusively(ctx context.Context, f func(machine.Host) error) (err error) {
	host, err := machine.ThisHost()
	if err != nil {
		return exit.As(exit.Missing, err)
	}
	if err := os.MkdirAll(l.folders.State, 0o711); err != nil {
		return err
	}
	lock, err := flock.Exclusive(ctx, filepath.Join(l.folders.State, ".lock"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	return f(host)
}
