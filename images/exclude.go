package images

import (
	"path"
	"strings"
)

// reach is how far an exclusion goes.
type reach int

const (
	whole reach = iota // the path does not count, nor does anything below it
	below              // the path counts, nothing below it does
	files              // below the path, directories count and nothing else does
)

// exclusion is a path that the content digest leaves out, because each boot must make it anew or because the tools of
// the bake leave it behind.
type exclusion struct {
	pattern string // absolute; its last element may be a pattern of path.Match
	reach   reach
	why     string
}

// exclusions is the whole list. It is short on purpose: what is listed here can differ between two images of one digest.
func exclusions() []exclusion {
	return []exclusion{
		{"/proc", whole, "the kernel's"},
		{"/sys", whole, "the kernel's"},
		{"/dev", whole, "the kernel's"},
		{"/run", whole, "empty at each boot"},
		{"/tmp", whole, "empty at each boot"},
		{"/var/tmp", below, "holds what a program of the bake left"},
		{"/lost+found", whole, "made with the file system"},

		{"/etc/machine-id", whole, "the first boot makes it: two machines must not share one"},
		{"/var/lib/dbus/machine-id", whole, "follows /etc/machine-id"},
		{"/etc/ssh/ssh_host_*", whole, "the first boot makes them: two machines must not share any"},
		{"/etc/hostname", whole, "cloud-init writes it"},
		{"/etc/resolv.conf", whole, "it is of the place of the bake, or the host's own, mounted over it; each boot writes its own"},
		{"/var/lib/cloud", whole, "cloud-init's memory of the boots so far"},
		{"/var/lib/systemd/random-seed", whole, "each shutdown writes it"},
		{"/var/lib/systemd/credential.secret", whole, "the first use makes it: two machines must not share one"},
		{"/var/lib/systemd/timers", whole, "when timers last ran"},
		{"/var/lib/systemd/timesync", whole, "the last time that was known"},
		{"/etc/.updated", whole, "holds the time of the last boot with a new /usr"},
		{"/var/.updated", whole, "holds the time of the last boot with a new /usr"},

		{"/var/log", files, "holds times; that each log's folder has the right owner still counts"},
		{"/var/cache/apt", below, "the bake's package cache"},
		{"/var/lib/apt/lists", below, "the mirror's state of the day; the packages themselves count"},
		{"/var/cache/debconf", below, "holds names of temporary files"},
		{"/var/cache/ldconfig", below, "holds inode numbers and times"},

		{"/usr/lib/cincbake/content-digest", whole, "holds the digest itself"},
	}
}

// filter answers for each path of a walk how much of it counts.
type filter struct {
	exact map[string]reach
	globs []exclusion
}

func newFilter() filter {
	f := filter{exact: map[string]reach{}}
	for _, e := range exclusions() {
		if strings.ContainsAny(e.pattern, `*?[\`) {
			f.globs = append(f.globs, e)
		} else {
			f.exact[e.pattern] = e.reach
		}
	}
	return f
}

// lookup returns how far the exclusion of the path goes, if there is one.
func (f filter) lookup(name string) (reach, bool) {
	if r, ok := f.exact[name]; ok {
		return r, true
	}
	for _, e := range f.globs {
		if ok, err := path.Match(e.pattern, name); ok && err == nil {
			return e.reach, true
		}
	}
	return 0, false
}
