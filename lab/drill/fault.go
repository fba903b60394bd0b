package drill

import "context"

// Fault is something that befalls a node.
type Fault struct {
	Name string
	// Strike makes it happen, and returns once it has happened.
	Strike func(ctx context.Context, node string) error
	// Mend does what a person would do about it once the clients are served again; nil: nothing is needed.
	Mend func(ctx context.Context, node string) error
	// StrikeAll and MendAll do so to several nodes at the same moment; nil: the fault is for one at a time.
	StrikeAll, MendAll func(ctx context.Context, nodes []string) error
}

// Machines are where nodes run and can be struck: a lab.
type Machines interface {
	PowerOff(ctx context.Context, node string) error
	Start(ctx context.Context, node string) error
	PowerOffAll(ctx context.Context, nodes []string) error
	StartAll(ctx context.Context, nodes []string) error
	Shutdown(ctx context.Context, node string) error
	Replace(ctx context.Context, node string) error
	KillPrograms(ctx context.Context, node string, names ...string) (int, error)
	// Partition cuts a node off from every other one but those that it is with, until Heal.
	Partition(ctx context.Context, node string, with []string) error
	Heal(ctx context.Context, node string) error
	Freeze(ctx context.Context, node string) error
	Thaw(ctx context.Context, node string) error
	// Fill leaves no room on a node's data disk, until Empty.
	Fill(ctx context.Context, node string) error
	Empty(ctx context.Context, node string) error
}

// The names of faults, on the command line and in suites.
const (
	actPowerOff   = "power-off"
	actShutdown   = "shutdown"
	actReplace    = "replace"
	actKill       = "kill"
	actPartition  = "partition"
	actFreeze     = "freeze"
	actFill       = "fill"
	actSwitchover = "switchover"
	actRollout    = "rollout"
)

// PowerOff pulls a node's plug, and puts it back once clients are served again.
func PowerOff(m Machines) Fault {
	return Fault{Name: actPowerOff, Strike: m.PowerOff, Mend: m.Start, StrikeAll: m.PowerOffAll, MendAll: m.StartAll}
}

// Shutdown stops a node in good order, and starts it once clients are served again.
func Shutdown(m Machines) Fault { return Fault{Name: actShutdown, Strike: m.Shutdown, Mend: m.Start} }

// Replace boots a new machine with an empty disk in a node's place.
func Replace(m Machines) Fault { return Fault{Name: actReplace, Strike: m.Replace} }

// Kill kills programs of a node, which systemd starts again.
func Kill(m Machines, programs ...string) Fault {
	return Fault{Name: actKill, Strike: func(ctx context.Context, node string) error {
		_, err := m.KillPrograms(ctx, node, programs...)
		return err
	}}
}

// Partition cuts a node off from all others but those that it is with, and heals the cut once clients are served again.
func Partition(m Machines, with ...string) Fault {
	return Fault{
		Name: actPartition, Mend: m.Heal,
		Strike: func(ctx context.Context, node string) error { return m.Partition(ctx, node, with) },
	}
}

// Freeze stops a node where it is, and lets it go on once clients are served again: it then still believes what it did.
func Freeze(m Machines) Fault { return Fault{Name: actFreeze, Strike: m.Freeze, Mend: m.Thaw} }

// Fill leaves no room on a node's data disk, and gives it back once clients are served again.
func Fill(m Machines) Fault { return Fault{Name: actFill, Strike: m.Fill, Mend: m.Empty} }

// Switchover makes another node primary, as an operator would before a planned reboot.
func Switchover(order func(ctx context.Context) error) Fault {
	return Fault{Name: actSwitchover, Strike: func(ctx context.Context, _ string) error { return order(ctx) }}
}

// Rollout boots a new machine in every one's place, one after the other, as when a cluster moves to newer images.
func Rollout(order func(ctx context.Context) error) Fault {
	return Fault{
		Name:      actRollout,
		Strike:    func(ctx context.Context, _ string) error { return order(ctx) },
		StrikeAll: func(ctx context.Context, _ []string) error { return order(ctx) },
	}
}
