package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// gather finds out what only the running machine knows.
func gather(files step.Files) (cluster.Facts, error) {
	facts := cluster.Facts{CPUs: runtime.NumCPU()}
	var err error
	if facts.Hostname, err = os.Hostname(); err != nil {
		return facts, err
	}
	if facts.Addresses, err = addresses(); err != nil {
		return facts, err
	}
	boot, err := read(files, "/proc/sys/kernel/random/boot_id")
	if err != nil {
		return facts, err
	}
	facts.BootID = strings.TrimSpace(string(boot))
	memory, err := read(files, "/proc/meminfo")
	if err != nil {
		return facts, err
	}
	var kib uint64
	if _, err := fmt.Sscanf(string(memory), "MemTotal: %d kB", &kib); err != nil {
		return facts, fmt.Errorf("/proc/meminfo: %w", err)
	}
	facts.MemoryBytes = kib << 10
	return facts, nil
}

func addresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var found []netip.Addr
	for _, item := range list {
		if prefix, err := netip.ParsePrefix(item.String()); err == nil && !prefix.Addr().IsLoopback() {
			found = append(found, prefix.Addr())
		}
	}
	return found, nil
}

// addressDeadline bounds the wait for the machine's own address: the network is up when the agent starts, or never will be.
const addressDeadline = 60 * time.Second

// awaitAddress waits until the machine has its address. cloud-init goes on when it could not set up the network, so
// everything after this would fail for a reason far from its cause.
func awaitAddress(ctx context.Context, self cluster.Node) error {
	ctx, cancel := context.WithTimeout(ctx, addressDeadline)
	defer cancel()
	for {
		have, err := addresses()
		if err != nil {
			return err
		}
		if slices.Contains(have, self.Address) {
			return nil
		}
		if role.Pause(ctx, 500*time.Millisecond) != nil {
			return &role.Refusal{
				Reason: fmt.Sprintf("this machine does not have its address %s; it has %v", self.Address, have),
				Hint:   "is network.interface the name of its network card? see: networkctl, cloud-init status --long",
			}
		}
	}
}
