//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/lab"
)

// lab is the suite's lab, for faults that no command of cincbake does.
func (b *bench) lab(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.Open(lab.DefaultFolders(), clusterName)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// read reads a file of a running machine, from outside: nothing is run in it.
func read(t *testing.T, machine, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t, machine), path))
	if err != nil {
		t.Fatalf("%s: %v", machine, err)
	}
	return string(text)
}

// root is a running machine's root directory as the kernel shows it for the machine's init.
func root(t *testing.T, machine string) string {
	t.Helper()
	for _, pid := range processes(t, machine) {
		status, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			continue // it ended meanwhile
		}
		for line := range strings.Lines(string(status)) {
			// NSpid ends with the number inside the innermost namespace, where init is 1.
			if fields := strings.Fields(line); fields[0] == "NSpid:" && len(fields) > 2 && fields[len(fields)-1] == "1" {
				return "/proc/" + pid + "/root"
			}
		}
	}
	t.Fatalf("%s does not run", machine)
	return ""
}

// processes lists the processes of a machine of the suite's lab, those that run it among them; of all machines with an
// empty name. One that has ended, and that the host's init has yet to notice, is none.
func processes(t *testing.T, machine string) []string { return processesOf(t, clusterName, machine) }

func processesOf(t *testing.T, name, machine string) []string {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, folder := range folders {
		cgroups, err := os.ReadFile(filepath.Join(folder, "cgroup"))
		stat, gone := os.ReadFile(filepath.Join(folder, "stat"))
		if err != nil || gone != nil {
			continue // it ended meanwhile
		}
		_, state, _ := strings.Cut(string(stat), ") ")
		if strings.Contains(string(cgroups), "cincbake-lab-"+name+"."+machine) && !strings.HasPrefix(state, "Z") {
			found = append(found, filepath.Base(folder))
		}
	}
	return found
}
