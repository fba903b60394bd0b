package launch

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// machinesOf are instances in service of those versions; of a negative one, such as are not.
func machinesOf(versions ...int64) []Instance {
	var list []Instance
	for _, version := range versions {
		i := Instance{State: "InService", Healthy: true, Version: version}
		if version < 0 {
			i.State, i.Version = "Pending:Wait", -version
		}
		list = append(list, i)
	}
	return list
}

func TestWayBack(t *testing.T) {
	for name, c := range map[string]struct {
		uses     int64   // the group
		machines []int64 // negative: not in service
		versions []Version
		want     int64
	}{
		"a bad one stopped at the first":                       {2, []int64{-2, 1, 1}, []Version{{2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"all are of the newest":                                {2, []int64{2, 2}, []Version{{2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"nobody works":                                         {2, []int64{-2}, []Version{{2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"a bad fix of a bad one, whose version says otherwise": {3, []int64{-3, 1, 1}, []Version{{3, "d", 2, nil}, {2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"a group was moved on, and nothing rolled out":         {4, []int64{1}, []Version{{4, "d", 3, nil}, {3, "d", 2, nil}, {2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"the slot next to it, with the bad machine":            {4, []int64{-4}, []Version{{4, "d", 1, nil}, {3, "d", 1, nil}, {2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"most machines":                                        {3, []int64{2, 1, 1, -3}, []Version{{3, "d", 2, nil}, {2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"equally many of two":                                  {3, []int64{2, 1, -3}, []Version{{3, "d", 2, nil}, {2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"the newest serves too":                                {2, []int64{2, 2, 1}, []Version{{2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"a rollback was cut off":                               {1, []int64{2, 2, 1}, []Version{{2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"a rollback of all was cut off":                        {1, []int64{2, 2}, []Version{{2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"a rollback is through":                                {1, []int64{1, 1}, []Version{{2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"somebody made a version, and nobody uses it":          {2, []int64{1, -2}, []Version{{3, "", 0, nil}, {2, "d", 1, nil}, {1, "d", 0, nil}}, 1},
		"somebody made a version, and the group uses it":       {3, []int64{2, -3}, []Version{{3, "", 0, nil}, {2, "d", 1, nil}, {1, "d", 0, nil}}, 2},
		"the first version of all":                             {1, []int64{1, 1}, []Version{{1, "d", 0, nil}}, 0},
		"no exact version":                                     {0, []int64{1, 1}, []Version{{2, "d", 1, nil}, {1, "d", 0, nil}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := Group{Version: c.uses, Instances: machinesOf(c.machines...)}
			if got := g.wayBack(LaunchTemplate{Versions: c.versions}); got != c.want {
				t.Errorf("it leads to %d instead of %d", got, c.want)
			}
		})
	}
}

func TestVersionBefore(t *testing.T) {
	for name, c := range map[string]struct {
		uses     int64
		machines []int64
		want     int64
	}{
		"all run it":                       {2, []int64{2, 2}, 2},
		"moved on, and nothing rolled out": {3, []int64{1, 1}, 1},
		"a bad one was given up":           {2, []int64{-2, 1, 1}, 1},
		"none is in service":               {2, []int64{-2}, 2},
		"there is none":                    {0, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := Group{Template: "lt-1", Version: c.uses, Instances: machinesOf(c.machines...)}
			if got := g.versionBefore(LaunchTemplate{ID: "lt-1"}); got != c.want {
				t.Errorf("got %d instead of %d", got, c.want)
			}
		})
	}
}

// stepsBack are the steps of a rollback: groups, and the generations of the images that they go back to.
func (a *account) stepsBack(t *testing.T, f *Fleet, of cluster.Role) string {
	t.Helper()
	back := Rollback{Rollout: rolloutOf(f, a)}
	back.Roles = []cluster.Role{of}
	steps, err := back.Plan(t.Context())
	if err != nil {
		return err.Error()
	}
	var images []string
	for _, step := range steps {
		images = append(images, strings.TrimPrefix(step.Group, "cincbake-prod-")+" "+step.Image[len(step.Image)-1:])
	}
	return strings.Join(images, ", ")
}

// Where the way back leads, by images: the number of each is its generation.
func TestRollbackLeadsToWhatRuns(t *testing.T) {
	begin := func(t *testing.T) (*Fleet, *account) {
		t.Helper()
		f, a := fleet(t, cluster.SelfHosted)
		apply(t, f)
		return f, a
	}
	bad := func(t *testing.T, f *Fleet, a *account, generation int, role cluster.Role) {
		t.Helper()
		a.promote(f.Cluster, generation, role)
		a.bad[a.parameters[cluster.ChannelParameter("prod", role, "stable")]] = true
		apply(t, f)
		rollout := rolloutOf(f, a)
		rollout.Roles, rollout.Within = []cluster.Role{role}, 100*time.Millisecond
		if err := rollout.Run(t.Context()); err == nil {
			t.Fatal("a bad image was rolled out")
		}
	}
	t.Run("a bad fix of a bad one", func(t *testing.T) {
		f, a := begin(t)
		bad(t, f, a, 2, cluster.RoleAPI)
		bad(t, f, a, 3, cluster.RoleAPI)
		if got := a.stepsBack(t, f, cluster.RoleAPI); got != "api 1" {
			t.Errorf("the way back: %s", got)
		}
	})
	t.Run("groups moved on, and nothing rolled out", func(t *testing.T) {
		f, a := begin(t)
		for generation := 2; generation <= 3; generation++ {
			a.promote(f.Cluster, generation, cluster.RolePostgres)
			apply(t, f)
		}
		bad(t, f, a, 4, cluster.RolePostgres)
		if got := a.stepsBack(t, f, cluster.RolePostgres); got != "postgres-1 1, postgres-2 1" {
			t.Errorf("the way back: %s", got)
		}
		before := len(a.calls)
		back := Rollback{Rollout: rolloutOf(f, a)}
		back.Roles = []cluster.Role{cluster.RolePostgres}
		steps, err := back.Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := back.Run(t.Context(), steps); err != nil {
			t.Fatal(err)
		}
		for _, call := range a.since(before) {
			if call == "TerminateInstanceInAutoScalingGroup cincbake-prod-postgres-1" {
				t.Error("a healthy machine is replaced")
			}
		}
	})
	t.Run("an earlier image comes again", func(t *testing.T) {
		f, a := begin(t)
		for _, generation := range []int{2, 3, 1} {
			a.promote(f.Cluster, generation, cluster.RoleAPI)
			apply(t, f)
			rollout := rolloutOf(f, a)
			rollout.Roles = []cluster.Role{cluster.RoleAPI}
			if err := rollout.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if again := apply(t, f); len(again) > 0 {
			t.Errorf("applied again: %+v", again)
		}
		if got := a.stepsBack(t, f, cluster.RoleAPI); got != "api 3" {
			t.Errorf("with the first image, the way back: %s", got)
		}
		bad(t, f, a, 3, cluster.RoleAPI)
		if got := a.stepsBack(t, f, cluster.RoleAPI); got != "api 1" {
			t.Errorf("with the third image, the way back: %s", got)
		}
	})
}

// Every template counts its versions for itself: a number that is of several images is refused, and an image leads everywhere.
func TestRollbackToNumberOrImage(t *testing.T) {
	f, a := fleet(t, cluster.SelfHosted)
	apply(t, f)
	a.promote(f.Cluster, 2, cluster.RoleOpenSearch)
	apply(t, f)
	if err := rolloutOf(f, a).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	// One group has a version more than the others.
	last := a.template(*a.group("cincbake-prod-opensearch-3").LaunchTemplate.LaunchTemplateId)
	for _, n := range []int{0, 1} {
		last.versions[n].VersionNumber = aws.Int64(*last.versions[n].VersionNumber + 1)
	}
	last.LatestVersionNumber = aws.Int64(3)
	g := a.group("cincbake-prod-opensearch-3")
	g.LaunchTemplate.Version = aws.String("3")
	g.Instances[0].LaunchTemplate.Version = aws.String("3")

	back := Rollback{Rollout: rolloutOf(f, a), To: 2}
	back.Roles = []cluster.Role{cluster.RoleOpenSearch}
	_, err := back.Plan(t.Context())
	if exit.CodeOf(err) != exit.Unsafe {
		t.Fatalf("a number of two images: %v", err)
	}
	first := a.template(*a.group("cincbake-prod-opensearch-1").LaunchTemplate.LaunchTemplateId)
	image := aws.ToString(first.versions[0].LaunchTemplateData.ImageId)
	for _, part := range []string{"opensearch-1 ami-", "opensearch-2 ami-", "opensearch-3 " + image, "--to ami-"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("nothing is said of %q: %v", part, err)
		}
	}
	back.To, back.Image = 0, image
	steps, err := back.Plan(t.Context())
	if err != nil || len(steps) != 3 {
		t.Fatalf("the way to an image: %+v, %v", steps, err)
	}
	for _, step := range steps {
		if step.Image != image {
			t.Errorf("step %+v", step)
		}
	}
	back.Image = "ami-gone"
	if _, err := back.Plan(t.Context()); exit.CodeOf(err) != exit.Missing {
		t.Errorf("an image that there is not: %v", err)
	}
}
