package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab/machine"
)

// Missing is something that this host lacks for a lab.
type Missing struct {
	What    string `json:"what"`
	Why     string `json:"why"`
	Install string `json:"install"` // how to get it
}

// need is one precondition of a lab.
type need struct {
	Missing
	check func(context.Context) error
	// ends tells that the needs below it make no sense without this one.
	ends bool
}

func needs(folders Folders) []need {
	return []need{
		{Missing{"Linux", "a lab's nodes are containers of its kernel", "run it on a Linux machine, or in a virtual one"}, linux, true},
		{Missing{"root", "it mounts images and makes network namespaces", "run it with sudo"}, root, true},
		{
			Missing{"systemd-nspawn 236 or newer", "it runs the nodes", "apt-get install systemd-container"},
			nspawn, false,
		},
		{Missing{"ip", "it makes the nodes' network", "apt-get install iproute2"}, program("ip"), false},
		{Missing{"journalctl", "it reads the nodes' logs", "apt-get install systemd"}, program("journalctl"), false},
		{
			Missing{"cgroup version 2", "it keeps the nodes apart", "mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified"},
			cgroups, false,
		},
		{
			Missing{"an overlay on " + folders.State, "nodes share their image and write beside it", "keep the lab on ext4 or xfs, not on another overlay"},
			func(context.Context) error { return machine.TryOverlay(folders.State) }, false,
		},
		{Missing{"/dev/loop-control", "a node's data disk is a file shown as a disk", "modprobe loop"}, loopDevices, false},
	}
}

// CheckHost returns what this host lacks for a lab in these folders, in the order in which to get it.
func CheckHost(ctx context.Context, folders Folders) []Missing {
	return check(ctx, needs(folders))
}

func check(ctx context.Context, needs []need) []Missing {
	var missing []Missing
	for _, need := range needs {
		err := need.check(ctx)
		if err == nil {
			continue
		}
		need.Why = fmt.Sprintf("%s (%v)", need.Why, err)
		missing = append(missing, need.Missing)
		if need.ends {
			break
		}
	}
	return missing
}

// AsError makes one error of what is missing, nil of nothing.
func AsError(missing []Missing) error {
	if len(missing) == 0 {
		return nil
	}
	var text strings.Builder
	text.WriteString("this machine can't run a lab yet")
	for _, m := range missing {
		fmt.Fprintf(&text, "\n  %s: %s\n      %s", m.What, m.Why, m.Install)
	}
	text.WriteString("\nwithout a lab, init, validate, secrets, render, images and version still work")
	return exit.As(exit.Missing, errors.New(text.String()))
}

func linux(context.Context) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("this is %s", runtime.GOOS)
	}
	return nil
}

func root(context.Context) error {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Errorf("you are user %d", uid)
	}
	return nil
}

func program(name string) func(context.Context) error {
	return func(context.Context) error {
		_, err := exec.LookPath(name)
		return err
	}
}

// nspawnVersion is the first systemd-nspawn that starts a machine in a given network namespace.
const nspawnVersion = 236

func nspawn(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, "systemd-nspawn", "--version").Output()
	if err != nil {
		return err
	}
	return enough(string(output))
}

// enough checks what systemd-nspawn --version prints: systemd 252 (252.39-1~deb12u2).
func enough(output string) error {
	found := regexp.MustCompile(`^systemd (\d+)`).FindStringSubmatch(output)
	if found == nil {
		return fmt.Errorf("its version is not to be read from %q", output)
	}
	if version, err := strconv.Atoi(found[1]); err != nil || version < nspawnVersion {
		return fmt.Errorf("this one is %s", found[1])
	}
	return nil
}

func cgroups(context.Context) error {
	_, err := machine.ThisHost()
	return err
}

func loopDevices(context.Context) error {
	_, err := os.Stat("/dev/loop-control")
	return err
}
