package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/launch"
	"github.com/cincbake/cincbake/operate"
)

// launchStatus is what `launch status -o json` prints.
type launchStatus struct {
	launch.Status
	Green bool                 `json:"green"`
	Nodes []operate.NodeStatus `json:"nodes,omitempty"` // what the machines say, if they could be asked
}

func newLaunchStatus() *cobra.Command {
	var (
		flags  fleetFlags
		output outputFlag
	)
	c := &cobra.Command{
		Use:   "status [ROLE...]",
		Short: "Show groups, machines and versions, and what drifted",
		Long: `Status shows the cluster's autoscaling groups with their machines: the version of the launch template and the image that each
is of, and which drifted from what its group is to be. Where the cluster's secrets are at hand and the machines can be
reached, their own words follow. It fails unless every group has its machines, in service and of its version, and unless the
cluster is whole by what its machines say. Where none of them can be reached, which is so outside the network, it says that
and goes by what AWS says alone. With roles only their groups count; what the machines say is
about all of them in any case.`,
		Example: "  cincbake launch status\n  cincbake launch status api -o json",
		RunE: func(c *cobra.Command, args []string) error {
			fleet, spec, err := flags.fleet(c)
			if err != nil {
				return err
			}
			roles, err := rolesOf(fleet.Cluster, args)
			if err != nil {
				return err
			}
			all, located := launchStatus{}, fleet.Cluster
			if all.Status, err = fleet.Status(c.Context()); err != nil {
				return err
			}
			all.Groups = slices.DeleteFunc(all.Groups, func(g launch.GroupStatus) bool { return !slices.Contains(roles, g.Role) })
			agents, silent := agentsOf(spec, fleet.Cluster)
			if silent == nil {
				state, err := fleet.Read(c.Context())
				if err != nil {
					return err
				}
				if located, err = fleet.Locate(c.Context(), state); err != nil {
					return err
				}
				all.Nodes = agents(located).Status(c.Context())
				silent = reached(all.Nodes)
			}
			lacks := all.judge()
			if silent != nil {
				fmt.Fprintf(c.ErrOrStderr(), "the machines themselves were not heard: %v\n", silent)
			}
			if output.json() {
				err = printJSON(c.OutOrStdout(), all)
			} else if err = printLaunchStatus(c.OutOrStdout(), all.Status); err == nil && silent == nil {
				fmt.Fprintln(c.OutOrStdout())
				err = operate.Table(c.OutOrStdout(), located, all.Nodes, time.Now())
			}
			return cmp.Or(err, lacks)
		},
	}
	flags.register(c)
	output.register(c)
	c.ValidArgsFunction = completeRolesOf(&flags.specFlag)
	return c
}

// judge says whether all is well, and returns what is not.
func (s *launchStatus) judge() error {
	var lacks error
	switch {
	case !s.Status.Green():
		lacks = fmt.Errorf("cluster %s is not as its groups are to be", s.Cluster)
	case len(s.Nodes) > 0 && reached(s.Nodes) == nil:
		lacks = operate.Whole(s.Nodes)
	}
	s.Green = lacks == nil
	if lacks != nil {
		return exit.As(exit.Failed, lacks)
	}
	return nil
}

// reached is an error if no machine answered: it is the way to them that is missing, or all of them, and which of both
// nobody here can tell.
func reached(nodes []operate.NodeStatus) error {
	if len(nodes) == 0 || slices.ContainsFunc(nodes, operate.NodeStatus.Answered) {
		return nil
	}
	return fmt.Errorf("none of %d can be reached from here: %s", len(nodes), nodes[0].Error)
}

func printLaunchStatus(w io.Writer, s launch.Status) error {
	var rows [][]string
	for _, g := range s.Groups {
		size := fmt.Sprintf("%d (%d-%d)", g.Desired, g.Min, g.Max)
		switch {
		case g.Missing:
			rows = append(rows, []string{g.Name, "-", "-", "-", "-", "-", "missing: cincbake launch apply"})
			continue
		case g.Refresh != nil:
			rows = append(rows, []string{g.Name, size, strconv.FormatInt(g.Version, 10), "-", "-", g.Image, fmt.Sprintf("refresh %s, %d%%", g.Refresh.Status, g.Refresh.Percent)})
		case len(g.Instances) == 0 && g.Failure == "":
			rows = append(rows, []string{g.Name, size, strconv.FormatInt(g.Version, 10), "-", "-", g.Image, "no machine"})
		}
		if g.Failure != "" {
			rows = append(rows, []string{g.Name, size, strconv.FormatInt(g.Version, 10), "-", "-", g.Image, g.Failure})
		}
		for _, i := range g.Instances {
			note := ""
			switch {
			case i.Outdated:
				note = fmt.Sprintf("outdated: the group uses version %d", g.Version)
			case i.Drifted:
				note = "drifted: other content than the group's image"
			case !i.Healthy:
				note = "unhealthy"
			}
			rows = append(rows, []string{g.Name, size, strconv.FormatInt(i.Version, 10), i.ID, i.State, i.Image, note})
		}
	}
	return printTable(w, []string{"GROUP", "SIZE", "VERSION", "INSTANCE", "STATE", "IMAGE", "NOTE"}, rows)
}
