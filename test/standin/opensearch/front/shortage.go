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
	shares    bool   // it is a container: the memory that it sees is its host's
}

// sharedHeap is a heap that lets several machines live on one host. Cinc's index needs far less in a test.
const sharedHeap = 256 // MiB

// help is what the server is started with where its machine falls short.
type help struct {
	preload bool     // answer for the limit of open files
	java    string   // further options of Java, which win over those of its files
	notes   []string // what is done, for the log
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
	if _, err := os.Stat("/run/systemd/container"); err == nil {
		m.shares = true
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
// are containers of a host that withholds it. The heap is what Java's files ask for, in MiB; 0: they do not say.
func (m machine) answerFor(s settings, heap uint64) (help, error) {
	var h help
	note := func(format string, values ...any) { h.notes = append(h.notes, fmt.Sprintf(format, values...)) }
	if m.files < wantFiles && !m.raises {
		h.preload = true
		note("this machine refuses %d open files and has %d: the server is told that it has them", wantFiles, m.files)
	}
	lock, err := s.truth("bootstrap.memory_lock", false)
	if err != nil {
		return help{}, err
	}
	if lock && m.locked != math.MaxUint64 && !m.raises && !m.locksFree {
		delete(s, "bootstrap.memory_lock")
		note("no program of this machine may lock its memory: bootstrap.memory_lock is taken out")
	}
	if _, decided := s["node.store.allow_mmap"]; m.maps < wantMaps && !decided {
		s["node.store.allow_mmap"] = false
		note("vm.max_map_count is %d and must be %d: node.store.allow_mmap is set to false", m.maps, wantMaps)
	}
	if m.shares && heap > sharedHeap {
		h.java = fmt.Sprintf("-Xms%dm -Xmx%dm", sharedHeap, sharedHeap)
		note("this machine shares its host's memory with others: the heap is %d MiB instead of %d", sharedHeap, heap)
	}
	return h, nil
}

// heapOf returns the heap in MiB that files of Java's options ask for; the last word counts.
func heapOf(files ...string) (uint64, error) {
	var heap uint64
	for _, file := range files {
		content, err := os.ReadFile(file) //nolint:gosec // the configuration that the server is started with
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(content)) {
			value, ok := strings.CutPrefix(strings.TrimSpace(line), "-Xmx")
			if !ok || value == "" {
				continue
			}
			digits, shift := value, -20
			switch value[len(value)-1] | 0x20 {
			case 'k':
				digits, shift = value[:len(value)-1], -10
			case 'm':
				digits, shift = value[:len(value)-1], 0
			case 'g':
				digits, shift = value[:len(value)-1], 10
			}
			number, err := strconv.ParseUint(digits, 10, 40)
			if err != nil {
				return 0, fmt.Errorf("%s: -Xmx%s: %w", file, value, err)
			}
			if shift < 0 {
				heap = number >> -shift
			} else {
				heap = number << shift
			}
		}
	}
	return heap, nil
}
