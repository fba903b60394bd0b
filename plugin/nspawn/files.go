package nspawn

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// inside returns the tree, out of which no path and no link leads, and a path of the machine as one within it.
func (m *Machine) inside(name string) (*os.Root, string, error) {
	clean := path.Clean("/" + filepath.ToSlash(name))
	for _, mounted := range []string{"/dev", "/proc", "/run", "/sys"} {
		if clean == mounted || strings.HasPrefix(clean, mounted+"/") {
			return nil, "", fmt.Errorf("%s: each command has its own %s, so a file there is gone with it: use /tmp", name, mounted)
		}
	}
	root, err := os.OpenRoot(m.Root)
	if err != nil {
		return nil, "", err
	}
	return root, cmp.Or(strings.TrimPrefix(clean, "/"), "."), nil
}

// Upload writes a file of the machine: beside, then renamed. It gets the mode of info, 0644 without one, and belongs to
// root.
func (m *Machine) Upload(name string, content io.Reader, info *os.FileInfo) error {
	root, inner, err := m.inside(name)
	if err != nil {
		return err
	}
	defer root.Close()
	mode := fs.FileMode(0o644)
	if info != nil && *info != nil {
		mode = (*info).Mode().Perm()
	}
	if err := put(root, inner, content, mode); err != nil {
		return fmt.Errorf("upload %s: %w", name, err)
	}
	return nil
}

// Download reads a file of the machine.
func (m *Machine) Download(name string, to io.Writer) error {
	root, inner, err := m.inside(name)
	if err != nil {
		return err
	}
	defer root.Close()
	file, err := root.Open(inner)
	if err != nil {
		return fmt.Errorf("download %s: %w", name, err)
	}
	defer file.Close()
	_, err = io.Copy(to, file)
	return err
}

// UploadDir copies a folder of the host into the machine's folder dst: under its own name, or only what is in it when src
// ends with a slash. exclude lists paths below it that stay.
func (m *Machine) UploadDir(dst, src string, exclude []string) error {
	to, inner, err := m.inside(dst)
	if err != nil {
		return err
	}
	defer to.Close()
	from, err := os.OpenRoot(src)
	if err != nil {
		return err
	}
	defer from.Close()
	return copyDir(to, path.Join(inner, ownName(src)), from, ".", exclude)
}

// DownloadDir copies a folder of the machine into the host's folder dst, by the same rules.
func (m *Machine) DownloadDir(src, dst string, exclude []string) error {
	from, inner, err := m.inside(src)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	to, err := os.OpenRoot(dst)
	if err != nil {
		return err
	}
	defer to.Close()
	return copyDir(to, cmp.Or(ownName(src), "."), from, inner, exclude)
}

// ownName is the name that a folder keeps when it is copied: none when only its content is meant.
func ownName(src string) string {
	if strings.HasSuffix(src, "/") {
		return ""
	}
	return filepath.Base(src)
}

// copyDir copies the folder fromDir to toDir, which it makes: files, folders and links with their modes.
func copyDir(to *os.Root, toDir string, from *os.Root, fromDir string, exclude []string) error {
	tree := from.FS()
	return fs.WalkDir(tree, fromDir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below := strings.TrimPrefix(strings.TrimPrefix(name, fromDir), "/")
		if name == fromDir {
			below = "."
		}
		if slices.Contains(exclude, below) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		target := path.Join(toDir, below)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			if err := to.MkdirAll(target, 0o755); err != nil || target == "." {
				return err
			}
			return to.Chmod(target, info.Mode().Perm())
		case entry.Type()&fs.ModeSymlink != 0:
			link, err := fs.ReadLink(tree, name)
			if err != nil {
				return err
			}
			return to.Symlink(link, target)
		case entry.Type().IsRegular():
			file, err := from.Open(name)
			if err != nil {
				return err
			}
			defer file.Close()
			return put(to, target, file, info.Mode().Perm())
		}
		return fmt.Errorf("%s is a %s: only files, folders and links can be copied", name, entry.Type())
	})
}

// put writes a file whole or not at all.
func put(root *os.Root, name string, content io.Reader, mode fs.FileMode) error {
	beside := name + ".cincbake-new"
	file, err := root.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err == nil {
		err = root.Rename(beside, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(beside))
	}
	return nil
}
