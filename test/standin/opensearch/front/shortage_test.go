package main

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a machine could be given, nobody answers for: the server must refuse it.
func TestAnswerFor(t *testing.T) {
	enough := machine{files: 65535, locked: math.MaxUint64, maps: 262144}
	with := func(change func(*machine)) machine {
		m := enough
		change(&m)
		return m
	}
	for name, test := range map[string]struct {
		m       machine
		heap    uint64
		given   settings
		want    settings
		preload bool
		java    string
		notes   int
	}{
		"nothing lacks":             {enough, 8192, settings{"bootstrap.memory_lock": true}, settings{"bootstrap.memory_lock": true}, false, "", 0},
		"few files":                 {with(func(m *machine) { m.files = 20000 }), 0, settings{}, settings{}, true, "", 1},
		"few files, the unit's":     {with(func(m *machine) { m.files, m.raises = 1024, true }), 0, settings{}, settings{}, false, "", 0},
		"no locking":                {with(func(m *machine) { m.locked = 65536 }), 0, settings{"bootstrap.memory_lock": true}, settings{}, false, "", 1},
		"no locking, not asked":     {with(func(m *machine) { m.locked = 65536 }), 0, settings{"bootstrap.memory_lock": false}, settings{"bootstrap.memory_lock": false}, false, "", 0},
		"no locking, the unit's":    {with(func(m *machine) { m.locked, m.raises = 65536, true }), 0, settings{"bootstrap.memory_lock": true}, settings{"bootstrap.memory_lock": true}, false, "", 0},
		"locking by capability":     {with(func(m *machine) { m.locked, m.locksFree = 65536, true }), 0, settings{"bootstrap.memory_lock": true}, settings{"bootstrap.memory_lock": true}, false, "", 0},
		"few maps":                  {with(func(m *machine) { m.maps = 65530 }), 0, settings{}, settings{"node.store.allow_mmap": false}, false, "", 1},
		"few maps, decided":         {with(func(m *machine) { m.maps = 65530 }), 0, settings{"node.store.allow_mmap": true}, settings{"node.store.allow_mmap": true}, false, "", 0},
		"a host's memory":           {with(func(m *machine) { m.shares = true }), 12000, settings{}, settings{}, false, "-Xms256m -Xmx256m", 1},
		"a host's memory, modestly": {with(func(m *machine) { m.shares = true }), 192, settings{}, settings{}, false, "", 0},
	} {
		got, err := test.m.answerFor(test.given, test.heap)
		if err != nil || got.preload != test.preload || got.java != test.java || len(got.notes) != test.notes {
			t.Errorf("%s: %+v %v", name, got, err)
		}
		if diff := cmp.Diff(test.want, test.given); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := enough.answerFor(settings{"bootstrap.memory_lock": "perhaps"}, 0); err == nil {
		t.Error("perhaps")
	}
}

func TestHeapOf(t *testing.T) {
	for text, want := range map[string]uint64{
		"":                             0,
		"-Xms1g\n-Xmx1g\n":             1024,
		"# -Xmx9g\n-Xmx512m\n":         512,
		"-Xmx1g\n-Xmx12044m\n":         12044,
		"-Xmx262144K\n":                256,
		"-Xmx268435456\n":              256,
		"-XX:+UseG1GC\n-Xss1m\n-Xmx\n": 0,
	} {
		dir := write(t, map[string]string{"jvm.options": text})
		if got, err := heapOf(filepath.Join(dir, "jvm.options")); got != want || err != nil {
			t.Errorf("%q: %d %v, want %d", text, got, err, want)
		}
	}
	dir := write(t, map[string]string{"a": "-Xmx1g\n", "b": "-Xmx2g\n", "c": "-Xmxmuch\n"})
	if got, err := heapOf(filepath.Join(dir, "a"), filepath.Join(dir, "b")); got != 2048 || err != nil {
		t.Errorf("the last word: %d %v", got, err)
	}
	if _, err := heapOf(filepath.Join(dir, "c")); err == nil || !strings.Contains(err.Error(), "-Xmxmuch") {
		t.Errorf("%v", err)
	}
}

func TestCapabilities(t *testing.T) {
	if got, err := capabilities("Name:\tx\nCapBnd:\t0000000001004000\n"); got != 1<<24|1<<14 || err != nil {
		t.Errorf("%x %v", got, err)
	}
	if _, err := capabilities("Name:\tx\n"); err == nil {
		t.Error("none")
	}
}
