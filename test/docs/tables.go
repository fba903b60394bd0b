package docs

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/explain"
	"github.com/cincbake/cincbake/roles/postgres"
	"github.com/cincbake/cincbake/secrets"
)

// example resolves an example of the repository.
func example(root, name string) (*cluster.Resolved, error) {
	spec, err := cluster.Load(filepath.Join(root, "examples", name, "cluster.yaml"))
	if err != nil {
		return nil, err
	}
	return spec.Resolve()
}

// compatSection is the compatibility table, and where PostgreSQL comes from.
func compatSection(string) (string, error) {
	t := newTable("Cinc Server", "PostgreSQL", "OpenSearch", "system", "CPU", "login")
	var notes strings.Builder
	for _, row := range cluster.CompatTable() {
		t.add(row.Range(), row.PostgresRange(), fmt.Sprintf("%d.x", row.OpenSearch), strings.Join(row.OSes, ", "), strings.Join(row.CPUs, ", "), string(row.Auth))
		fmt.Fprintf(&notes, "\n**%s**, from %s.\n", row.Range(), row.Source)
		for i, note := range row.Notes {
			if i == 0 {
				notes.WriteString("\n")
			}
			notes.WriteString("* " + note + "\n")
		}
	}
	os, err := cluster.OSFor("")
	if err != nil {
		return "", err
	}
	sources := newTable("PostgreSQL on "+os.Name, "what to know")
	const oldest, newest = 9, 30
	for major := oldest; major <= newest; major++ {
		if source, err := cluster.PostgresFor(os.Name, major); err == nil {
			sources.add(fmt.Sprint(source.Major), source.Note)
		}
	}
	return t.String() + notes.String() + "\n" + sources.String(), nil
}

// rotationSection is how every secret is replaced.
func rotationSection(string) (string, error) {
	costs := map[secrets.Cost]string{secrets.CostNone: "no outage", secrets.CostOutage: "an outage", secrets.CostNever: "not from here"}
	t := newTable("secrets", "`secrets rotate`", "costs", "then, or instead")
	for _, row := range secrets.Rotations() {
		word := "by name, with `--allow-outage`"
		switch {
		case row.Cost == secrets.CostNever:
			word = "refuses"
		case row.Word != "":
			word = code(row.Word)
		}
		t.add(strings.Join(backquoted(row.Secrets), ", "), word, costs[row.Cost], row.How)
	}
	return t.String(), nil
}

// portsSection is the port table of clusters that run every tier themselves, with emergency access and backups.
func portsSection(root string) (string, error) {
	type row struct{ from, port, why string }
	var order []row
	to := map[row][]string{}
	for _, name := range []string{"self-hosted-onprem", "standalone-onprem", "database-onprem"} {
		r, err := example(root, name)
		if err != nil {
			return "", err
		}
		r.Access.SSH = []string{"ssh-ed25519 AAAA"}
		for _, backup := range []cluster.Backup{{S3: &cluster.BackupS3{}}, {SFTP: &cluster.BackupSFTP{}}} {
			r.Backup = &backup
			for _, flow := range cluster.Ports(r) {
				port := fmt.Sprintf("%d/%s", flow.Port, flow.Protocol)
				if flow.Port == 0 {
					port = strings.ToUpper(flow.Protocol)
				}
				at := row{flow.From, port, flow.Why}
				if len(to[at]) == 0 {
					order = append(order, at)
				}
				if !slices.Contains(to[at], string(flow.To)) {
					to[at] = append(to[at], string(flow.To))
				}
			}
		}
	}
	t := newTable("from", "to", "port", "why")
	for _, at := range order {
		ends := strings.Join(to[at], ", ")
		if len(to[at]) == len(cluster.Roles()) {
			ends = "every machine"
		}
		t.add(at.from, ends, at.port, at.why)
	}
	return t.String(), nil
}

// sqlSection is what the administrator of an example's external database runs.
func sqlSection(name string) func(string) (string, error) {
	return func(root string) (string, error) {
		r, err := example(root, name)
		if err != nil {
			return "", err
		}
		return "```sql\n" + postgres.ExternalSQL(r) + "```\n", nil
	}
}

// stepsSection is what the phase apply does on a machine of each role.
func stepsSection(root string) (string, error) {
	var machines []*explain.Machine
	for _, name := range []string{"self-hosted-onprem", "standalone-onprem"} {
		r, err := example(root, name)
		if err != nil {
			return "", err
		}
		for _, role := range cluster.Roles() {
			if nodes := r.NodesOf(role); len(nodes) > 0 {
				machine, err := explain.Of(r, nodes[0], explain.Assume{})
				if err != nil {
					return "", err
				}
				machines = append(machines, machine)
			}
		}
	}
	shared := len(machines[0].Steps)
	for _, m := range machines {
		for i := range shared {
			if i >= len(m.Steps) || m.Steps[i].Title != machines[0].Steps[i].Title {
				shared = i
				break
			}
		}
	}
	var b strings.Builder
	list := func(heading string, first int, steps []explain.Step) {
		b.WriteString("### " + heading + "\n\n")
		for i, s := range steps {
			fmt.Fprintf(&b, "%d. **%s**: %s\n", first+i, s.Title, s.Reason)
		}
		b.WriteString("\n")
	}
	list("Every machine", 1, machines[0].Steps[:shared])
	for _, m := range machines {
		list(code(string(m.Node.Role)), shared+1, m.Steps[shared:])
	}
	return b.String(), nil
}
