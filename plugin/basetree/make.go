package basetree

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/disk"
	"github.com/cincbake/cincbake/plugin/mount"
	"github.com/cincbake/cincbake/plugin/program"
)

// Epoch is the time that everything gets that a bake makes, and the time that programs are told it is where they ask
// SOURCE_DATE_EPOCH. It is a constant, so that two bakes do not differ in it.
var Epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// siteFile is where apt in the tree reads of the site, as long as the tree is made. The order matters: behind mmdebstrap's own.
const siteFile = "etc/apt/apt.conf.d/99zz-cincbake-site"

// make makes a base system beside the others and gives it its name when it is whole.
func (s Store) make(ctx context.Context, home string, w Wanted) (made *Base, err error) {
	if w.Site.Offline && w.Recipe.Tarball == "" {
		return nil, fmt.Errorf("offline: there is no base system of %s %s in %s%s: bake once with a mirror, and with the same formats",
			w.Recipe.OS, w.Recipe.Arch, home, asOf(w.Site.Snapshot))
	}
	began := time.Now()
	beside, err := os.MkdirTemp(home, ".new-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, mount.RemoveTree(beside))
		}
	}()
	unfinished := &Base{dir: beside, os: w.Recipe.OS, from: origin{Mirror: w.Site.Mirror, Snapshot: w.Site.Snapshot}}
	if err := os.Mkdir(unfinished.Tree(), 0o755); err != nil {
		return nil, err
	}
	if w.Recipe.Tarball != "" {
		unfinished.from = origin{Tarball: filepath.Base(w.Tarball)}
		err = s.unpack(ctx, unfinished.Tree(), w)
	} else {
		err = s.debootstrap(ctx, unfinished, w)
	}
	if err != nil {
		return nil, err
	}
	if err := forget(unfinished.Tree()); err != nil {
		return nil, err
	}
	if err := settleTimes(unfinished.Tree(), began); err != nil {
		return nil, err
	}
	if w.Recipe.boots() {
		if err := disk.Check(unfinished.Tree()); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(unfinished.from)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(unfinished.lock(), nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(beside, originName), text, 0o600); err != nil {
		return nil, err
	}
	whole := *unfinished
	whole.made = time.Now().UTC().Truncate(time.Second)
	whole.dir = filepath.Join(home, whole.made.Format(timeForm))
	return &whole, os.Rename(beside, whole.dir)
}

func asOf(snapshot string) string {
	if snapshot == "" {
		return ""
	}
	return " as of " + snapshot
}

// debootstrap makes the tree from packages.
func (s Store) debootstrap(ctx context.Context, b *Base, w Wanted) error {
	site, files := filepath.Join(b.dir, "site"), filepath.Join(b.dir, "files")
	if err := errors.Join(writeSite(site, w.Site), writeFiles(files, w.Recipe)); err != nil {
		return err
	}
	env := []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(Epoch.Unix(), 10)}
	tell := func(line string) {
		if said, ok := strings.CutPrefix(line, "I: "); ok { // the rest is apt's and dpkg's
			s.Say("mmdebstrap: %s", said)
		}
	}
	if err := program.Run(ctx, tell, env, w.Recipe.command(b.Tree(), site, files, w.Recipe.sources(w.Site))...); err != nil {
		return fmt.Errorf("%w\nmake the base system from %s: if that is not reachable, name a mirror (image.mirror in the cluster's file), a proxy (image.proxy), "+
			"or bake with offline = true from what is in the cache", err, w.Site.URI(cluster.ArchiveDebian))
	}
	// What the image says of its sources is the same wherever it was baked.
	return errors.Join(
		os.RemoveAll(site), os.RemoveAll(files), os.Remove(filepath.Join(b.Tree(), siteFile)),
		os.WriteFile(filepath.Join(b.Tree(), "etc/apt/sources.list"), []byte(strings.Join(w.Recipe.sources(cluster.Site{}), "\n")+"\n"), 0o644),
	)
}

// hostBundle holds the certificate authorities that the host trusts.
const hostBundle = "/etc/ssl/certs/ca-certificates.crt"

// writeSite writes what apt must know of the site. A proxy's address may hold a password.
func writeSite(dir string, site cluster.Site) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var conf bytes.Buffer
	if site.Proxy != "" {
		fmt.Fprintf(&conf, "Acquire::http::Proxy %q;\nAcquire::https::Proxy %q;\n", site.Proxy, site.Proxy)
	}
	if site.Snapshot != "" {
		conf.WriteString("Acquire::Check-Valid-Until \"false\";\n") // what was valid then
	}
	if site.CACertificates != "" {
		bundle := filepath.Join(dir, "ca.pem")
		known, err := os.ReadFile(hostBundle)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(bundle, append(append(known, '\n'), site.CACertificates...), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&conf, "Acquire::https::CAInfo %q;\n", bundle)
	}
	return os.WriteFile(filepath.Join(dir, "apt.conf"), conf.Bytes(), 0o600)
}

// writeFiles writes the recipe's files as a tree.
func writeFiles(dir string, r Recipe) error {
	for _, name := range r.fileNames() {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(r.Files[name]), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// unpackers are the options that tar reads a compressed archive with, by the end of its name.
var unpackers = []struct{ suffix, option string }{
	{".tar", ""}, {".tar.gz", "--gzip"}, {".tgz", "--gzip"}, {".tar.xz", "--xz"}, {".tar.zst", "--zstd"},
}

// unpack makes the tree from an archive, which must have the digest that the recipe says.
func (s Store) unpack(ctx context.Context, tree string, w Wanted) error {
	argv := []string{"tar", "--extract", "--directory=" + tree, "--numeric-owner", "--same-permissions", "--same-owner", "--xattrs", "--xattrs-include=*"}
	known := false
	for _, u := range unpackers {
		if strings.HasSuffix(w.Tarball, u.suffix) {
			if known = true; u.option != "" {
				argv = append(argv, u.option)
			}
			break
		}
	}
	if !known {
		return fmt.Errorf("base_tarball: %s is none of .tar, .tar.gz, .tar.xz, .tar.zst", w.Tarball)
	}
	file, err := os.Open(w.Tarball)
	if err != nil {
		return fmt.Errorf("base_tarball: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return fmt.Errorf("base_tarball: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != w.Recipe.Tarball {
		return fmt.Errorf("base_tarball: %s has sha256 %s, and base_tarball_sha256 says %s: fetch the file again, or correct the option",
			w.Tarball, got, w.Recipe.Tarball)
	}
	// The file that was read, whatever its name leads to by now.
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := program.RunFrom(ctx, func(string) {}, file, nil, argv...); err != nil {
		return fmt.Errorf("base_tarball: %w", err)
	}
	if err := isSystem(tree, w.Recipe); err != nil {
		return fmt.Errorf("base_tarball: %s %w", w.Tarball, err)
	}
	return nil
}

// isSystem checks that a tree is a system of the recipe's OS and processor.
func isSystem(tree string, r Recipe) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	release, err := root.ReadFile("usr/lib/os-release")
	if err != nil {
		return fmt.Errorf("holds no Debian system at its top: %w", err)
	}
	if got := row(release, "VERSION_CODENAME="); got != r.Suite {
		return fmt.Errorf("holds a system of %q, and the cluster's is %s (%s)", cmp.Or(got, "an unknown suite"), r.Suite, r.OS)
	}
	status, err := root.ReadFile("var/lib/dpkg/status")
	if err != nil {
		return fmt.Errorf("has no list of its packages: %w", err)
	}
	if !bytes.Contains(status, []byte("\nArchitecture: "+r.Arch+"\n")) {
		return fmt.Errorf("holds no packages for %s", r.Arch)
	}
	return nil
}

// row returns the rest of the first row that begins so.
func row(text []byte, begins string) string {
	rows := bufio.NewScanner(bytes.NewReader(text))
	for rows.Scan() {
		if rest, ok := strings.CutPrefix(rows.Text(), begins); ok {
			return strings.Trim(rest, `"`)
		}
	}
	return ""
}

// forget removes what is this host's or one machine's alone, so that it is not even in the cache.
func forget(tree string) error {
	root, err := os.OpenRoot(tree) // no link in it leads out of it
	if err != nil {
		return err
	}
	defer root.Close()
	var errs []error
	for _, pattern := range []string{"etc/resolv.conf", "etc/hostname", "etc/ssh/ssh_host_*"} {
		found, err := fs.Glob(root.FS(), pattern)
		errs = append(errs, err)
		for _, name := range found {
			errs = append(errs, root.Remove(name))
		}
	}
	return errors.Join(errs...)
}

// settleTimes gives everything that was changed since began the epoch as its time. The export does the same with what the
// bake changed, so that only files from packages keep times, and those are the same every time.
func settleTimes(tree string, began time.Time) error {
	began = Coarse(began)
	settled := []unix.Timespec{unix.NsecToTimespec(Epoch.UnixNano()), unix.NsecToTimespec(Epoch.UnixNano())}
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

// Coarse is a moment that no file made since is older than: file systems take their times from a clock that lags by some
// milliseconds.
func Coarse(moment time.Time) time.Time { return moment.Add(-time.Second) }
