package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Host is how the host keeps its processes apart: where machines get cgroups from.
type Host struct {
	// Systemd tells that PID 1 is systemd: it owns the cgroups, and each machine runs in a scope that it delegates.
	// Otherwise they are ours to make.
	Systemd bool
	// Unified is where cgroup version 2 is mounted, on a host with both versions too.
	Unified string
	// Named is where version 1's name=systemd is mounted: systemd-nspawn looks there first on a host that has it.
	Named string
	// CPU is where version 1 shares out the processors, on a host with both versions; empty: version 2 does.
	CPU string
}

// ThisHost looks at the host that the program runs on.
func ThisHost() (Host, error) {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Host{}, err
	}
	defer mounts.Close()
	_, err = os.Stat("/run/systemd/system") // exactly then, says sd_booted(3)
	return readHost(mounts, err == nil)
}

// readHost makes a Host of the lines of /proc/self/mountinfo.
func readHost(mounts io.Reader, systemd bool) (Host, error) {
	host := Host{Systemd: systemd}
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		// id parent major:minor root MOUNT-POINT options [tags] - TYPE source OPTIONS, see proc(5)
		before, after, _ := strings.Cut(lines.Text(), " - ")
		mount, filesystem := strings.Fields(before), strings.Fields(after)
		if len(mount) < 5 || len(filesystem) < 3 {
			continue
		}
		switch {
		case filesystem[0] == "cgroup2" && host.Unified == "":
			host.Unified = mount[4]
		case filesystem[0] == "cgroup" && strings.HasSuffix(filesystem[2], "name=systemd"):
			host.Named = mount[4]
		case filesystem[0] == "cgroup" && slices.Contains(strings.Split(filesystem[2], ","), "cpu"):
			host.CPU = mount[4]
		}
	}
	if err := lines.Err(); err != nil {
		return Host{}, err
	}
	if host.Unified == "" {
		return Host{}, errors.New("cgroup version 2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")
	}
	return host, nil
}

// cgroup returns the folder of the cgroup that holds a machine and everything in it.
func (h Host) cgroup(unit string) string {
	if h.Systemd {
		return filepath.Join(h.Unified, "cincbake.slice", slice, unit+".scope") // a dash in a slice's name is a level
	}
	return filepath.Join(h.Unified, unit)
}

// ours returns the cgroups of version 2 and of version 1 that must be made for a machine before it starts, and removed once
// it is gone; none where systemd does both.
func (h Host) ours(unit string) (unified string, old []string) {
	if h.Systemd {
		return "", nil
	}
	for _, mount := range []string{h.Named, h.CPU} {
		if mount != "" {
			old = append(old, filepath.Join(mount, unit))
		}
	}
	return h.cgroup(unit), old
}

// clear removes what cgroups a machine that is gone left behind.
func (h Host) clear(unit string) error {
	unified, old := h.ours(unit)
	err := removeCgroup(unified)
	for _, dir := range old {
		err = errors.Join(err, removeCgroup(dir))
	}
	return err
}

// weigh gives a machine's cgroups its weight. Where version 2 is mounted without a controller of the processors, machines
// share them as any programs do.
func (h Host) weigh(unit string, weight int) error {
	file, value := filepath.Join(h.cgroup(unit), "cpu.weight"), weight
	if h.CPU != "" {
		file, value = filepath.Join(h.CPU, unit, "cpu.shares"), weight*1024/ordinary
	}
	err := os.WriteFile(file, []byte(strconv.Itoa(value)), 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) { // a cgroup's folder takes no new file
		return nil
	}
	return err
}

// removeCgroup removes a cgroup with those below it. None of them may hold a process.
func removeCgroup(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeCgroup(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	// Its files are the kernel's and go with it.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing an empty cgroup: %w", err)
	}
	return nil
}
