package rootfs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cincbake/cincbake/plugin/nspawn"
)

// archives is where apt keeps the packages that it has fetched.
const archives = "var/cache/apt/archives"

// start makes the tree a machine that provisioners can talk to. Packages that earlier bakes fetched lie where apt looks for
// them: it checks each against its signed index, and fetches the others.
func (b *build) start(context.Context) error {
	pool := filepath.Join(b.config.CacheDir, "apt", b.config.job.Recipe.OS+"-"+b.config.job.Recipe.Arch)
	if err := os.MkdirAll(pool, 0o700); err != nil {
		return err
	}
	if err := copyPackages(b.work.root(), archives, pool, "."); err != nil {
		return fmt.Errorf("packages of earlier bakes: %w", err)
	}
	b.machine = &nspawn.Machine{
		Root: b.work.root(),
		Name: "cincbake-" + b.config.Role + "-" + strings.ToLower(rand.Text()[:8]),
		Env:  []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(epoch.Unix(), 10)},
		// After each command, because sealing empties the folder. That a package cannot be kept is no reason to stop.
		After: func() {
			if err := copyPackages(pool, ".", b.work.root(), archives); err != nil {
				b.say("packages are not kept for the next bake: %v", err)
			}
		},
	}
	return nil
}

// stop ends what a cancelled provisioner left running.
func (b *build) stop() error {
	if b.machine != nil {
		b.machine.Stop()
	}
	return nil
}

// copyPackages copies the packages in a folder of one tree that a folder of another lacks. One of the two trees is the
// machine's, and no link in it may lead out of it. A missing source is nothing to copy; the target is made.
func copyPackages(toTree, to, fromTree, from string) error {
	source, err := openDir(fromTree, from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer source.Close()
	packages, err := fs.Glob(source.FS(), "*.deb")
	if err != nil || len(packages) == 0 {
		return err
	}
	if err := makeDir(toTree, to); err != nil {
		return err
	}
	target, err := openDir(toTree, to)
	if err != nil {
		return err
	}
	defer target.Close()
	for _, name := range packages {
		if err := copyPackage(target, source, name); err != nil {
			return err
		}
	}
	return nil
}

func openDir(tree, dir string) (*os.Root, error) {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenRoot(dir)
}

func makeDir(tree, dir string) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.MkdirAll(dir, 0o755)
}

// copyPackage copies a package unless the target has one of that name and size.
func copyPackage(target, source *os.Root, name string) error {
	info, err := source.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if there, err := target.Lstat(name); err == nil && there.Size() == info.Size() {
		return nil
	}
	in, err := source.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	// Two bakes may keep the same package at once.
	beside := "." + name + "-" + rand.Text()[:8]
	out, err := target.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	err = errors.Join(err, out.Close())
	if err == nil {
		err = target.Rename(beside, name)
	}
	if err != nil {
		return errors.Join(err, target.Remove(beside))
	}
	return nil
}
