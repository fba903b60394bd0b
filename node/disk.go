package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// diskLabel marks a file system that cincbake made. ext4 allows 16 bytes.
const diskLabel = "cincbake-data"

// ownerFile says whose a data disk is.
const ownerFile = role.DataDir + "/cincbake.json"

// placedFile says that the data disk is in its place, and this machine's. It is gone with the boot, as the mount is.
const placedFile = "/run/cincbake/disk"

func placeDisk(files step.Files) error {
	return files.Put(placedFile, step.Entry{Kind: step.KindFile, Mode: 0o644, Owner: "root", Group: "root"})
}

// diskPlaced tells whether the data directory holds what this machine holds.
func diskPlaced(files step.Files) (bool, error) {
	_, err := files.Read(placedFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

type diskOwner struct {
	Cluster string `json:"cluster"`
	ID      string `json:"id,omitempty"` // see secrets.Scoped.ClusterID; empty: the cluster has none, or had none then
	Node    string `json:"node"`
}

// prepareDisk brings the data disk to its place. A blank disk is formatted; a disk that holds anything else than this
// machine's own data is refused.
func prepareDisk(ctx context.Context, host step.Host, m Machine) error {
	if m.Self.Disk != "" {
		if err := mountDisk(ctx, host, m.Self.Disk); err != nil {
			return err
		}
	}
	if err := claim(host, m); err != nil {
		return err
	}
	_, err := m.Observe(host) // begins the record, before any peer asks for it
	return err
}

func mountDisk(ctx context.Context, host step.Host, device string) error {
	if _, err := host.Run(ctx, step.Command{Argv: []string{"mountpoint", "--quiet", role.DataDir}}); err == nil {
		return nil
	}
	content, err := probe(ctx, host, device)
	if err != nil {
		return err
	}
	if content.blank() {
		// lazy initialisation would write in the background for minutes, at the database's cost
		format := []string{"mkfs.ext4", "-q", "-L", diskLabel, "-E", "lazy_itable_init=0,lazy_journal_init=0", device}
		if _, err := host.Run(ctx, step.Command{Argv: format}); err != nil {
			return err
		}
	} else if content.label != diskLabel || content.kind != "ext4" {
		return &role.Refusal{
			Reason: fmt.Sprintf("data disk %s is not blank and not cincbake's: it holds %s", device, content),
			Hint:   "attach the right disk, or wipe this one yourself if nothing on it is needed: wipefs --all " + device,
		}
	}
	if err := host.Put(role.DataDir, step.Entry{Kind: step.KindDir, Mode: 0o755, Owner: "root", Group: "root"}); err != nil {
		return err
	}
	_, err = host.Run(ctx, step.Command{Argv: []string{"mount", "-o", "noatime", device, role.DataDir}})
	return err
}

// growDisk lets the data disk's file system have all of its device, which may be larger than it was. ext4 takes it while it is
// in use; where there is nothing to take, that is a look at one block.
func growDisk(ctx context.Context, host step.Runner) error {
	mounted := []string{"findmnt", "--noheadings", "--nofsroot", "--output", "SOURCE", "--types", "ext4", "--mountpoint", role.DataDir}
	out, err := host.Run(ctx, step.Command{Argv: mounted})
	if step.ExitStatus(err) == 1 {
		return nil // the data lies on the root disk
	}
	if err == nil {
		_, err = host.Run(ctx, step.Command{Argv: []string{"resize2fs", strings.TrimSpace(string(out.Stdout))}})
	}
	if err != nil {
		return fmt.Errorf("let the data disk's file system have all of the disk: %w", err)
	}
	return nil
}

// content is what a block device holds, by its signatures.
type content struct {
	kind  string // of file system, or what else
	label string
	table string // of partitions
}

func (c content) blank() bool { return c == content{} }

func (c content) String() string {
	switch {
	case c.table != "":
		return "a " + c.table + " partition table"
	case c.label != "":
		return fmt.Sprintf("%s %q", c.kind, c.label)
	}
	return c.kind
}

// probe asks blkid for signatures. Its status 2 means that it found none; an ambivalent result, 8, is anything but blank.
func probe(ctx context.Context, host step.Host, device string) (content, error) {
	out, err := host.Run(ctx, step.Command{Argv: []string{"blkid", "--probe", "--output", "export", device}})
	switch step.ExitStatus(err) {
	case 2:
		return blankOrMissing(ctx, host, device)
	case 8:
		return content{kind: "signatures of several file systems"}, nil
	}
	if err != nil {
		return content{}, err
	}
	var c content
	for row := range strings.Lines(string(out.Stdout)) {
		name, value, _ := strings.Cut(strings.TrimSpace(row), "=")
		switch name {
		case "TYPE":
			c.kind = value
		case "LABEL":
			c.label = value
		case "PTTYPE":
			c.table = value
		}
	}
	if c.blank() {
		c.kind = "something that blkid can't name"
	}
	return c, nil
}

// blankOrMissing tells a disk without signatures from one that is not there: blkid answers both alike. A disk without
// signatures counts as blank only when its first mebibyte is all zero: raw data has no signature either.
func blankOrMissing(ctx context.Context, host step.Host, device string) (content, error) {
	if _, err := host.Run(ctx, step.Command{Argv: []string{"test", "-b", device}}); err != nil {
		return content{}, &role.Refusal{
			Reason: "there is no data disk " + device,
			Hint:   "attach it, or name the right device in the spec",
		}
	}
	_, err := host.Run(ctx, step.Command{Argv: []string{"cmp", "--quiet", "--bytes=1048576", device, "/dev/zero"}})
	if step.ExitStatus(err) == 1 {
		return content{kind: "data without a file system"}, nil
	}
	return content{}, err
}

// claim writes down whose the data directory is, or refuses somebody else's.
func claim(host step.Host, m Machine) error {
	want := diskOwner{Cluster: m.Document.Cluster.Name, Node: m.Self.Name}
	var err error
	if want.ID, err = m.Secrets.ClusterID(); err != nil {
		return err
	}
	entry, err := host.Read(ownerFile)
	if errors.Is(err, fs.ErrNotExist) {
		if err := unclaimed(host); err != nil {
			return err
		}
		return want.write(host)
	}
	if err != nil {
		return err
	}
	var have diskOwner
	if err := json.Unmarshal(entry.Content, &have); err != nil {
		return &role.Refusal{
			Reason: fmt.Sprintf("whose the data disk is can't be read: %s: %v", ownerFile, err),
			Hint:   "attach " + want.Node + "'s own disk, or an empty one",
		}
	}
	switch {
	case have.Cluster != want.Cluster || have.Node != want.Node:
		return &role.Refusal{
			Reason: fmt.Sprintf("the data disk is %s's of cluster %s", have.Node, have.Cluster),
			Hint:   "attach " + want.Node + "'s own disk, or an empty one",
		}
	case want.ID == "" || have.ID == want.ID:
		return nil
	case have.ID == "": // claimed before there were ids
		return want.write(host)
	}
	return &role.Refusal{
		Reason: fmt.Sprintf("the data disk is %s's of another cluster called %s, which had other secrets (%s, this one is %s)", have.Node, have.Cluster, have.ID, want.ID),
		Hint:   "attach an empty disk, or launch the machine with the secrets that the disk's cluster was made with",
	}
}

func (o diskOwner) write(files step.Files) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := files.Put(role.DataDir, step.Entry{Kind: step.KindDir, Mode: 0o755, Owner: "root", Group: "root"}); err != nil {
		return err
	}
	return files.Put(ownerFile, step.Entry{Kind: step.KindFile, Mode: 0o644, Owner: "root", Group: "root", Content: append(text, '\n')})
}

// unclaimed refuses a data directory that holds something and does not say whose it is: the file that says so is the first
// thing that this agent writes there.
func unclaimed(files step.Files) error {
	names, err := files.List(role.DataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		// ext4's own, and what is left of the file itself when the power failed
		return name == "lost+found" || strings.HasPrefix(name, path.Base(ownerFile)+".")
	})
	if len(names) == 0 {
		return nil
	}
	return &role.Refusal{
		Reason: fmt.Sprintf("the data disk holds %s, and nothing says whose it is", strings.Join(names, ", ")),
		Hint:   "attach this machine's own disk, or an empty one; wipe this one yourself if nothing on it is needed",
	}
}
