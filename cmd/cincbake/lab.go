package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/lab"
)

func newLab() *cobra.Command {
	return group("lab", "Run a whole cluster on this machine",
		`The lab boots every machine of a cluster on this one, as a container with its own systemd: from the baked images, with the very
seeds that render writes, on a network that the host has no part in. It is named after the cluster; a host can hold several.

Machines lose their power, freeze, lose their network or run out of disk on demand; "drill" does so under load and measures it.

It needs root on Linux, systemd-nspawn and iproute2, and changes nothing of the host that "lab down" does not take back.`,
		newLabUp(),
		newLabStatus(),
		newLabPower("kill", "Pull a machine's plug", (*lab.Lab).PowerOff),
		newLabPower("start", "Boot a machine that is off; its disks are as it left them", (*lab.Lab).Start),
		newLabPower("freeze", "Stop a machine's programs where they are; their connections stay open", (*lab.Lab).Freeze),
		newLabPower("thaw", "Let a frozen machine go on", (*lab.Lab).Thaw),
		newLabPartition(),
		newLabPower("heal", "Take back what partition did to a machine", (*lab.Lab).Heal),
		newLabFill(),
		newLabPower("empty", "Give the room back that fill took", (*lab.Lab).Empty),
		newLabReplace(),
		newLabRollout(),
		newLabAdd(),
		newLabDrill(),
		newLabSSH(),
		newLabLogs(),
		newLabForward(),
		newLabDown(),
	)
}

// openLab returns the lab of the cluster that the spec describes.
func openLab(r *cluster.Resolved) (*lab.Lab, error) { return lab.Open(lab.DefaultFolders(), r.Name) }

// lab returns the lab of the spec's cluster. What it has to run on is for the lab's own record to say: the spec may have
// changed since the lab was made.
func (f *specFlag) lab() (*lab.Lab, error) {
	l, _, _, err := f.labOf()
	return l, err
}

// labOf returns the lab with the spec that it is looked up by.
func (f *specFlag) labOf() (*lab.Lab, *cluster.Spec, *cluster.Resolved, error) {
	spec, resolved, err := f.load()
	if err != nil {
		return nil, nil, nil, err
	}
	l, err := openLab(resolved)
	return l, spec, resolved, err
}

func newLabDown() *cobra.Command {
	var (
		spec   specFlag
		dryRun bool
	)
	c := &cobra.Command{
		Use:     "down",
		Short:   "Take the lab away, with all that its machines ever wrote",
		Example: "  cincbake lab down",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := spec.lab()
			if err != nil {
				return err
			}
			if dryRun {
				fmt.Fprintf(c.ErrOrStderr(), "would take lab %s away, with its machines' disks\n", l.Name())
				return nil
			}
			if err := requireRoot("the lab runs machines"); err != nil {
				return err
			}
			if err := l.Down(c.Context()); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "lab %s is gone\n", l.Name())
			return nil
		},
	}
	spec.register(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be taken away")
	return c
}
