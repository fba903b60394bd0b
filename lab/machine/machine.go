// Package machine runs one Linux machine on this host: an unpacked image under a writable layer of its own, booted by
// systemd-nspawn in a cgroup, a mount namespace and a network namespace that are its own too.
//
// Nothing about a running machine is kept in files. Its processes are found by its cgroup, its data disk by the file
// behind the loop device, and its mounts and its network link live in namespaces that end with its last process. So
// whatever started a machine may die at any point, and what comes next still finds, and can take away, all there is.
package machine

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
)

// Machine is one machine: what it is made of, and where it keeps what it writes.
type Machine struct {
	Unit string // its name on this host, unique there, like cincbake-lab-demo.postgres-1
	Dir  string // its folder: the writable layer, the data disk, a copy of its seed, its console's output
	Tree string // the unpacked image, shared with others and never written to

	// Weight is its share when the host's processors do not suffice, beside 100 of an ordinary machine; 0: that is what it is.
	Weight int

	Disk      string // where it sees its data disk, like /dev/vdb; empty: it has none
	DiskBytes int64
	Share     Share // a folder of this host that outlives the machine; zero: none

	Interface string  // its name for its network interface, like eth0
	Port      string  // the same link's other end, on the bridge: at most 15 characters
	Network   Network // whose bridge that is
}

// ordinary is the weight of a machine that has none of its own.
const ordinary = 100

func (m Machine) weight() int { return cmp.Or(m.Weight, ordinary) }

// Share is what a machine sees as a mounted share, like NFS.
type Share struct {
	From string // the folder on this host, made when it is missing
	At   string // where the machine sees it
	UID  int    // of the user that it belongs to
}

func (s Share) prepare() error {
	if s.From == "" {
		return nil
	}
	return errors.Join(os.MkdirAll(s.From, 0o700), os.Chown(s.From, s.UID, s.UID))
}

// seedDir is where cloud-init's NoCloud source looks for a seed on the root file system.
const seedDir = "var/lib/cloud/seed/nocloud"

func (m Machine) layer() string   { return filepath.Join(m.Dir, "layer") }
func (m Machine) upper() string   { return filepath.Join(m.layer(), "upper") }
func (m Machine) work() string    { return filepath.Join(m.layer(), "work") }
func (m Machine) root() string    { return filepath.Join(m.layer(), "root") }
func (m Machine) seed() string    { return filepath.Join(m.Dir, "seed") }
func (m Machine) disk() string    { return filepath.Join(m.Dir, "disk.img") }
func (m Machine) console() string { return filepath.Join(m.Dir, "console.log") }

// Journal is the folder of the machine's own journal, as seen from this host.
func (m Machine) Journal() string { return filepath.Join(m.upper(), "var/log/journal") }

// Console is the file of what the machine, or the program that runs it, printed on its console.
func (m Machine) Console() string { return m.console() }

// MAC is the address of the machine's network interface: made of its name, so that a replaced machine keeps it.
func (m Machine) MAC() net.HardwareAddr {
	sum := sha256.Sum256([]byte(m.Unit))
	sum[0] = sum[0]&^1 | 2 // one machine's, and not from a manufacturer
	return sum[:6]
}

// ErrOtherSeed is a machine that was laid out with another seed than the one it is to have now.
var ErrOtherSeed = errors.New("it was made from another seed")

// Prepare lays out a machine that has never booted. WriteSeed writes the files of its seed, which hold secrets, to a new
// folder. A machine that is there already is left as it is; it must have that very seed.
func (m Machine) Prepare(writeSeed func(dir string) error) error {
	if err := os.MkdirAll(m.Dir, 0o700); err != nil {
		return err
	}
	if err := m.keepSeed(writeSeed); err != nil {
		return fmt.Errorf("the seed of %s: %w", m.Unit, err)
	}
	return m.prepareStorage()
}

func (m Machine) keepSeed(write func(dir string) error) error {
	fresh := m.seed() + ".partial"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := write(fresh); err != nil {
		return err
	}
	kept, err := readFiles(m.seed())
	if errors.Is(err, fs.ErrNotExist) {
		return os.Rename(fresh, m.seed())
	}
	if err != nil {
		return err
	}
	wanted, err := readFiles(fresh)
	if err == nil && !maps.EqualFunc(kept, wanted, bytes.Equal) {
		err = ErrOtherSeed
	}
	return errors.Join(err, os.RemoveAll(fresh))
}

// Put writes a file of root's on the root disk of a machine that is stopped; its folders are made as a system's own are.
func (m Machine) Put(path string, content []byte, mode fs.FileMode) error {
	at := filepath.Join(m.upper(), path)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(at, content, 0o600), os.Chmod(at, mode))
}

// Read returns what the machine wrote into a file of its root disk.
func (m Machine) Read(path string) ([]byte, error) {
	root, err := os.OpenRoot(m.upper()) // no link of the machine's leads out of it
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(path)
}

// Renew takes away everything that the machine ever wrote, its data disk too, and lays it out anew with the very seed
// that it first had. The machine must be stopped.
func (m Machine) Renew() error {
	if err := m.removeStorage(); err != nil {
		return err
	}
	return m.prepareStorage()
}

// DropSeed takes the seed off the root disk of a stopped machine, as when the medium that it came on is pulled out. The
// copy that Renew uses stays.
func (m Machine) DropSeed() error { return os.RemoveAll(filepath.Join(m.upper(), seedDir)) }

// Remove takes a stopped machine away altogether.
func (m Machine) Remove() error {
	if err := m.removeStorage(); err != nil {
		return err
	}
	return os.RemoveAll(m.Dir)
}

func (m Machine) prepareStorage() error {
	if _, err := os.Stat(m.layer()); errors.Is(err, fs.ErrNotExist) {
		if err := buildBeside(m.layer(), 0o700, m.buildLayer); err != nil {
			return fmt.Errorf("making the root disk of %s: %w", m.Unit, err)
		}
	}
	if m.Disk == "" {
		return nil
	}
	return makeDisk(m.disk(), m.DiskBytes)
}

func (m Machine) removeStorage() error {
	if err := detachDisk(m.disk()); err != nil {
		return err
	}
	if err := os.RemoveAll(m.disk()); err != nil {
		return err
	}
	return os.RemoveAll(m.layer())
}

// buildLayer makes the writable layer in dir, with the seed in it.
func (m Machine) buildLayer(dir string) error {
	for _, name := range []string{"work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	// A folder of the upper layer hides the mode of the one below it, and the top one is the machine's /.
	upper := filepath.Join(dir, "upper")
	for _, name := range []string{".", "var", "var/lib"} {
		info, err := os.Stat(filepath.Join(m.Tree, name))
		if err != nil {
			return fmt.Errorf("the image is no system tree: %w", err)
		}
		made := filepath.Join(upper, name)
		if err := errors.Join(os.Mkdir(made, 0o700), os.Chmod(made, info.Mode().Perm())); err != nil {
			return err
		}
	}
	seed, err := readFiles(m.seed())
	if err != nil {
		return err
	}
	at := filepath.Join(upper, seedDir)
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.Mkdir(at, 0o700)); err != nil {
		return err
	}
	for name, content := range seed {
		if err := os.WriteFile(filepath.Join(at, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// readFiles returns the content of every file in a folder, by name.
func readFiles(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		if files[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name())); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// buildBeside lets build fill a new folder and puts it at path only when it is whole.
func buildBeside(path string, mode fs.FileMode, build func(dir string) error) error {
	partial := path + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := os.Mkdir(partial, mode); err != nil {
		return err
	}
	if err := build(partial); err != nil {
		return errors.Join(err, os.RemoveAll(partial))
	}
	return os.Rename(partial, path)
}
