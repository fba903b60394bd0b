package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/packer"
)

// bakeFlags are what a bake is told on the command line.
type bakeFlags struct {
	spec     specFlag
	folder   imagesFlag
	output   outputFlag
	builder  string
	formats  []string
	offline  bool
	snapshot bool
	packer   string
	template string
	vars     []string
	parallel int
	keepLogs bool
	dryRun   bool
}

func newBake() *cobra.Command {
	var f bakeFlags
	c := &cobra.Command{
		Use:   "bake [ROLE…]",
		Short: "Bake the images of a cluster with packer build",
		Long: `Bake runs packer build for every role of the cluster, or for those that are named, at the same time. Each image is verified
and sealed before it appears among the images. A role that fails does not stop the others.

  --builder rootfs      on this host, in trees of files: needs root on Debian or Ubuntu, and takes seconds. The default on-premises
  --builder qemu        in virtual machines, from Debian's cloud image: needs QEMU, and no root
  --builder amazon-ebs  on instances of EC2. The default on AWS

What Packer says goes to a log per role, IMAGES/logs/ROLE.log. The log of a role that failed stays and is named; the others go,
unless --keep-logs is given.

It ends with exit code 3 when a program, a plugin or a permission is missing, and names them all.`,
		Example: `  cincbake bake
  cincbake bake postgres heartbeat --format rootfs,qcow2
  cincbake bake --offline --snapshot
  cincbake bake api --builder qemu --var accelerator=tcg
  cincbake bake --dry-run`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeRolesOf(&f.spec),
		RunE:              func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	f.spec.register(c)
	f.folder.register(c)
	f.output.register(c)
	c.Flags().StringVar(&f.builder, "builder", "", "what makes the images: rootfs, qemu or amazon-ebs (default: by the cluster's platform)")
	c.Flags().StringSliceVar(&f.formats, "format", nil, "what each image is made as, for --builder rootfs: rootfs, qcow2 or both (default rootfs)")
	c.Flags().BoolVar(&f.offline, "offline", false, "take packages from the cache alone, for --builder rootfs")
	c.Flags().BoolVar(&f.snapshot, "snapshot", false, "take Debian as it was at the lock file's moment")
	c.Flags().StringVar(&f.packer, "packer", "", "the Packer to run (default: the one on the PATH)")
	c.Flags().StringVar(&f.template, "template", "", "the Packer template (default: packer/BUILDER.pkr.hcl)")
	c.Flags().StringArrayVar(&f.vars, "var", nil, "NAME=VALUE for a variable of the template; may be given again")
	c.Flags().IntVar(&f.parallel, "parallel", 0, "how many roles to bake at the same time (default: all; one with --builder qemu)")
	c.Flags().BoolVar(&f.keepLogs, "keep-logs", false, "keep the logs of bakes that went well too")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "print the commands, and run none")
	_ = c.RegisterFlagCompletionFunc("builder", fixed(packer.Builders()...))
	_ = c.RegisterFlagCompletionFunc("format", fixed(images.KindRootfs, images.KindQCOW2))
	_ = c.MarkFlagFilename("template", "hcl")
	_ = c.MarkFlagFilename("packer")
	return c
}

func (f *bakeFlags) run(c *cobra.Command, args []string) error {
	_, resolved, err := f.spec.load()
	if err != nil {
		return err
	}
	roles, err := rolesOf(resolved, args)
	if err != nil {
		return err
	}
	if err := f.check(resolved, roles); err != nil {
		return err
	}
	builder := f.builderFor(resolved)
	vars, err := f.variables(builder)
	if err != nil {
		return err
	}
	if _, err := os.Stat(f.templateOf(builder)); err != nil {
		return exit.Errorf(exit.Missing, "the Packer template: %w: cincbake init --templates writes one", err)
	}
	catalogue, err := f.folder.open()
	if err != nil {
		return err
	}
	if f.dryRun {
		return f.printCommands(c, builder, roles, vars)
	}
	if needsKey(builder, vars) {
		folder, err := os.MkdirTemp("", "cincbake-key-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		vars[keyVar] = filepath.Join(folder, "key")
		if err := packer.NewKey(vars[keyVar]); err != nil {
			return fmt.Errorf("make a key for the bakes: %w", err)
		}
	}
	tool, err := bakery(c.Context(), f.packer, builder, vars)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.logs(), 0o755); err != nil {
		return err
	}
	p := newBoard(c.ErrOrStderr(), roles)
	all := bake(c.Context(), tool, f.builds(builder, roles, vars), roles, f.together(builder), p)
	p.close()
	if vars["skip_create_ami"] != "true" {
		all.lookUp(context.WithoutCancel(c.Context()), catalogue, resolved) // what is baked is told, also of a bake that was stopped
	}
	return errors.Join(all.print(c, f.output), f.sweepLogs(all), all.failure())
}

// keyVar is the variable of the template qemu that names the key of its machines.
const keyVar = "ssh_key_file"

// needsKey tells whether the bake must make that key.
func needsKey(builder packer.Builder, vars map[string]string) bool {
	_, named := vars[keyVar]
	return builder == packer.QEMU && !named
}

// printCommands prints what a person would type.
func (f *bakeFlags) printCommands(c *cobra.Command, builder packer.Builder, roles []cluster.Role, vars map[string]string) error {
	if needsKey(builder, vars) {
		vars[keyVar] = "bake-key"
		fmt.Fprintln(c.OutOrStdout(), "ssh-keygen -q -t ed25519 -N '' -f bake-key")
	}
	for _, b := range f.builds(builder, roles, vars) {
		fmt.Fprintln(c.OutOrStdout(), b.Command(packer.Packer{Path: "packer"}))
	}
	return nil
}

// check refuses what a bake could not end well with, before Packer starts.
func (f *bakeFlags) check(r *cluster.Resolved, roles []cluster.Role) error {
	var problems []error
	builder := f.builderFor(r)
	switch {
	case !slices.Contains(packer.Builders(), builder):
		problems = append(problems, fmt.Errorf("--builder: there is no %q: rootfs, qemu or amazon-ebs", builder))
	case !slices.Contains(buildersOn(r.Platform), builder):
		problems = append(problems, fmt.Errorf("--builder: %s makes no images for platform %s: use %s", builder, r.Platform, buildersOn(r.Platform)))
	case builder != packer.Rootfs && f.offline:
		problems = append(problems, fmt.Errorf("--offline: only the builder rootfs has a cache of packages, %s has none", builder))
	case builder != packer.Rootfs && len(f.formats) > 0:
		problems = append(problems, fmt.Errorf("--format: only the builder rootfs makes several forms of an image, %s makes its own", builder))
	}
	for _, format := range f.formats {
		if kind := images.Kind(format); kind != images.KindRootfs && kind != images.KindQCOW2 {
			problems = append(problems, fmt.Errorf("--format: there is no %q: rootfs or qcow2", format))
		}
	}
	if f.parallel < 0 {
		problems = append(problems, fmt.Errorf("--parallel: %d is no number of bakes", f.parallel))
	}
	if f.snapshot && r.Lock.Snapshot == "" {
		problems = append(problems, errors.New("--snapshot: the lock file names no moment: run \"cincbake lock\" when the images are there"))
	}
	for _, role := range roles {
		recipe := r.Recipe(role)
		if err := recipe.Complete(); err != nil {
			problems = append(problems, err)
		}
		if locked, ok := r.Lock.Image(role); ok && locked.RecipeDigest != recipe.Digest() {
			problems = append(problems, fmt.Errorf("%s: the lock file is for another recipe than %s: run \"cincbake lock\", which lets go of it", role, recipe))
		}
	}
	return exit.As(exit.Invalid, errors.Join(problems...))
}

// builderFor is the builder that was asked for, or the platform's own.
func (f *bakeFlags) builderFor(r *cluster.Resolved) packer.Builder {
	if f.builder != "" {
		return packer.Builder(f.builder)
	}
	return buildersOn(r.Platform)[0]
}

func (f *bakeFlags) templateOf(builder packer.Builder) string {
	if f.template != "" {
		return f.template
	}
	return builder.File()
}

func (f *bakeFlags) logs() string { return filepath.Join(f.folder.dir, "logs") }

// together is how many bakes run at the same time. A whole machine each is too much for most hosts; a tree of files is not.
func (f *bakeFlags) together(builder packer.Builder) int {
	switch {
	case f.parallel > 0:
		return f.parallel
	case builder == packer.QEMU:
		return 1
	}
	return len(cluster.Roles())
}

// variables are the template's: what the flags say, and above that what --var says.
func (f *bakeFlags) variables(builder packer.Builder) (map[string]string, error) {
	vars := map[string]string{"spec": f.spec.path, "images": f.folder.dir}
	if builder == packer.Rootfs && len(f.formats) > 0 {
		vars["formats"] = `["` + strings.Join(f.formats, `","`) + `"]`
	}
	if f.offline {
		vars["offline"] = "true"
	}
	if f.snapshot {
		vars["snapshot"] = "true"
	}
	for _, said := range f.vars {
		name, value, ok := strings.Cut(said, "=")
		if !ok || name == "" {
			return nil, exit.Errorf(exit.Invalid, "--var: %q is not NAME=VALUE", said)
		}
		vars[name] = value
	}
	return vars, nil
}

// builds returns a run of Packer for each role.
func (f *bakeFlags) builds(builder packer.Builder, roles []cluster.Role, vars map[string]string) []packer.Build {
	builds := make([]packer.Build, len(roles))
	for i, role := range roles {
		builds[i] = packer.Build{
			Template: f.templateOf(builder),
			Only:     builder.SourceOf(string(role)),
			Vars:     vars,
			Log:      filepath.Join(f.logs(), string(role)+".log"),
			Grace:    builder.Grace(),
		}
	}
	return builds
}

// sweepLogs removes the logs that nobody needs.
func (f *bakeFlags) sweepLogs(all bakes) error {
	if f.keepLogs {
		return nil
	}
	for _, b := range all {
		if b.err == nil {
			if err := os.Remove(b.log); err != nil {
				return err
			}
		}
	}
	// Empty, it goes too; otherwise there are logs in it that somebody may want.
	if rest, err := os.ReadDir(f.logs()); err != nil || len(rest) > 0 {
		return err
	}
	return os.Remove(f.logs())
}

// rolesOf returns the roles to work on: those named, each of which the cluster must have, or all that it has.
func rolesOf(r *cluster.Resolved, names []string) ([]cluster.Role, error) {
	var roles []cluster.Role
	for _, role := range cluster.Roles() {
		if len(r.NodesOf(role)) > 0 {
			roles = append(roles, role)
		}
	}
	if len(names) == 0 {
		return roles, nil
	}
	var wanted []cluster.Role
	for _, name := range names {
		role := cluster.Role(name)
		switch {
		case !slices.Contains(roles, role):
			return nil, exit.Errorf(exit.Invalid, "cluster %s has no machines of role %q, only of %v", r.Name, name, roles)
		case !slices.Contains(wanted, role):
			wanted = append(wanted, role)
		}
	}
	return wanted, nil
}

// bakery finds all that a bake needs before any of it starts, and names everything that is missing.
func bakery(ctx context.Context, program string, builder packer.Builder, vars map[string]string) (packer.Packer, error) {
	host := requireBakery(builder, vars)
	tool, err := packer.Find(program)
	if err == nil {
		err = tool.RequirePlugins(ctx, builder.Plugins())
	}
	if host != nil {
		return tool, exit.As(exit.Missing, errors.Join(host, err))
	}
	return tool, err
}

// baked is a bake of a role: how it ended, and what it made.
type baked struct {
	Role          cluster.Role      `json:"role"`
	Image         string            `json:"image,omitempty"`
	ContentDigest string            `json:"contentDigest,omitempty"`
	Artefacts     []images.Artefact `json:"artefacts,omitempty"`
	Seconds       float64           `json:"seconds"`
	Phases        []cluster.Phase   `json:"phases,omitempty"`
	// Log is there after a failure, with what went wrong.
	Log   string `json:"log,omitempty"`
	Error string `json:"error,omitempty"`

	log string
	err error
}

// bakes are the bakes of one command.
type bakes []baked

// bake runs the builds, so many at the same time. One that fails does not stop the others.
func bake(ctx context.Context, tool packer.Packer, builds []packer.Build, roles []cluster.Role, together int, p *board) bakes {
	var (
		baking sync.WaitGroup
		all    = make(bakes, len(builds))
		turns  = make(chan struct{}, together)
	)
	for i, b := range builds {
		baking.Go(func() {
			role := string(roles[i])
			all[i] = baked{Role: roles[i], log: b.Log}
			select {
			case turns <- struct{}{}:
				defer func() { <-turns }()
			case <-ctx.Done():
			}
			if ctx.Err() != nil { // Packer is not even started, so there is no log
				all[i].err = fmt.Errorf("%s: not begun: %w", role, context.Cause(ctx))
				p.end(role, "not begun")
				return
			}
			began := time.Now()
			p.begin(role)
			quiet := context.AfterFunc(ctx, func() { p.say(role, "stopped: Packer cleans up") })
			err := tool.Build(ctx, b, func(step string) { p.say(role, step) })
			quiet()
			all[i].Seconds = time.Since(began).Seconds()
			switch {
			case err == nil:
				p.end(role, "baked")
				return
			case ctx.Err() != nil:
				p.end(role, "stopped")
			default:
				p.end(role, "failed, see "+b.Log)
			}
			all[i].err, all[i].Log = fmt.Errorf("%s: %w", role, err), b.Log
		})
	}
	baking.Wait()
	return all
}

// lookUp finds what was baked: what the catalogue has is what counts, not what Packer said.
func (all bakes) lookUp(ctx context.Context, catalogue *images.Catalogue, r *cluster.Resolved) {
	for i := range all {
		b := &all[i]
		if b.err != nil {
			continue
		}
		entry, err := catalogue.Find(ctx, b.Role, r.Recipe(b.Role).Digest())
		if err != nil {
			b.err, b.Log = fmt.Errorf("%s: packer build went well, but its image is not there: %w; the log is %s", b.Role, err, b.log), b.log
			continue
		}
		b.Image, b.ContentDigest = entry.ID, entry.Record.ContentDigest
		b.Artefacts, b.Phases = entry.Record.Artefacts, entry.Record.Phases
	}
}

// failure is what went wrong, of all roles.
func (all bakes) failure() error {
	var problems []error
	for _, b := range all {
		problems = append(problems, b.err)
	}
	return errors.Join(problems...)
}

func (all bakes) print(c *cobra.Command, output outputFlag) error {
	if output.json() {
		told := slices.Clone(all)
		for i, b := range told {
			if b.err != nil {
				told[i].Error = b.err.Error()
			}
		}
		return printJSON(c.OutOrStdout(), told)
	}
	phases := all.phases()
	header := []string{"ROLE", "IMAGE", "SIZE", "TOOK"}
	for _, name := range phases {
		header = append(header, strings.ToUpper(path.Base(name))) // provision/seal is a part of provision
	}
	var rows [][]string
	for _, b := range all {
		if b.err != nil {
			continue // told as an error, with the log's last lines
		}
		row := []string{string(b.Role), b.Image, sizes(b.Artefacts), seconds(b.Seconds)}
		for _, name := range phases {
			cell := "-"
			if spent := spentOn(b.Phases, name); spent > 0 {
				cell = seconds(spent)
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil
	}
	return printTable(c.OutOrStdout(), header, rows)
}

// shortest is what a phase must have taken somewhere to be a column.
const shortest = 0.1

// phases are the names of the phases that took time, in their order.
func (all bakes) phases() []string {
	var names []string
	for _, b := range all {
		for _, phase := range b.Phases {
			if !slices.Contains(names, phase.Name) && spentOn(b.Phases, phase.Name) >= shortest {
				names = append(names, phase.Name)
			}
		}
	}
	return names
}

func spentOn(phases []cluster.Phase, name string) (total float64) {
	for _, phase := range phases {
		if phase.Name == name {
			total += phase.Seconds
		}
	}
	return total
}

func seconds(n float64) string { return fmt.Sprintf("%.1f s", n) }

// sizes says how large the files of an image are, or where in a cloud it is.
func sizes(artefacts []images.Artefact) string {
	var words []string
	for _, a := range artefacts {
		if a.File == "" {
			words = append(words, a.ID)
		} else {
			words = append(words, megabytes(a.Bytes))
		}
	}
	if words == nil {
		return "-"
	}
	return strings.Join(words, " + ")
}
