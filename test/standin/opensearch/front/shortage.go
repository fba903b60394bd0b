package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What OpenSearch demands of a machine that is in a cluster.
const (
	wantFiles = 65535
	wantMaps  = 262144
)

// machine is what this one can give a program.
type machine struct {
	files     uint64 // open files at most
	locked    uint64 // bytes of locked memory at most
	maps      uint64 // vm.max_map_count
	raises    bool   // its systemd can raise limits: one that is too low is its unit's fault
	locksFree bool   // a program in it can be allowed to lock memory whatever the limit
}

// thisMachine asks the kernel.
func thisMachine() (machine, error) {
	var m machine
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return m, err
	}
	m.files = limit.Max
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return m, err
	}
	m.locked = limit.Cur
	text, err := os.ReadFile("/proc/sys/vm/max_map_count")
	if err != nil {
		return m, err
	}
	if m.maps, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err != nil {
		return m, err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return m, err
	}
	bounding, err := capabilities(string(status))
	m.raises = bounding&(1<<unix.CAP_SYS_RESOURCE) != 0
	m.locksFree = bounding&(1<<unix.CAP_IPC_LOCK) != 0
	return m, err
}

// capabilities reads the bounding set, which no program of the machine gets beyond, of a process's status.
func capabilities(status string) (uint64, error) {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			return strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return 0, fmt.Errorf("no CapBnd among the process's capabilities")
}

// answerFor changes settings where this machine can't give what the server demands, and nobody in it could: test machines
// are containers of a host that withholds it. It returns whether the limit of open files must be answered for, and what to
// log.
func (m machine) answerFor(s settings) (preload bool, notes []string, err error) {
	if m.files < wantFiles && !m.raises {
		preload = true
		notes = append(notes, fmt.Sprintf("this machine refuses %d open files and has %d: the server is told that it has them", wantFiles, m.files))
	}
	lock, err := s.truth("bootstrap.memory_lock", false)
	if err != nil {
		return false, nil, err
	}
	if lock && m.locked != math.MaxUint64 && !m.raises && !m.locksFree {
		delete(s, "bootstrap.memory_lock")
		notes = append(notes, "no program of this machine may lock its memory: bootstrap.memory_lock is taken out")
	}
	if _, decided := s["node.store.allow_mmap"]; m.maps < wantMaps && !decided {
		s["node.store.allow_mmap"] = false
		notes = append(notes, fmt.Sprintf("vm.max_map_count is %d and must be %d: node.store.allow_mmap is set to false", m.maps, wantMaps))
	}
	return preload, notes, nil
}
