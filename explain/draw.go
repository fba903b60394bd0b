package explain

import (
	"context"
	"fmt"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// drawing is a machine in one world, its secrets still placeholders.
type drawing struct {
	scoped placeholders
	files  map[string]step.Entry
	from   map[string]Origin
	units  []Unit
	steps  []Step
}

// draw bakes, seeds and boots the machine on a host in memory, as far as files go.
func (w world) draw() (drawing, error) {
	kind, err := roles.Of(w.self.Role)
	if err != nil {
		return drawing{}, err
	}
	d := drawing{files: map[string]step.Entry{}, from: map[string]Origin{}}
	if d.scoped, err = newPlaceholders(w.resolved, w.self, w.salt); err != nil {
		return drawing{}, err
	}
	baked, err := kind.Bake(w.resolved.Recipe(w.self.Role))
	if err != nil {
		return drawing{}, err
	}
	sealed, err := base.Seal(w.resolved.Recipe(w.self.Role))
	if err != nil {
		return drawing{}, err
	}
	seed, err := w.seed(d.scoped)
	if err != nil {
		return drawing{}, err
	}
	in := w.inputs(d.scoped.Scoped)
	booted, err := kind.Boot(in)
	if err != nil {
		return drawing{}, err
	}

	host := step.NewRecorder()
	for _, part := range []struct {
		from Origin
		plan step.Plan
	}{{FromImage, append(baked, sealed...)}, {FromSeed, seed}, {FromBoot, booted}} {
		if err := d.write(host, part.from, part.plan); err != nil {
			return drawing{}, err
		}
		d.listUnits(part.from, part.plan)
	}
	for _, path := range host.Files() {
		d.files[path] = host.Entries[path]
	}
	for _, s := range booted {
		d.steps = append(d.steps, Step{Title: s.Title, Reason: s.Reason, Does: s.Action.String()})
	}
	return d, nil
}

// write applies what a plan does to files. Everything else needs a real machine.
func (d *drawing) write(host *step.Recorder, from Origin, plan step.Plan) error {
	var files step.Plan
	for _, s := range plan {
		switch action := s.Action.(type) {
		case step.File:
			d.from[action.Path] = from
		case step.Directory, step.Symlink, step.Absent, step.Emptied:
		default:
			continue
		}
		files = append(files, s)
	}
	_, err := files.Apply(context.Background(), host, nil)
	return err
}

// listUnits keeps the last word on each unit: what the image disables, the boot may start.
func (d *drawing) listUnits(from Origin, plan step.Plan) {
	for _, s := range plan {
		action, ok := s.Action.(step.Unit)
		if !ok {
			continue
		}
		unit := Unit{Name: action.Name, State: string(action.State), Why: s.Reason, From: from}
		at := -1
		for i := range d.units {
			if d.units[i].Name == unit.Name {
				at = i
			}
		}
		if at < 0 {
			d.units = append(d.units, unit)
		} else {
			d.units[at] = unit
		}
	}
}

// seed are the two files that tell the machine who it is.
func (w world) seed(scoped placeholders) (step.Plan, error) {
	encodedSecrets, err := scoped.Encode()
	if err != nil {
		return nil, err
	}
	document := w.document
	if w.resolved.Platform == cluster.AWS { // its secrets come from the store
		store := cloudinit.SecretStoreOf(w.resolved, w.self)
		document.SecretStore = &store
	} else {
		document.Secrets = secrets.Digest(encodedSecrets)
	}
	encoded, err := document.Encode()
	if err != nil {
		return nil, err
	}
	file := func(path string, content []byte) step.Step {
		return step.Step{Title: "Write " + path, Action: step.File{Path: path, Mode: 0o600, Content: content}}
	}
	return step.Plan{file(cloudinit.DocumentPath, encoded), file(cloudinit.SecretsPath, encodedSecrets)}, nil
}

// inputs is what the machine's role will be given, peers and join decision included.
func (w world) inputs(scoped secrets.Scoped) role.Inputs {
	in := role.Inputs{
		Cluster: w.cluster, Self: w.self, Facts: w.found, Secrets: scoped,
		Own:   w.observation(w.self, cluster.FormationEmpty),
		Peers: cluster.Peers{},
	}
	formation := cluster.FormationEmpty
	if w.join {
		formation = cluster.FormationFormed
	}
	for _, n := range w.cluster.Nodes {
		if n.Name != w.self.Name {
			in.Peers[n.Name] = cluster.Peer{Node: n, Observation: w.observation(n, formation)}
		}
	}
	in.Joined = w.joined(in)
	return in
}

func (w world) observation(n cluster.Node, formation cluster.Formation) cluster.Observation {
	return cluster.Observation{Node: n.Name, Role: n.Role, Formation: formation, Incarnation: fmt.Sprint("known-at-boot-", n.Name, w.incarnation)}
}
