package launch

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// settled is what there is when a cluster was applied, and what is wanted of it.
func settled(t *testing.T) (Wanted, State) {
	t.Helper()
	f, _ := fleet(t, cluster.SelfHosted)
	apply(t, f)
	w, err := Want(f.Cluster, imagesOf(t, f))
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return w, s
}

func TestDiff(t *testing.T) {
	pool := func(s *State, change func(*Group)) {
		g := s.Groups["cincbake-prod-api"]
		change(&g)
		s.Groups[g.Name] = g
	}
	for name, c := range map[string]struct {
		change func(w *Wanted, s *State)
		want   []string // call, name and fields
		code   exit.Code
	}{
		"nothing": {func(*Wanted, *State) {}, nil, exit.Done},
		"the pool is larger": {func(w *Wanted, _ *State) { w.Groups[0].Max = 8 }, []string{
			"autoscaling:UpdateAutoScalingGroup cincbake-prod-api max: 6 → 8",
		}, exit.Done},
		"somebody made the load balancer's health count": {func(_ *Wanted, s *State) { pool(s, func(g *Group) { g.HealthCheck = "ELB" }) }, []string{
			"autoscaling:UpdateAutoScalingGroup cincbake-prod-api healthCheck: ELB → EC2",
		}, exit.Done},
		"somebody chose $Latest": {func(_ *Wanted, s *State) { pool(s, func(g *Group) { g.Version = 0 }) }, []string{
			"autoscaling:UpdateAutoScalingGroup cincbake-prod-api version: 1",
		}, exit.Done},
		"the hook is gone": {func(_ *Wanted, s *State) { pool(s, func(g *Group) { g.HookTimeout = 0 }) }, []string{
			"autoscaling:PutLifecycleHook cincbake-prod-api ready: within 900 s",
		}, exit.Done},
		"another target group": {func(_ *Wanted, s *State) { pool(s, func(g *Group) { g.TargetGroups = []string{"arn:old"} }) }, []string{
			"autoscaling:AttachLoadBalancerTargetGroups cincbake-prod-api targetGroup: arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/prod/0123456789abcdef",
			"autoscaling:DetachLoadBalancerTargetGroups cincbake-prod-api targetGroup: arn:old → none",
		}, exit.Done},
		"how many there are is the group's own": {func(_ *Wanted, s *State) { pool(s, func(g *Group) { g.Desired = 5 }) }, nil, exit.Done},
		"a slot's security groups": {func(_ *Wanted, s *State) {
			i := s.Interfaces["postgres-1"]
			i.SecurityGroups = []string{"sg-other"}
			s.Interfaces["postgres-1"] = i
		}, []string{"ec2:ModifyNetworkInterfaceAttribute postgres-1 securityGroups: sg-other → sg-00000000000000a02"}, exit.Done},
		"a slot's volume is gone": {func(_ *Wanted, s *State) { delete(s.Volumes, "postgres-2") }, []string{
			"ec2:CreateVolume postgres-2 size: 100 GiB, gp3; zone: eu-west-1b; encrypted: by arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa",
		}, exit.Done},
		"a slot's interface is gone": {func(_ *Wanted, s *State) { delete(s.Interfaces, "heartbeat-1") }, []string{
			"ec2:CreateNetworkInterface heartbeat-1 subnet: subnet-2c3d4e5f607182930; securityGroups: sg-00000000000000a03",
			"ec2:CreateLaunchTemplateVersion cincbake-prod-heartbeat-1 version: 1 → 2; interface: eni-00000000000000005 → (known when it is made)",
			"autoscaling:UpdateAutoScalingGroup cincbake-prod-heartbeat-1 version: 1 → 2",
		}, exit.Done},
		"somebody made a version": {func(_ *Wanted, s *State) {
			lt := s.Templates["cincbake-prod-api"]
			lt.Latest = 2
			lt.Versions = append([]Version{{Number: 2, Fields: map[string]string{"image": "ami-theirs"}}}, lt.Versions...)
			s.Templates["cincbake-prod-api"] = lt
		}, nil, exit.Done},
		"a slot in another subnet": {func(w *Wanted, _ *State) {
			for i := range w.Groups {
				if w.Groups[i].Node.Name == "postgres-1" {
					w.Groups[i].Interface = &WantedInterface{Subnet: "subnet-2c3d4e5f607182930"}
				}
			}
		}, nil, exit.Unsafe},
		"data by another key": {func(_ *Wanted, s *State) {
			volume := s.Volumes["postgres-1"]
			volume.Key = "arn:aws:kms:eu-west-1:111122223333:key/old"
			s.Volumes["postgres-1"] = volume
		}, nil, exit.Unsafe},
		"data in another zone": {func(_ *Wanted, s *State) { s.Volumes["postgres-1"] = Volume{ID: "vol-1", Zone: "eu-west-1c"} }, nil, exit.Unsafe},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := settled(t)
			c.change(&w, &s)
			changes, err := Diff(w, s, DefaultKeep)
			if exit.CodeOf(err) != c.code {
				t.Errorf("got %v", err)
			}
			var got []string
			for _, change := range changes {
				var fields []string
				for _, field := range change.Fields {
					fields = append(fields, field.String())
				}
				got = append(got, change.Call+" "+change.Name+" "+strings.Join(fields, "; "))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("changes (-want +got)\n%s", diff)
			}
		})
	}
}

func TestLeftovers(t *testing.T) {
	w, s := settled(t)
	s.Groups["cincbake-prod-postgres-3"] = Group{Name: "cincbake-prod-postgres-3"}
	if diff := cmp.Diff([]string{"cincbake-prod-postgres-3"}, Leftovers(w, s)); diff != "" {
		t.Error(diff)
	}
}

func TestPrune(t *testing.T) {
	versions := func(after int64, numbers ...int64) (list []Version) {
		for _, n := range numbers {
			v := Version{Number: n}
			if n == 9 {
				v.After = after
			}
			list = append(list, v)
		}
		return list
	}
	for name, c := range map[string]struct {
		versions  []Version
		instances []Instance
		made      bool
		version   int64
		keep      int
		want      []string
	}{
		"enough room":                      {versions(8, 9, 8, 7, 1), nil, true, 9, 4, nil},
		"the oldest go":                    {versions(8, 9, 8, 7, 6, 5, 1), nil, true, 9, 3, []string{"5", "6"}},
		"the way back stays":               {versions(5, 9, 8, 7, 6, 5, 1), nil, true, 9, 3, []string{"6"}},
		"a machine's stays":                {versions(8, 9, 8, 7, 6, 5, 1), []Instance{{Version: 6}}, true, 9, 3, []string{"5"}},
		"room for the new one":             {versions(8, 9, 8, 7, 6, 1), nil, false, 10, 3, []string{"6", "7"}},
		"what is newer than the group's":   {versions(2, 9, 8, 7, 1), nil, true, 7, 1, nil},
		"the default version cannot go":    {versions(8, 9, 8, 1), nil, true, 9, 1, nil},
		"a small number still keeps those": {versions(8, 9, 8, 7, 1), nil, true, 9, 1, []string{"7"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := Group{Version: 9, Instances: c.instances}
			if c.version < 9 {
				g.Version = c.version
			}
			change, _ := pruneChange("name", LaunchTemplate{ID: "lt-1", Default: 1, Versions: c.versions}, g, c.made, c.version, c.keep)
			var got []string
			for _, field := range change.Fields {
				got = append(got, field.Old)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("deleted (-want +got)\n%s", diff)
			}
		})
	}
}

func TestLabel(t *testing.T) {
	digest := strings.Repeat("0a", 32)
	for _, after := range []int64{0, 1, 1234567} {
		text := label(digest, after)
		if len(text) > 255 {
			t.Errorf("%d characters are more than EC2 takes", len(text))
		}
		if gotDigest, gotAfter := parseLabel(text); gotDigest != digest || gotAfter != after {
			t.Errorf("%q is read as %s, %d", text, gotDigest, gotAfter)
		}
	}
	for _, text := range []string{"", "by hand", "cincbake", "after 3"} {
		if gotDigest, gotAfter := parseLabel(text); gotDigest != "" || gotAfter != 0 {
			t.Errorf("%q is read as %s, %d", text, gotDigest, gotAfter)
		}
	}
}

// Every part of a template is in its digest: what differs in no digest would never be rolled out.
func TestDigest(t *testing.T) {
	base := Template{Image: "ami-1", Tags: map[string]string{"a": "b"}, UserData: []byte("x")}
	changed := map[string]Template{}
	for name, change := range map[string]func(*Template){
		"image": func(t *Template) { t.Image = "ami-2" }, "type": func(t *Template) { t.InstanceType = "x" }, "root": func(t *Template) { t.RootDevice = "x" },
		"key": func(t *Template) { t.VolumeKey = "x" }, "profile": func(t *Template) { t.InstanceProfile = "x" }, "groups": func(t *Template) { t.SecurityGroups = []string{"x"} },
		"interface": func(t *Template) { t.Interface = "x" }, "tags": func(t *Template) { t.Tags = map[string]string{"a": "c"} }, "data": func(t *Template) { t.UserData = []byte("y") },
	} {
		other := base
		change(&other)
		changed[name] = other
	}
	seen := map[string]string{base.Digest(): "the template itself"}
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		digest := changed[name].Digest()
		if same, ok := seen[digest]; ok {
			t.Errorf("another %s has the digest of %s", name, same)
		}
		seen[digest] = name
	}
}
