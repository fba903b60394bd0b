package images

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cincbake/cincbake/images/internal/xattr"
)

// digestHeader stands before the lines that Digest is over: another way of making lines gets another header.
const digestHeader = "cincbake content digest 1\n"

// Digest returns the content digest of the tree below root: "sha256:" and 64 hexadecimal digits over the lines of Manifest.
//
// It is the same for the folder outside a machine and for "/" inside it: it stays on root's mount, and the mount points that
// a machine always has do not count. Nothing may write to the tree meanwhile.
func Digest(root string) (string, error) {
	lines, err := Manifest(root)
	if err != nil {
		return "", err
	}
	return DigestOf(lines), nil
}

// DigestOf returns the content digest of a tree whose Manifest is known.
func DigestOf(lines []string) string {
	sum := sha256.New()
	_, _ = io.WriteString(sum, digestHeader) // a hash never fails
	for _, line := range lines {
		_, _ = io.WriteString(sum, line+"\n")
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// Manifest returns what the content digest of the tree below root is over: a line for each path that counts, sorted by path.
// A line holds the quoted path, type, mode, owner and group by number, then the SHA-256 of a file's content, the target of
// a link or the numbers of a device node, then the extended attributes: capabilities, access control lists and user ones.
//
// Times do not count, nor do hard links (each name counts as a file), sockets (their program makes them) and the paths on
// the exclusion list (exclude.go).
func Manifest(root string) ([]string, error) {
	found, err := walk(root)
	if err != nil {
		return nil, err
	}
	return describe(root, found)
}

// Diff explains two different digests: the paths that only one manifest has ("- path", "+ path") and those that both have
// with something else behind them ("~ path"), in path order.
func Diff(before, after []string) []string {
	a, b := byPath(before), byPath(after)
	paths := make([]string, 0, len(a))
	for p := range a {
		paths = append(paths, p)
	}
	for p := range b {
		if _, both := a[p]; !both {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	var out []string
	for _, p := range paths {
		old, had := a[p]
		now, has := b[p]
		switch {
		case !has:
			out = append(out, "- "+p)
		case !had:
			out = append(out, "+ "+p)
		case old != now:
			out = append(out, fmt.Sprintf("~ %s:%s →%s", p, old, now))
		}
	}
	return out
}

// byPath splits each line of a manifest into its path and the rest.
func byPath(lines []string) map[string]string {
	split := make(map[string]string, len(lines))
	for _, line := range lines {
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			split[line] = ""
			continue
		}
		name, _ := strconv.Unquote(quoted) // QuotedPrefix has checked it
		split[name] = line[len(quoted):]
	}
	return split
}

// item is a path that counts.
type item struct {
	path string // absolute, as the machine sees it
	node inode
}

// walk collects every path below root that counts, in path order.
func walk(root string) ([]item, error) {
	top, err := lookAt(root)
	if err != nil {
		return nil, err
	}
	if top.kind() != "dir" {
		return nil, fmt.Errorf("%s is no directory", root)
	}
	w := walker{root: root, mount: top.mount, filter: newFilter(), found: []item{{path: "/", node: top}}}
	if err := w.dir("/", false); err != nil {
		return nil, err
	}
	slices.SortFunc(w.found, func(a, b item) int { return strings.Compare(a.path, b.path) })
	return w.found, nil
}

type walker struct {
	root   string
	mount  uint64
	filter filter
	found  []item
}

// dir collects what is below a directory; with dirsOnly, nothing but directories.
func (w *walker) dir(name string, dirsOnly bool) error {
	entries, err := os.ReadDir(path.Join(w.root, name))
	if err != nil {
		return err
	}
	for _, e := range entries {
		child := path.Join(name, e.Name())
		excluded, isExcluded := w.filter.lookup(child)
		if isExcluded && excluded == whole {
			continue
		}
		node, err := lookAt(path.Join(w.root, child))
		if err != nil {
			return err
		}
		kind := node.kind()
		if node.mount != w.mount || kind == "socket" || dirsOnly && kind != "dir" {
			continue
		}
		w.found = append(w.found, item{path: child, node: node})
		if kind != "dir" || isExcluded && excluded == below {
			continue
		}
		if err := w.dir(child, dirsOnly || isExcluded && excluded == files); err != nil {
			return err
		}
	}
	return nil
}

// describe makes the manifest's line of each item. Reading and hashing is spread over the processors; the order of the
// lines is the items' whatever finishes first.
func describe(root string, found []item) ([]string, error) {
	lines := make([]string, len(found))
	workers := min(runtime.GOMAXPROCS(0), 8)
	failures := make([]error, workers)
	next := make(chan int, workers)
	stop := make(chan struct{})
	var stopOnce sync.Once
	var done sync.WaitGroup
	for n := range workers {
		done.Go(func() {
			buffer := make([]byte, 256<<10)
			for i := range next {
				line, err := found[i].line(root, buffer)
				if err != nil {
					failures[n] = err
					stopOnce.Do(func() { close(stop) })
					return
				}
				lines[i] = line
			}
		})
	}
feed:
	for i := range found {
		select {
		case next <- i:
		case <-stop:
			break feed
		}
	}
	close(next)
	done.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}

func (it item) line(root string, buffer []byte) (string, error) {
	full := path.Join(root, it.path)
	kind := it.node.kind()
	var b strings.Builder
	fmt.Fprintf(&b, "%q %s %04o %s", it.path, kind, it.node.mode&0o7777, it.owner())
	switch kind {
	case "file":
		sum, err := hashFile(full, buffer)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, " sha256:%s", sum)
	case "link":
		target, err := os.Readlink(full)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, " %q", target)
		return b.String(), nil // a link has no attributes that count
	case "block", "char":
		fmt.Fprintf(&b, " %s", it.node.device)
	}
	attributes, err := xattr.Read(full)
	if err != nil {
		return "", err
	}
	names := make([]string, 0, len(attributes))
	for name := range attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, " %q=%x", name, attributes[name])
	}
	return b.String(), nil
}

func (it item) owner() string { return fmt.Sprintf("%d:%d", it.node.uid, it.node.gid) }

func hashFile(name string, buffer []byte) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{f}, buffer); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
