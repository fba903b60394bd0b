package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
)

// cutPrefix begins the name of the table that cuts a port off; the rest is the port.
const cutPrefix = "cut_"

// ErrNoFilter is a host that lacks what filters a bridge.
var ErrNoFilter = errors.New("nft cuts machines off, and it is not here: apt-get install nftables")

// Cut lets a port of the bridge exchange nothing with any other port but those named. What it sends is lost without an
// answer, on connections that are open too. Whoever asks from the bridge itself, as Dial does, still reaches it.
//
// The rules name ports, so they outlast the machine that is plugged in; they end with Heal or with the network.
func (n Network) Cut(ctx context.Context, port string, with []string) error {
	return n.filter(ctx, cutScript(port, with))
}

// Heal takes a Cut back.
func (n Network) Heal(ctx context.Context, port string) error { return n.filter(ctx, healScript(port)) }

// Cuts returns the ports that are cut off.
func (n Network) Cuts(ctx context.Context) ([]string, error) {
	if _, err := exec.LookPath("nft"); err != nil {
		return nil, nil // then nothing can have been cut
	}
	var ports []string
	err := inNetwork(n.Path, func() error {
		output, err := exec.CommandContext(ctx, "nft", "list", "tables", "bridge").Output()
		ports = readCuts(string(output))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no network, no cut
	}
	if err != nil {
		return nil, fmt.Errorf("asking who is cut off: %w", err)
	}
	return ports, nil
}

// readCuts reads what nft prints: a line like "table bridge cut_node1" for each.
func readCuts(output string) []string {
	var ports []string
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		if port, ours := strings.CutPrefix(fields[2], cutPrefix); ours {
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return ports
}

// cutScript is what nft(8) is told, all at once: no packet passes between two cuts of the same port.
func cutScript(port string, with []string) []string {
	rule := func(ours, other string) string {
		if len(with) == 0 {
			return fmt.Sprintf("add rule bridge %s%s forward %s %q drop", cutPrefix, port, ours, port)
		}
		quoted := make([]string, len(with))
		for i, w := range with {
			quoted[i] = fmt.Sprintf("%q", w)
		}
		return fmt.Sprintf("add rule bridge %s%s forward %s %q %s != { %s } drop", cutPrefix, port, ours, port, other, strings.Join(quoted, ", "))
	}
	// A hook of its own kind: forward sees what goes from port to port, and not what the bridge itself sends or gets.
	return append(healScript(port),
		"add table bridge "+cutPrefix+port,
		"add chain bridge "+cutPrefix+port+" forward { type filter hook forward priority 0; policy accept; }",
		rule("iifname", "oifname"),
		rule("oifname", "iifname"),
	)
}

// healScript removes the table, and is content when there is none: adding one that is there does nothing.
func healScript(port string) []string {
	return []string{"add table bridge " + cutPrefix + port, "delete table bridge " + cutPrefix + port}
}

// filter has nft carry out a script inside the network, never in the host's own.
func (n Network) filter(ctx context.Context, script []string) error {
	if _, err := exec.LookPath("nft"); err != nil {
		return ErrNoFilter
	}
	return inNetwork(n.Path, func() error {
		command := exec.CommandContext(ctx, "nft", "-f", "-")
		command.Stdin = strings.NewReader(strings.Join(script, "\n") + "\n")
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("nft: %w: %s (the kernel needs NF_TABLES_BRIDGE)", err, bytes.TrimSpace(output))
		}
		return nil
	})
}
