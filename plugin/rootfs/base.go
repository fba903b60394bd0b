package rootfs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/images/flock"
)

// base is a base system in the cache: a minimal Debian that can boot, the same for every role.
//
//	CACHE/base/<os>-<arch>-<key>/lock             held while one is made
//	CACHE/base/<os>-<arch>-<key>/<time>/tree      the system itself
//	CACHE/base/<os>-<arch>-<key>/<time>/lock      held, shared, by each bake that uses it
type base struct{ dir string }

// String says what it is, for an image's record.
func (b base) String() string { return "base system made " + filepath.Base(b.dir) }

func (b base) tree() string { return filepath.Join(b.dir, "tree") }
func (b base) lock() string { return filepath.Join(b.dir, "lock") }

// timeForm is how a base system's folder is named: when it was made.
const timeForm = "20060102T150405Z"

// makeWithin is how long a bake waits for another one's base system.
const makeWithin = 30 * time.Minute

// recipe is everything that a base system is made from: another recipe is another key.
type recipe struct {
	Format   int      `json:"format"` // raised when what is done to the tree afterwards changes
	Suite    string   `json:"suite"`
	Arch     string   `json:"arch"`
	Sources  []string `json:"sources"`
	Packages []string `json:"packages"`
	Apt      []string `json:"apt"`
	Dpkg     []string `json:"dpkg"`
}

// recipeOf returns what the base system of a configuration is made from.
func recipeOf(c *Config) recipe {
	r := recipe{
		Format: 1,
		Suite:  c.system.Codename,
		Arch:   c.job.Recipe.Arch,
		// It boots, gets its wiring from cloud-init, has a network and can be reached in an emergency. The rest is a role's.
		Packages: []string{"ca-certificates", "cloud-init", "dbus", "iproute2", "openssh-server", "systemd", "systemd-sysv"},
		Apt:      []string{`Acquire::Retries "5"`, `APT::Install-Recommends "false"`},
		// A server's image is read by nobody; licences stay.
		Dpkg: []string{
			"path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright",
			"path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*",
		},
	}
	for _, suite := range c.system.Suites {
		r.Sources = append(r.Sources, strings.Join(append([]string{"deb", c.job.Site.URI(suite.Archive), suite.Name}, suite.Components...), " "))
	}
	return r
}

// key names the recipe.
func (r recipe) key() string {
	text, err := json.Marshal(r)
	if err != nil { // strings and numbers only
		panic(fmt.Sprintf("recipe does not marshal: %v", err))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:12]
}

// command is the mmdebstrap that makes the recipe's tree.
func (r recipe) command(tree string) []string {
	argv := []string{
		"mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--architectures=" + r.Arch,
		"--include=" + strings.Join(r.Packages, ","),
	}
	for _, option := range r.Apt {
		argv = append(argv, "--aptopt="+option)
	}
	for _, option := range r.Dpkg {
		argv = append(argv, "--dpkgopt="+option)
	}
	return append(append(argv, r.Suite, tree), r.Sources...)
}

// takeBase finds the base system or makes it, and keeps others from removing it.
func (b *build) takeBase(ctx context.Context) (err error) {
	r := recipeOf(b.config)
	home := filepath.Join(b.config.CacheDir, "base", fmt.Sprintf("%s-%s-%s", b.config.job.Recipe.OS, b.config.job.Recipe.Arch, r.key()))
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	// Two bakes that start at once need one base system: the second waits for the first one's.
	waiting, stop := context.WithTimeoutCause(ctx, makeWithin, fmt.Errorf("another bake has been making it for %s", makeWithin))
	defer stop()
	making, err := flock.Exclusive(waiting, filepath.Join(home, "lock"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, making.Release()) }()

	found, old, err := basesIn(home)
	if err != nil {
		return err
	}
	if newest, ok := found.newest(); ok && b.began.Sub(newest.made) < b.config.maxAge {
		b.base = newest.base
		b.say("from %s, made %s", b.base.tree(), newest.made.Format(time.DateTime))
	} else {
		if b.base, err = r.make(ctx, home, b.say); err != nil {
			return err
		}
		old = append(old, found.folders()...)
	}
	if b.baseLock, err = flock.Shared(ctx, b.base.lock()); err != nil {
		return err
	}
	return removeUnused(old)
}

// leaveBase lets others remove the base system.
func (b *build) leaveBase() error {
	if b.baseLock == nil {
		return nil
	}
	return b.baseLock.Release()
}

// dated is a base system and when it was made.
type dated struct {
	base
	made time.Time
}

type bases []dated

func (all bases) newest() (dated, bool) {
	if len(all) == 0 {
		return dated{}, false
	}
	return slices.MaxFunc(all, func(x, y dated) int { return x.made.Compare(y.made) }), true
}

func (all bases) folders() []string {
	var out []string
	for _, one := range all {
		out = append(out, one.dir)
	}
	return out
}

// basesIn returns the base systems of a recipe, and the folders of those that were never finished.
func basesIn(home string) (found bases, unfinished []string, err error) {
	entries, err := os.ReadDir(home)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		made, err := time.Parse(timeForm, e.Name())
		switch full := filepath.Join(home, e.Name()); {
		case err == nil:
			found = append(found, dated{base{full}, made})
		case e.IsDir():
			unfinished = append(unfinished, full)
		}
	}
	return found, unfinished, nil
}

// removeUnused takes away folders that nobody works with.
func removeUnused(folders []string) error {
	for _, dir := range folders {
		lock, err := flock.Try(filepath.Join(dir, "lock"))
		if errors.Is(err, flock.ErrHeld) {
			continue // a bake that started earlier still uses it; a later one removes it
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err = removeTree(dir)
		if lock != nil {
			err = errors.Join(err, lock.Release())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// make makes a base system beside the others and gives it its name when it is whole.
func (r recipe) make(ctx context.Context, home string, say func(string, ...any)) (made base, err error) {
	began := time.Now()
	beside, err := os.MkdirTemp(home, ".new-")
	if err != nil {
		return base{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeTree(beside))
		}
	}()
	unfinished := base{beside}
	if err := os.Mkdir(unfinished.tree(), 0o755); err != nil {
		return base{}, err
	}
	env := []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(epoch.Unix(), 10)}
	tell := func(line string) {
		if said, ok := strings.CutPrefix(line, "I: "); ok { // the rest is apt's and dpkg's
			say("mmdebstrap: %s", said)
		}
	}
	if err := run(ctx, tell, env, r.command(unfinished.tree())...); err != nil {
		return base{}, err
	}
	if err := forget(unfinished.tree()); err != nil {
		return base{}, err
	}
	if err := settleTimes(unfinished.tree(), began); err != nil {
		return base{}, err
	}
	if err := os.WriteFile(unfinished.lock(), nil, 0o600); err != nil {
		return base{}, err
	}
	place := base{filepath.Join(home, time.Now().UTC().Format(timeForm))}
	return place, os.Rename(beside, place.dir)
}

// forget removes what is this host's or one machine's alone, so that it is not even in the cache.
func forget(tree string) error {
	var errs []error
	for _, pattern := range []string{"etc/resolv.conf", "etc/hostname", "etc/ssh/ssh_host_*"} {
		found, err := filepath.Glob(filepath.Join(tree, pattern))
		errs = append(errs, err)
		for _, name := range found {
			errs = append(errs, os.Remove(name))
		}
	}
	return errors.Join(errs...)
}

// settleTimes gives everything that was changed since began the epoch as its time. The export does the same with what the
// bake changed, so that only files from packages keep times, and those are the same every time.
func settleTimes(tree string, began time.Time) error {
	began = coarse(began)
	settled := []unix.Timespec{unix.NsecToTimespec(epoch.UnixNano()), unix.NsecToTimespec(epoch.UnixNano())}
	return filepath.WalkDir(tree, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.ModTime().Before(began) {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, name, settled, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// coarse is a moment that no file made since is older than: file systems take their times from a clock that lags by some
// milliseconds.
func coarse(moment time.Time) time.Time { return moment.Add(-time.Second) }
