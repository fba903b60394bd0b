package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/explain"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
)

// rendered is a row of `render -o json`.
type rendered struct {
	Node       string       `json:"node"`
	Role       cluster.Role `json:"role"`
	InstanceID string       `json:"instanceId"` // what the machine's document makes of it
	Format     string       `json:"format"`
	Path       string       `json:"path"`
	// Budget is where the bytes go; of user data.
	Budget *cloudinit.Budget `json:"budget,omitempty"`
}

// The forms that render writes.
const (
	formatDir      = "dir"
	formatISO      = "iso"
	formatUserData = "user-data"
)

// renderFlags are what `render` reads.
type renderFlags struct {
	spec         specFlag
	machines     machinesFlag
	output       outputFlag
	out, format  string
	dryRun       bool
	resolved     *cluster.Resolved
	pathToBundle string
}

func newRender() *cobra.Command {
	var f renderFlags
	c := &cobra.Command{
		Use:   "render --out DIR",
		Short: "Write what machines get from cloud-init at their first boot",
		Long: `Render writes what wires each machine into its cluster at its first boot. The same spec and secrets give the same bytes, and
everything is held against cloud-init's own schema before anything is written.

On-premises that is a NoCloud seed for every machine, readable by its owner alone: it holds the machine's keys and passwords.
  --format dir  DIR/MACHINE/, a folder
  --format iso  DIR/MACHINE.iso, a disk image to attach
Hand it to the hypervisor, and remove it when the machine has booted.

On AWS it is user data for launch templates, without any secret: the machines fetch theirs from where it says.
  --format user-data  DIR/MACHINE.user-data, one for each slot and one for all API nodes
It is compressed where that makes it smaller, and printed with a budget of what its parts take. Platforms take so much:
` + limitsText(),
		Example: `  cincbake render --out seeds
  cincbake render --out seeds --format iso --node api-4
  cincbake render -f aws.yaml --out user-data --role api`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			spec, resolved, err := f.spec.load()
			if err != nil {
				return err
			}
			f.resolved, f.pathToBundle = resolved, spec.SecretsPath()
			if f.format, err = formatFor(f.format, resolved); err != nil {
				return err
			}
			nodes, err := f.machines.of(resolved)
			if err != nil {
				return err
			}
			write := f.writeSeeds
			if f.format == formatUserData {
				write = f.writeUserData
			}
			rows, err := write(nodes)
			if err != nil {
				return err
			}
			if f.dryRun {
				fmt.Fprintf(c.ErrOrStderr(), "nothing was written: without --dry-run it would be what follows\n")
			}
			if f.output.json() {
				return printJSON(c.OutOrStdout(), rows)
			}
			return printRendered(c.OutOrStdout(), rows)
		},
	}
	f.spec.register(c)
	f.machines.register(c, &f.spec)
	f.output.register(c)
	c.Flags().StringVar(&f.out, "out", "", "the folder to write to")
	c.Flags().StringVar(&f.format, "format", "", "dir, iso or user-data (default: dir on-premises, user-data on AWS)")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "render and check, and write nothing")
	_ = c.MarkFlagRequired("out")
	_ = c.MarkFlagDirname("out")
	_ = c.RegisterFlagCompletionFunc("format", fixed(formatDir, formatISO, formatUserData))
	return c
}

// formatFor returns the form to write, and refuses those that the cluster's machines have no use for.
func formatFor(format string, r *cluster.Resolved) (string, error) {
	launched := r.Platform == cluster.AWS
	switch format {
	case "":
		if launched {
			return formatUserData, nil
		}
		return formatDir, nil
	case formatDir, formatISO:
		if launched {
			return "", exit.Errorf(exit.Invalid, "format %s holds a machine's secrets, and machines on %s start from launch templates, which anyone with read access can see: use --format %s",
				format, r.Platform, formatUserData)
		}
		return format, nil
	case formatUserData:
		if !launched {
			return "", exit.Errorf(exit.Invalid, "format %s names a store that machines fetch their secrets from, and %s there is none: use --format %s or %s",
				format, r.Platform, formatDir, formatISO)
		}
		return format, nil
	}
	return "", exit.Errorf(exit.Invalid, "%q is not a format: %s, %s or %s", format, formatDir, formatISO, formatUserData)
}

func (f *renderFlags) writeSeeds(nodes []cluster.Node) ([]rendered, error) {
	bundle, err := loadBundle(f.pathToBundle, f.resolved)
	if err != nil {
		return nil, err
	}
	return f.write(nodes, bundle)
}

func (f *renderFlags) write(nodes []cluster.Node, bundle *secrets.Bundle) ([]rendered, error) {
	seeds, err := seedsOf(f.resolved, nodes, bundle)
	if err != nil {
		return nil, err
	}
	write, ending := cloudinit.WriteDir, ""
	if f.format == formatISO {
		write, ending = cloudinit.WriteISO, ".iso"
	}
	rows := make([]rendered, len(nodes))
	for i, node := range nodes {
		rows[i] = rendered{Node: node.Name, Role: node.Role, InstanceID: seeds[node.Name].InstanceID, Format: f.format, Path: filepath.Join(f.out, node.Name+ending)}
	}
	if f.dryRun {
		return rows, nil
	}
	return rows, forEach(len(rows), func(i int) error { return write(seeds[rows[i].Node], rows[i].Path) })
}

func (f *renderFlags) writeUserData(nodes []cluster.Node) ([]rendered, error) {
	all, err := userDataOf(f.resolved, nodes)
	if err != nil {
		return nil, err
	}
	rows := make([]rendered, len(all))
	for i, u := range all {
		budget := u.Budget()
		rows[i] = rendered{Node: u.Node, Role: u.Role, InstanceID: u.InstanceID, Format: f.format, Path: filepath.Join(f.out, u.Node+".user-data"), Budget: &budget}
	}
	if f.dryRun {
		return rows, nil
	}
	return rows, forEach(len(rows), func(i int) error { return all[i].WriteFile(rows[i].Path) })
}

// printRendered prints what was written, and the budget of the first machine of each role: the others' differ by a name.
func printRendered(w io.Writer, rows []rendered) error {
	header := []string{"MACHINE", "INSTANCE ID", "SEED"}
	if rows[0].Budget != nil {
		header = []string{"MACHINE", "BYTES", "LIMIT", "USER DATA"}
	}
	var table [][]string
	for _, r := range rows {
		row := []string{r.Node, r.InstanceID, r.Path}
		if b := r.Budget; b != nil {
			row = []string{r.Node, strconv.Itoa(b.Sent), fmt.Sprintf("%d (%s)", b.Limit.Bytes, b.Limit.Platform), r.Path}
		}
		table = append(table, row)
	}
	if err := printTable(w, header, table); err != nil {
		return err
	}
	var last cluster.Role
	for _, r := range rows {
		if r.Budget == nil || r.Role == last {
			continue
		}
		last = r.Role
		if err := printBudget(w, r); err != nil {
			return err
		}
	}
	return nil
}

func printBudget(w io.Writer, r rendered) error {
	form := "plain"
	if r.Budget.Gzip {
		form = "gzip"
	}
	if _, err := fmt.Fprintf(w, "\n%s, sent as %s:\n", r.Node, form); err != nil {
		return err
	}
	var rows [][]string
	for _, p := range append(r.Budget.Parts, r.Budget.Total) {
		rows = append(rows, []string{p.Name, strconv.Itoa(p.Raw), strconv.Itoa(p.Gzip), strconv.Itoa(p.Base64)})
	}
	return printTable(w, []string{"PART", "PLAIN", "GZIP", "BASE64 OF GZIP"}, rows)
}

// limitsText are the rows of cloudinit.Limits as lines of a help text.
func limitsText() string {
	var lines []string
	for _, l := range cloudinit.Limits() {
		measure := "bytes"
		if l.Encoded {
			measure = "bytes of base64"
		}
		lines = append(lines, fmt.Sprintf("  %-22s %6d %s", l.Platform, l.Bytes, measure))
	}
	return strings.Join(lines, "\n")
}

// machinesFlag is --role and --node: which machines of the cluster a command is about.
type machinesFlag struct{ role, node string }

func (m *machinesFlag) register(c *cobra.Command, spec *specFlag) {
	c.Flags().StringVar(&m.role, "role", "", "only machines of this role")
	c.Flags().StringVar(&m.node, "node", "", "only this machine; it may be one of the API pool that is not launched yet")
	c.MarkFlagsMutuallyExclusive("role", "node")
	_ = c.RegisterFlagCompletionFunc("role", completeRoles)
	_ = c.RegisterFlagCompletionFunc("node", completeNodes(spec))
}

// of returns the machines that are meant: all of them without a flag.
func (m *machinesFlag) of(r *cluster.Resolved) ([]cluster.Node, error) {
	switch {
	case m.node != "":
		node, err := explain.Find(r, m.node)
		return []cluster.Node{node}, exit.As(exit.Invalid, err)
	case m.role != "":
		nodes := r.NodesOf(cluster.Role(m.role))
		if len(nodes) == 0 {
			return nil, exit.Errorf(exit.Invalid, "cluster %s has no machine of role %q: it has %s", r.Name, m.role, strings.Join(rolesIn(r), ", "))
		}
		return nodes, nil
	}
	return r.Nodes, nil
}

// everyMachine lists the cluster's machines and those of its API pool that are not launched yet.
func everyMachine(r *cluster.Resolved) []cluster.Node {
	all := r.Nodes
	for slot := len(r.NodesOf(cluster.RoleAPI)) + 1; len(r.NodesOf(cluster.RoleAPI)) > 0; slot++ {
		node, err := r.PoolNode(slot)
		if err != nil {
			break
		}
		all = append(all[:len(all):len(all)], node)
	}
	return all
}

// rolesIn lists the roles that the cluster's machines have.
func rolesIn(r *cluster.Resolved) []string {
	var found []string
	for _, n := range r.Nodes {
		if name := string(n.Role); !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found
}
