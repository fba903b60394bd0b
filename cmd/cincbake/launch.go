package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/sdk"
	"github.com/cincbake/cincbake/launch"
	"github.com/cincbake/cincbake/operate"
)

func newLaunch() *cobra.Command {
	return group("launch", "Run the cluster's machines on AWS",
		`Launch runs a cluster's machines on AWS: a launch template and an autoscaling group for the API pool, and the same for every
slot, which keeps its network interface and its data volume when its machine is replaced.

  cincbake launch foundation  what the account must have first, as a CloudFormation template

  cincbake launch plan      what would change
  cincbake launch apply     change it: machines that run stay
  cincbake launch rollout   replace the machines that are of an older version, in order
  cincbake launch rollback  make groups use the version before again, and replace the machines
  cincbake launch status    groups, machines, versions, and what drifted

The spec's section aws names what the account has already. Credentials come from where the AWS command gets them.`,
		newLaunchFoundation(), newLaunchPlan(), newLaunchApply(), newLaunchRollout(), newLaunchRollback(), newLaunchStatus())
}

// fleetFlags say which cluster is launched.
type fleetFlags struct{ specFlag }

// load reads the spec, and refuses one that does not say what launching needs.
func (f *fleetFlags) load() (*cluster.Spec, *cluster.Resolved, error) {
	spec, resolved, err := f.specFlag.load()
	if err != nil {
		return nil, nil, err
	}
	if problems := spec.LaunchProblems(); len(problems) > 0 {
		return nil, nil, exit.Errorf(exit.Invalid, "%s:\n%w", count(len(problems), "mistake"), problems)
	}
	return spec, resolved, nil
}

// fleet connects to the cluster's region.
func (f *fleetFlags) fleet(c *cobra.Command) (*launch.Fleet, *cluster.Spec, error) {
	spec, resolved, err := f.load()
	if err != nil {
		return nil, nil, err
	}
	fleet, err := fleetOf(c.Context(), resolved)
	if err != nil {
		return nil, nil, err
	}
	fleet.Heard = newProgress(c.ErrOrStderr()).say
	return fleet, spec, nil
}

// fleetOfRoles is the fleet as far as it concerns the roles named; none: all.
func (f *fleetFlags) fleetOfRoles(c *cobra.Command, names []string) (*launch.Fleet, error) {
	fleet, _, err := f.fleet(c)
	if err == nil && len(names) > 0 {
		fleet.Roles, err = rolesOf(fleet.Cluster, names)
	}
	return fleet, err
}

// fleetOf connects to a cluster's region with the credentials that the environment gives.
func fleetOf(ctx context.Context, r *cluster.Resolved) (*launch.Fleet, error) {
	loaded, err := sdk.Load(ctx, r.Region)
	if err != nil {
		return nil, exit.As(exit.Missing, err)
	}
	return &launch.Fleet{
		Cluster: r,
		Services: launch.Services{
			EC2: ec2.NewFromConfig(loaded), AutoScaling: autoscaling.NewFromConfig(loaded), Targets: elasticloadbalancingv2.NewFromConfig(loaded), Parameters: ssm.NewFromConfig(loaded),
			Access: iam.NewFromConfig(loaded), Quotas: servicequotas.NewFromConfig(loaded), Caller: sts.NewFromConfig(loaded),
		},
	}, nil
}

// agentsOf returns how the machines are asked; nil, and why, where the cluster's secrets are not at hand.
func agentsOf(spec *cluster.Spec, r *cluster.Resolved) (func(*cluster.Resolved) launch.Agents, error) {
	bundle, err := loadBundle(spec.SecretsPath(), r)
	if err != nil {
		return nil, err
	}
	tls, err := bundle.OperatorTLS()
	if err != nil {
		return nil, err
	}
	return func(located *cluster.Resolved) launch.Agents { return operate.Client{Cluster: located, TLS: tls} }, nil
}

// bootFlags say which images the machines boot from.
type bootFlags struct {
	channel string
	named   []string
}

func (f *bootFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.channel, "channel", "stable", "boot from the images that this channel points to now")
	c.Flags().StringArrayVar(&f.named, "image", nil, "boot machines of a role from this image instead, like postgres=ami-0a1b2c3d")
}

// of returns the images, held against the cluster.
func (f *bootFlags) of(ctx context.Context, fleet *launch.Fleet) (map[cluster.Role]launch.Image, error) {
	named := map[cluster.Role]string{}
	for _, text := range f.named {
		role, id, ok := strings.Cut(text, "=")
		if !ok || !strings.HasPrefix(id, "ami-") {
			return nil, exit.Errorf(exit.Invalid, "--image %s: write a role and an image's id, like postgres=ami-0a1b2c3d", text)
		}
		if len(fleet.Cluster.NodesOf(cluster.Role(role))) == 0 {
			return nil, exit.Errorf(exit.Invalid, "--image %s: cluster %s has no machine of role %q: it has %s", text, fleet.Cluster.Name, role, strings.Join(rolesIn(fleet.Cluster), ", "))
		}
		named[cluster.Role(role)] = id
	}
	return fleet.Images(ctx, f.channel, named)
}

func newLaunchPlan() *cobra.Command {
	var (
		flags  fleetFlags
		images bootFlags
		output outputFlag
	)
	c := &cobra.Command{
		Use:   "plan [ROLE...]",
		Short: "Show what applying would change",
		Long: `Plan reads what the cluster has at AWS and shows how that differs from what the spec wants: network interfaces and volumes of
slots, launch templates field by field, autoscaling groups. It changes nothing. Images are those that the channel points to
at this moment; a launch template always names one exact image. With roles it is about their groups alone.

It also looks for what would stop machines from starting: subnets, security groups, instance profiles, the types of
instances, quotas, permissions. What is missing is told at once, all of it, and the exit code is 3 then.`,
		Example: "  cincbake launch plan\n  cincbake launch plan postgres --image postgres=ami-0a1b2c3d4e5f60718 -o json",
		RunE: func(c *cobra.Command, args []string) error {
			fleet, err := flags.fleetOfRoles(c, args)
			if err != nil {
				return err
			}
			plan, err := planOf(c, fleet, images)
			if err != nil {
				return err
			}
			if output.json() {
				err = printJSON(c.OutOrStdout(), plan)
			} else {
				err = plan.Print(c.OutOrStdout())
			}
			return errors.Join(err, fleet.Preflight(c.Context(), plan))
		},
	}
	flags.register(c)
	images.register(c)
	output.register(c)
	c.ValidArgsFunction = completeRolesOf(&flags.specFlag)
	return c
}

func planOf(c *cobra.Command, fleet *launch.Fleet, images bootFlags) (launch.Plan, error) {
	chosen, err := images.of(c.Context(), fleet)
	if err != nil {
		return launch.Plan{}, err
	}
	return fleet.Plan(c.Context(), chosen)
}

func newLaunchApply() *cobra.Command {
	var (
		flags  fleetFlags
		images bootFlags
		keep   int
		dryRun bool
	)
	c := &cobra.Command{
		Use:   "apply [ROLE...]",
		Short: "Change what the plan shows: machines that run stay",
		Long: `Apply does what "cincbake launch plan" shows. Machines that run stay as they are: "cincbake launch rollout" replaces them. Only
when autoscaling replaces one that failed does a new version reach it before: with roles, the groups of others keep theirs.

It can be run again at any time: a run that was cut off is completed by the next one, and when nothing differs it changes
nothing. What a slot keeps is never deleted.`,
		Example: "  cincbake launch apply\n  cincbake launch apply api --keep 5",
		RunE: func(c *cobra.Command, args []string) error {
			fleet, err := flags.fleetOfRoles(c, args)
			if err != nil {
				return err
			}
			if keep < 1 {
				return exit.Errorf(exit.Invalid, "--keep %d: keep one version at least", keep)
			}
			fleet.Keep = keep
			plan, err := planOf(c, fleet, images)
			if err != nil {
				return err
			}
			if len(plan.Changes) > 0 { // else there is nothing that could be missing
				if err := fleet.Preflight(c.Context(), plan); err != nil {
					return err
				}
			}
			if dryRun {
				fmt.Fprintln(c.ErrOrStderr(), "nothing was changed: without --dry-run it would be what follows")
				return plan.Print(c.OutOrStdout())
			}
			made, err := fleet.Apply(c.Context(), plan.Images)
			if err != nil {
				return err
			}
			if len(made) == 0 {
				fmt.Fprintf(c.ErrOrStderr(), "cluster %s: nothing to change\n", plan.Cluster)
				return nil
			}
			fmt.Fprintf(c.ErrOrStderr(), "cluster %s: %s done; cincbake launch rollout replaces machines of older versions\n", plan.Cluster, count(len(made), "change"))
			return nil
		},
	}
	flags.register(c)
	images.register(c)
	c.Flags().IntVar(&keep, "keep", launch.DefaultKeep, "how many versions of each launch template stay; those in use stay in any case")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be changed, and change nothing")
	c.ValidArgsFunction = completeRolesOf(&flags.specFlag)
	return c
}

// rolloutFlags are what rollout and rollback read.
type rolloutFlags struct {
	fleetFlags
	wait     time.Duration
	downtime bool
	dryRun   bool
}

func (f *rolloutFlags) register(c *cobra.Command) {
	f.fleetFlags.register(c)
	c.Flags().DurationVar(&f.wait, "wait", launchWait, "how long to wait for each machine, until it is ready and nothing is missing")
	c.Flags().BoolVar(&f.downtime, "downtime", false, "replace a machine that is the only one of its role, too")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be replaced, in which order, and change nothing")
	c.ValidArgsFunction = completeRolesOf(&f.specFlag)
}

// launchWait is how long a machine may take, unless it is said: an instance boots in a minute or two, and a database that
// copies its data takes longer.
const launchWait = 20 * time.Minute

func (f *rolloutFlags) rollout(c *cobra.Command, args []string) (launch.Rollout, error) {
	fleet, spec, err := f.fleet(c)
	if err != nil {
		return launch.Rollout{}, err
	}
	roles, err := rolesOf(fleet.Cluster, args)
	if err != nil {
		return launch.Rollout{}, err
	}
	agents, err := agentsOf(spec, fleet.Cluster)
	if err != nil && !poolAlone(fleet.Cluster, roles) {
		return launch.Rollout{}, exit.Errorf(exit.Missing, "slots are replaced only while their machines say that nothing is missing, and they answer to the cluster's secrets alone: %w", err)
	}
	return launch.Rollout{Fleet: fleet, Roles: roles, Agents: agents, Within: f.wait, Downtime: f.downtime}, nil
}

// poolAlone tells whether the API pool is all that a rollout is about.
func poolAlone(r *cluster.Resolved, roles []cluster.Role) bool {
	return !slices.ContainsFunc(r.Nodes, func(n cluster.Node) bool {
		return n.Slot > 0 && (len(roles) == 0 || slices.Contains(roles, n.Role))
	})
}

func newLaunchRollout() *cobra.Command {
	var flags rolloutFlags
	c := &cobra.Command{
		Use:   "rollout [ROLE...]",
		Short: "Replace the machines that are of an older version, in order",
		Long: `Rollout replaces the machines that are not of the version that their group uses. Slots are replaced one at a time, and only
while nothing is missing: the heartbeat, database replicas, after a planned switchover the old primary, then search nodes.
Each new machine has its predecessor's address and volume. The API pool comes last, by an instance refresh: one machine
first, and the others when the cluster is whole with it.

It ends with the first failure and says how to go back. It can be run again, and goes on from there. It must reach the
machines: run it within the network.`,
		Example: "  cincbake launch rollout --dry-run\n  cincbake launch rollout postgres heartbeat",
		RunE: func(c *cobra.Command, args []string) error {
			rollout, err := flags.rollout(c, args)
			if err != nil {
				return err
			}
			turns, err := rollout.Plan(c.Context())
			if err != nil {
				return err
			}
			if len(turns) == 0 {
				fmt.Fprintln(c.ErrOrStderr(), "every machine is of its group's version: nothing to replace")
				return nil
			}
			if flags.dryRun {
				for _, turn := range turns {
					fmt.Fprintf(c.ErrOrStderr(), "would replace %s of %s by version %d%s\n", strings.Join(turn.Outdated, ", "), turn.Group, turn.Version, turn.Prepare.Words())
				}
				return nil
			}
			return timedRollout(c, rollout.Run)
		},
	}
	flags.register(c)
	return c
}

func timedRollout(c *cobra.Command, run func(context.Context) error) error {
	began := time.Now()
	if err := run(c.Context()); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s: done in %.0f s\n", c.Name(), time.Since(began).Seconds())
	return nil
}

func newLaunchRollback() *cobra.Command {
	var (
		flags rolloutFlags
		to    string
	)
	c := &cobra.Command{
		Use:   "rollback ROLE...",
		Short: "Make groups use the version before again, and replace the machines",
		Long: `Rollback makes the groups of the named roles use the version again that most of their machines run besides the newest, and
where none does, the one that they ran before the newest was made. It replaces the machines of others: first those that do
not work, then as rollout does. A refresh that is under way is stopped. A database node that does not answer is replaced only
when another one says that it is primary.

Every group counts its versions for itself. So where several are meant, --to names a number only if it is of the same image in
all of them, and else the image.

The next apply brings back what the channel points to: promote the older image too.`,
		Example: "  cincbake launch rollback postgres\n  cincbake launch rollback api --to 7\n  cincbake launch rollback opensearch --to ami-0a1b2c3d4e5f60718",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			rollout, err := flags.rollout(c, args)
			if err != nil {
				return err
			}
			back := launch.Rollback{Rollout: rollout}
			if err := backTo(&back, to); err != nil {
				return err
			}
			steps, err := back.Plan(c.Context())
			if err != nil {
				return err
			}
			if flags.dryRun {
				for _, step := range steps {
					fmt.Fprintf(c.ErrOrStderr(), "would make %s use version %d, with %s, instead of %d\n", step.Group, step.To, step.Image, step.From)
				}
				if len(steps) == 0 {
					fmt.Fprintln(c.ErrOrStderr(), "the groups use that version already")
				}
				return nil
			}
			turns, err := rollout.Plan(c.Context())
			if err != nil {
				return err
			}
			if len(steps)+len(turns) == 0 {
				fmt.Fprintln(c.ErrOrStderr(), "the groups use the version before already, and so do their machines: nothing to do; --to names another one")
				return nil
			}
			return timedRollout(c, func(ctx context.Context) error { return back.Run(ctx, steps) })
		},
	}
	flags.register(c)
	c.Flags().StringVar(&to, "to", "", "the version to go back to, or its image, like ami-… (default: what machines run, or ran before)")
	return c
}

// backTo reads where a rollback is to lead: a version's number, or an image.
func backTo(back *launch.Rollback, to string) (err error) {
	switch {
	case to == "":
	case strings.HasPrefix(to, "ami-"):
		back.Image = to
	default:
		if back.To, err = strconv.ParseInt(to, 10, 64); err != nil || back.To < 1 {
			return exit.Errorf(exit.Invalid, "--to %s is no version: name its number, like 7, or its image, like ami-0a1b2c3d4e5f60718", to)
		}
	}
	return nil
}
