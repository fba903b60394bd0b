package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// Plan is what applying would do.
type Plan struct {
	Cluster string                 `json:"cluster"`
	Images  map[cluster.Role]Image `json:"images"`
	Changes []Change               `json:"changes"`
	// Leftovers are groups that the spec no longer has. They are left alone.
	Leftovers []string `json:"leftovers,omitempty"`
}

// Plan returns what applying would do, so that the machines boot from the given images.
func (f *Fleet) Plan(ctx context.Context, images map[cluster.Role]Image) (Plan, error) {
	wanted, err := Want(f.Cluster, images)
	if err != nil {
		return Plan{}, err
	}
	state, err := f.readToPlan(ctx)
	if err != nil {
		return Plan{}, err
	}
	changes, err := Diff(f.chosen(wanted), state, f.keep())
	if err != nil {
		return Plan{}, err
	}
	return Plan{Cluster: f.Cluster.Name, Images: images, Changes: changes, Leftovers: Leftovers(wanted, state)}, nil
}

// chosen are the groups of the roles that it is about.
func (f *Fleet) chosen(w Wanted) Wanted {
	if len(f.Roles) > 0 {
		w.Groups = slices.DeleteFunc(slices.Clone(w.Groups), func(g WantedGroup) bool { return !slices.Contains(f.Roles, g.Node.Role) })
	}
	return w
}

func (f *Fleet) keep() int { return cmp.Or(f.Keep, DefaultKeep) }

// Apply does what a plan says, and returns what it did. It ends with the first failure; another run goes on from there.
func (f *Fleet) Apply(ctx context.Context, images map[cluster.Role]Image) ([]Change, error) {
	wanted, err := Want(f.Cluster, images)
	if err != nil {
		return nil, err
	}
	state, err := f.readToPlan(ctx)
	if err != nil {
		return nil, err
	}
	var made []Change
	var again string // what was there already when it was to be created
	for {
		changes, err := Diff(f.chosen(wanted), state, f.keep())
		if err != nil || len(changes) == 0 {
			return made, err
		}
		next := changes[0]
		err = next.do(ctx, f, &state)
		if taken(err) && again != next.what() {
			// The answer to an earlier try was lost, or somebody else was faster: if it is ours it is read now.
			again = next.what()
			if state, err = f.readToPlan(ctx); err != nil {
				return made, err
			}
			continue
		}
		if taken(err) {
			return made, exit.Errorf(exit.Missing, "%s is there, and without the tag %s=%s, so it is somebody else's: remove it, or give the cluster another name: %w",
				next.what(), cluster.TagCluster, f.Cluster.Name, err)
		}
		if err != nil {
			return made, fmt.Errorf("%s %s: %w\nrun it again to go on from there", next.Action, next.what(), err)
		}
		made = append(made, next)
		f.say(next.Name, fmt.Sprintf("%s %sd", next.Kind, next.Action))
	}
}

func (c Change) what() string { return c.Kind + " " + c.Name }

// taken tells whether there is something of that name already.
func taken(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	code := api.ErrorCode()
	return code == "InvalidLaunchTemplateName.AlreadyExistsException" || code == "AlreadyExists"
}

// String draws the plan for people.
func (p Plan) String() string {
	var b strings.Builder
	if len(p.Changes) == 0 {
		fmt.Fprintf(&b, "cluster %s: nothing would change\n", p.Cluster)
	}
	marks := map[Action]string{Create: "+", Update: "~", Delete: "-"}
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "%s %s\n", marks[c.Action], c.what())
		for _, field := range c.Fields {
			fmt.Fprintf(&b, "    %s\n", field)
		}
	}
	if len(p.Changes) > 0 {
		fmt.Fprintf(&b, "cluster %s: %s\n", p.Cluster, changesText(p.Changes))
	}
	for _, name := range p.Leftovers {
		fmt.Fprintf(&b, "the spec no longer has %s: it is left alone; delete the group when its machine is not needed any more\n", name)
	}
	return b.String()
}

// String is the field in one line.
func (f Field) String() string {
	switch {
	case f.Old == "":
		return f.Path + ": " + f.New
	case f.New == "":
		return f.Path + ": " + f.Old + " → none"
	}
	return fmt.Sprintf("%s: %s → %s", f.Path, f.Old, f.New)
}

func changesText(changes []Change) string {
	counts := map[Action]int{}
	for _, c := range changes {
		counts[c.Action]++
	}
	return fmt.Sprintf("%d to create, %d to update, %d to delete", counts[Create], counts[Update], counts[Delete])
}

// Print writes the plan for people.
func (p Plan) Print(w io.Writer) error {
	_, err := io.WriteString(w, p.String())
	return err
}
