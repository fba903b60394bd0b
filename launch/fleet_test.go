package launch

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/golden"
	"github.com/cincbake/cincbake/operate"
)

// section is what the examples leave to their users.
const section = `
aws:
  key: arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa
  instanceProfiles: {api: prod-api%[1]s}
  securityGroups: {api: [sg-00000000000000a01]%[2]s}
  targetGroups: ["arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/prod/0123456789abcdef"]
`

// specOf is an example with the section aws.
func specOf(t *testing.T, topology cluster.Topology) string {
	t.Helper()
	text, err := cluster.Example(topology, cluster.AWS)
	if err != nil {
		t.Fatal(err)
	}
	if topology == cluster.SelfHosted {
		return text + fmt.Sprintf(section, ", postgres: prod-postgres, heartbeat: prod-heartbeat, opensearch: prod-opensearch",
			", postgres: [sg-00000000000000a02], heartbeat: [sg-00000000000000a03], opensearch: [sg-00000000000000a04]")
	}
	return text + fmt.Sprintf(section, "", "")
}

func resolve(t *testing.T, text string) *cluster.Resolved {
	t.Helper()
	spec, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if problems := spec.LaunchProblems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	r, err := spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fleet is a cluster of an example in an empty account that holds an image of each role.
func fleet(t *testing.T, topology cluster.Topology) (*Fleet, *account) {
	t.Helper()
	a := newAccount(t)
	f := &Fleet{Services: Services{a, a, a, a, a, a, a}, Cluster: resolve(t, specOf(t, topology)), Poll: time.Millisecond}
	a.promote(f.Cluster, 1)
	return f, a
}

// promote makes new images of the roles, or of all, and points the channel stable to them.
func (a *account) promote(r *cluster.Resolved, generation int, roles ...cluster.Role) {
	for i, role := range cluster.Roles() {
		if len(r.NodesOf(role)) == 0 || len(roles) > 0 && !slices.Contains(roles, role) {
			continue
		}
		id := fmt.Sprintf("ami-%016x%d", i+1, generation)
		a.images[id] = types.Image{
			ImageId: aws.String(id), Architecture: types.ArchitectureValuesX8664, RootDeviceName: aws.String("/dev/xvda"),
			Tags: tagList(map[string]string{
				cluster.TagCluster: r.Name, cluster.TagRole: string(role), cluster.TagRecipe: r.Recipe(role).Digest(),
				cluster.TagContent: fmt.Sprintf("sha256:%064x", 1000*generation+i),
			}),
		}
		a.parameters[cluster.ChannelParameter(r.Name, role, "stable")] = id
	}
}

func imagesOf(t *testing.T, f *Fleet) map[cluster.Role]Image {
	t.Helper()
	images, err := f.Images(t.Context(), "stable", nil)
	if err != nil {
		t.Fatal(err)
	}
	return images
}

func apply(t *testing.T, f *Fleet) []Change {
	t.Helper()
	changes, err := f.Apply(t.Context(), imagesOf(t, f))
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// agents are the machines of an account, as far as they can be asked.
type agents struct {
	a       *account
	r       *cluster.Resolved
	primary *string
}

func agentsOf(a *account) func(*cluster.Resolved) Agents {
	primary := "postgres-1"
	return func(r *cluster.Resolved) Agents { return agents{a, r, &primary} }
}

func (m agents) Status(context.Context) []operate.NodeStatus {
	var all []operate.NodeStatus
	for _, node := range m.r.Nodes {
		s := operate.NodeStatus{Node: node, Error: node.Name + " does not answer"}
		for _, g := range m.a.groups {
			for _, i := range g.Instances {
				if machine := m.a.instances[*i.InstanceId]; *machine.PrivateIpAddress == node.Address.String() && !m.a.bad[*machine.ImageId] {
					s.Error, s.Status.Result = "", cluster.ResultReady
				}
			}
		}
		if s.Answered() && node.Role == cluster.RolePostgres {
			s.Status.Database = &cluster.Database{Role: "replica"}
			if node.Name == *m.primary {
				s.Status.Database.Role = "primary"
			}
		}
		if s.Answered() && node.Role == cluster.RoleOpenSearch {
			s.Status.Search = &cluster.Search{Manager: "opensearch-1"}
		}
		all = append(all, s)
	}
	return all
}

func (m agents) WaitWhole(ctx context.Context, within time.Duration) error {
	for _, s := range m.Status(ctx) {
		if !s.Answered() {
			return exit.Errorf(exit.TimedOut, "the cluster is not whole after %v: %s", within, s.Error)
		}
	}
	return nil
}

func (m agents) Switchover(ctx context.Context, _ string) (operate.Handover, error) {
	from := *m.primary
	for _, s := range m.Status(ctx) {
		if s.Node.Role == cluster.RolePostgres && s.Node.Name != from && s.Answered() {
			*m.primary = s.Node.Name
		}
	}
	m.a.calls = append(m.a.calls, "switchover "+from)
	return operate.Handover{From: from, To: *m.primary}, nil
}

func rolloutOf(f *Fleet, a *account) Rollout {
	return Rollout{Fleet: f, Agents: agentsOf(a), Within: 3 * time.Second, Rest: 100 * time.Millisecond}
}

// since returns the calls that were made after the first n.
func (a *account) since(n int) []string { return slices.Clone(a.calls[n:]) }

func TestGoldenPlans(t *testing.T) {
	for _, topology := range []cluster.Topology{cluster.Managed, cluster.SelfHosted} {
		t.Run(string(topology), func(t *testing.T) {
			f, a := fleet(t, topology)
			show := func() string {
				plan, err := f.Plan(t.Context(), imagesOf(t, f))
				if err != nil {
					t.Fatal(err)
				}
				return plan.String()
			}
			text := "== an empty account ==\n" + show()
			apply(t, f)
			text += "== applied ==\n" + show()
			a.promote(f.Cluster, 2)
			text += "== new images ==\n" + show()
			golden.Compare(t, filepath.Join("testdata", string(topology)+".plan"), text)
		})
	}
}

// What a plan says is what applying does, and then nothing is left.
func TestApplyDoesWhatPlanSays(t *testing.T) {
	f, a := fleet(t, cluster.SelfHosted)
	for generation := 1; generation <= 4; generation++ {
		a.promote(f.Cluster, generation)
		f.Keep = 2
		plan, err := f.Plan(t.Context(), imagesOf(t, f))
		if err != nil {
			t.Fatal(err)
		}
		calls := func(changes []Change) (list []string) {
			for _, c := range changes {
				list = append(list, c.Call+" "+c.Name)
			}
			return list
		}
		made := apply(t, f)
		if diff := cmp.Diff(calls(plan.Changes), calls(made)); diff != "" {
			t.Errorf("generation %d (-plan +apply)\n%s", generation, diff)
		}
		before := len(a.calls)
		if again := apply(t, f); len(again) > 0 || len(a.calls) != before {
			t.Errorf("applied again: %v", calls(again))
		}
		if err := rolloutOf(f, a).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Applying a role leaves the groups of others as they are: a slot that fails meanwhile comes back with the image that it had.
func TestApplyOfRoles(t *testing.T) {
	f, a := fleet(t, cluster.SelfHosted)
	apply(t, f)
	a.promote(f.Cluster, 2)
	f.Roles = []cluster.Role{cluster.RoleAPI}
	for _, c := range apply(t, f) {
		if !strings.HasSuffix(c.Name, "-api") {
			t.Errorf("%s %s", c.Call, c.Name)
		}
	}
	if again := apply(t, f); len(again) > 0 {
		t.Errorf("applied again: %d changes", len(again))
	}
	f.Roles = nil
	if rest := apply(t, f); len(rest) == 0 {
		t.Error("nothing was left of the others")
	}
}

// A run that is cut off at any call, before it takes effect or after, is completed by the next one, and makes nothing twice.
func TestApplyGoesOn(t *testing.T) {
	count := func(a *account) string {
		versions := 0
		for _, t := range a.templates {
			versions += len(t.versions)
		}
		return fmt.Sprintf("%d interfaces, %d volumes, %d templates, %d versions, %d groups", len(a.interfaces), len(a.volumes), len(a.templates), versions, len(a.groups))
	}
	whole := func(t *testing.T, strike func(a *account, generation int)) *account {
		f, a := fleet(t, cluster.SelfHosted)
		for generation := 1; generation <= 2; generation++ {
			a.promote(f.Cluster, generation)
			strike(a, generation)
			_, err := f.Apply(t.Context(), imagesOf(t, f))
			if err != nil && !strings.Contains(err.Error(), "run it again") {
				t.Errorf("the error does not say how to go on: %v", err)
			}
			a.fail, a.failAfter = -1, -1
			apply(t, f)
			if again := apply(t, f); len(again) > 0 {
				t.Errorf("a third run changes %d things", len(again))
			}
		}
		return a
	}
	clean := whole(t, func(*account, int) {})
	for n := range len(clean.calls) {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %s, after its effect %v", n, clean.calls[n], after), func(t *testing.T) {
				t.Parallel()
				struck := false
				a := whole(t, func(a *account, _ int) {
					if n < len(a.calls) || struck {
						return
					}
					if a.fail = n; after {
						a.fail, a.failAfter = -1, n
					}
					struck = true
				})
				if got, want := count(a), count(clean); got != want {
					t.Errorf("there are %s instead of %s", got, want)
				}
			})
		}
	}
}

func TestApplyRefusesWhatIsNotOurs(t *testing.T) {
	f, a := fleet(t, cluster.Managed)
	a.templates = append(a.templates, &template{LaunchTemplate: types.LaunchTemplate{LaunchTemplateName: aws.String("cincbake-prod-api"), LaunchTemplateId: aws.String("lt-x")}})
	_, err := f.Apply(t.Context(), imagesOf(t, f))
	if exit.CodeOf(err) != exit.Missing || !strings.Contains(err.Error(), "somebody else's") {
		t.Errorf("got %v", err)
	}
}

func TestRollout(t *testing.T) {
	f, a := fleet(t, cluster.SelfHosted)
	apply(t, f)
	rollout := rolloutOf(f, a)
	before := len(a.calls)
	if err := rollout.Run(t.Context()); err != nil || len(a.calls) != before {
		t.Fatalf("with nothing to replace: %v, %v", err, a.since(before))
	}
	a.promote(f.Cluster, 2)
	apply(t, f)
	before = len(a.calls)
	if err := rollout.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := func(node string) string { return "TerminateInstanceInAutoScalingGroup cincbake-prod-" + node }
	want := []string{
		end("heartbeat-1"), end("postgres-2"), "switchover postgres-1", end("postgres-1"),
		end("opensearch-2"), end("opensearch-3"), end("opensearch-1"), "StartInstanceRefresh cincbake-prod-api",
	}
	if diff := cmp.Diff(want, a.since(before)); diff != "" {
		t.Errorf("order (-want +got)\n%s", diff)
	}
	status, err := f.Status(t.Context())
	if err != nil || !status.Green() {
		t.Errorf("the status is %+v, %v", status, err)
	}
	before = len(a.calls)
	if err := rollout.Run(t.Context()); err != nil || len(a.calls) != before {
		t.Errorf("a second run: %v, %v", err, a.since(before))
	}
}

// A rollout that is cut off at any call is completed by the next one, and ends no machine twice.
func TestRolloutGoesOn(t *testing.T) {
	for n := range 8 {
		for _, after := range []bool{false, true} {
			f, a := fleet(t, cluster.SelfHosted)
			apply(t, f)
			a.promote(f.Cluster, 2)
			apply(t, f)
			before := len(a.calls)
			if a.fail = before + n; after {
				a.fail, a.failAfter = -1, before+n
			}
			rollout := rolloutOf(f, a)
			_ = rollout.Run(t.Context()) // the switchover is not struck
			a.fail, a.failAfter = -1, -1
			if err := rollout.Run(t.Context()); err != nil {
				t.Errorf("struck at call %d: %v", n, err)
				continue
			}
			ended := map[string]int{}
			for i, call := range a.since(before) {
				if strings.HasPrefix(call, "Terminate") && (i != n || after) {
					ended[call]++
				}
			}
			for call, times := range ended {
				if times > 1 {
					t.Errorf("struck at call %d, after it took effect: %v: %s %d times", n, after, call, times)
				}
			}
			if status, err := f.Status(t.Context()); err != nil || !status.Green() {
				t.Errorf("struck at call %d: not green: %+v, %v", n, status, err)
			}
		}
	}
}

// A bad image stops a rollout at its first machine, and a rollback makes everything as it was.
func TestBadImage(t *testing.T) {
	for _, c := range []struct {
		role     cluster.Role
		replaced string // the one machine that was
		rollback []string
	}{
		{cluster.RolePostgres, "TerminateInstanceInAutoScalingGroup cincbake-prod-postgres-2", []string{
			"UpdateAutoScalingGroup cincbake-prod-postgres-1", "UpdateAutoScalingGroup cincbake-prod-postgres-2", "TerminateInstanceInAutoScalingGroup cincbake-prod-postgres-2",
		}},
		{cluster.RoleOpenSearch, "TerminateInstanceInAutoScalingGroup cincbake-prod-opensearch-2", []string{
			"UpdateAutoScalingGroup cincbake-prod-opensearch-1", "UpdateAutoScalingGroup cincbake-prod-opensearch-2", "UpdateAutoScalingGroup cincbake-prod-opensearch-3",
			"TerminateInstanceInAutoScalingGroup cincbake-prod-opensearch-2",
		}},
		{cluster.RoleAPI, "StartInstanceRefresh cincbake-prod-api", []string{"UpdateAutoScalingGroup cincbake-prod-api"}},
	} {
		t.Run(string(c.role), func(t *testing.T) {
			t.Parallel()
			f, a := fleet(t, cluster.SelfHosted)
			apply(t, f)
			a.promote(f.Cluster, 2)
			apply(t, f)
			good := rolloutOf(f, a)
			if err := good.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			a.promote(f.Cluster, 3, c.role)
			a.bad[a.parameters[cluster.ChannelParameter("prod", c.role, "stable")]] = true
			apply(t, f)
			before := len(a.calls)
			rollout := rolloutOf(f, a)
			rollout.Roles = []cluster.Role{c.role}
			err := rollout.Run(t.Context())
			if exit.CodeOf(err) != exit.TimedOut || !strings.Contains(err.Error(), "cincbake launch rollback "+string(c.role)) {
				t.Errorf("the rollout ends with %v", err)
			}
			if got := a.since(before); got[0] != c.replaced || len(got) > 1 && got[1] != "CancelInstanceRefresh cincbake-prod-api" {
				t.Errorf("calls: %v", got)
			}
			before = len(a.calls)
			back := Rollback{Rollout: rollout}
			steps, err := back.Plan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range steps {
				if step.From != 3 || step.To != 2 || step.Role != c.role {
					t.Errorf("step %+v", step)
				}
			}
			// It is cut off at its last group, and run again.
			a.fail = before + len(steps) - 1
			if err := back.Run(t.Context(), steps); err == nil {
				t.Error("the fault is lost")
			}
			a.fail, a.calls = -1, a.calls[:before+len(steps)-1]
			if steps, err = back.Plan(t.Context()); err != nil || len(steps) != 1 {
				t.Errorf("what is left is %+v, %v", steps, err)
			}
			if err := back.Run(t.Context(), steps); err != nil {
				t.Fatal(err)
			}
			if steps, err = back.Plan(t.Context()); err != nil || len(steps) > 0 {
				t.Errorf("a third run would take the steps %+v, %v", steps, err)
			}
			if diff := cmp.Diff(c.rollback, a.since(before)); diff != "" {
				t.Errorf("rollback (-want +got)\n%s", diff)
			}
			status, err := f.Status(t.Context())
			if err != nil || !status.Green() {
				t.Errorf("the status is %+v, %v", status, err)
			}
			// Good images again: the version after next goes back to what works, not to the bad one.
			a.promote(f.Cluster, 4, c.role)
			apply(t, f)
			again, err := back.Plan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range again {
				if step.From != 4 || step.To != 2 {
					t.Errorf("from version 4 the way back leads to %d", step.To)
				}
			}
		})
	}
}

func TestRolloutRefuses(t *testing.T) {
	f, a := fleet(t, cluster.SelfHosted)
	apply(t, f)
	a.promote(f.Cluster, 2)
	apply(t, f)
	rollout := rolloutOf(f, a)
	t.Run("slots without agents", func(t *testing.T) {
		blind := rollout
		blind.Agents = nil
		if err := blind.Run(t.Context()); exit.CodeOf(err) != exit.Missing {
			t.Errorf("got %v", err)
		}
	})
	t.Run("while something is missing", func(t *testing.T) {
		before := len(a.calls)
		image := a.parameters[cluster.ChannelParameter("prod", cluster.RoleAPI, "stable")]
		image = strings.TrimSuffix(image, "2") + "1"
		a.bad[image] = true
		defer delete(a.bad, image)
		if err := rollout.Run(t.Context()); exit.CodeOf(err) != exit.TimedOut || len(a.calls) != before {
			t.Errorf("got %v, %v", err, a.since(before))
		}
	})
	t.Run("a rollback of everything", func(t *testing.T) {
		if _, err := (Rollback{Rollout: rollout}).Plan(t.Context()); exit.CodeOf(err) != exit.Invalid {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a rollback to a version that there is not", func(t *testing.T) {
		back := Rollback{Rollout: rollout, To: 9}
		back.Roles = []cluster.Role{cluster.RoleAPI}
		if _, err := back.Plan(t.Context()); exit.CodeOf(err) != exit.Missing {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a database that may hold the newest data", func(t *testing.T) {
		outdated := map[string]Group{"postgres-1": {}}
		all := []operate.NodeStatus{{Node: cluster.Node{Name: "postgres-1", Role: cluster.RolePostgres, Slot: 1}, Error: "silent"}}
		if _, err := brokenSlot(all, outdated); exit.CodeOf(err) != exit.Unsafe {
			t.Errorf("got %v", err)
		}
	})
}
