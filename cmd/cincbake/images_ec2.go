package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/ec2"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/sdk"
)

// inEC2 is the value of --images that means the catalogue on AWS.
const inEC2 = "ec2"

// ec2Flag says which catalogue on AWS is meant. What it leaves out, the spec says.
type ec2Flag struct {
	spec    specFlag
	cluster string
	bucket  string
	regions []string
}

func (f *ec2Flag) register(c *cobra.Command) {
	f.spec.register(c)
	c.Flags().StringVar(&f.cluster, "cluster", "", "on AWS: whose images (default: the spec's name)")
	c.Flags().StringVar(&f.bucket, "bucket", "", "on AWS: the bucket that holds the records, in the first region (default: the spec's aws.bucket)")
	c.Flags().StringSliceVar(&f.regions, "regions", nil, "on AWS: the regions of the catalogue (default: the spec's region)")
	for _, name := range []string{"cluster", "bucket", "regions"} {
		_ = c.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

// open returns the catalogue, whose regions are those of the flag and those that the command names besides. It calls nothing
// but what finds the credentials.
func (f *ec2Flag) open(ctx context.Context, besides ...string) (*ec2.Catalogue, error) {
	regions := slices.Clone(f.regions)
	name, bucket := f.cluster, f.bucket
	if name == "" || bucket == "" || len(regions) == 0 {
		_, resolved, err := f.spec.load()
		if err != nil {
			return nil, fmt.Errorf("--cluster, --bucket and --regions say what is meant, or a spec does: %w", err)
		}
		if resolved.Platform != cluster.AWS && (name == "" || len(regions) == 0) {
			return nil, exit.Errorf(exit.Invalid, "%s is of a cluster that is not on AWS: give --cluster, --bucket and --regions", f.spec.path)
		}
		if name == "" {
			name = resolved.Name
		}
		if len(regions) == 0 {
			regions = []string{resolved.Region}
		}
		if bucket == "" && resolved.AWS != nil {
			bucket = resolved.AWS.Bucket
		}
		if bucket == "" {
			return nil, exit.Errorf(exit.Invalid, "%s names no bucket for the images' records: write aws.bucket there, or give --bucket", f.spec.path)
		}
	}
	for _, one := range besides {
		if !slices.Contains(regions, one) {
			regions = append(regions, one)
		}
	}
	base, err := sdk.Load(ctx, regions[0])
	if err != nil {
		return nil, exit.As(exit.Missing, err)
	}
	if _, err := base.Credentials.Retrieve(ctx); err != nil {
		return nil, exit.Errorf(exit.Missing, "no credentials for AWS: set AWS_PROFILE, or run aws sso login: %w", err)
	}
	options := ec2.Options{Cluster: name, Bucket: bucket, Objects: s3.NewFromConfig(base), Interval: pollInterval()}
	for _, region := range regions {
		options.Regions = append(options.Regions, regionOf(base, region))
	}
	catalogue, err := ec2.New(options)
	return catalogue, exit.As(exit.Invalid, err)
}

// regionOf returns what the catalogue calls in a region.
func regionOf(base aws.Config, name string) ec2.Region {
	base.Region = name
	return ec2.Region{Name: name, EC2: awsec2.NewFromConfig(base), Parameters: ssm.NewFromConfig(base), Groups: autoscaling.NewFromConfig(base)}
}

// pollInterval is how long to wait between two looks at a copy: as long as AWS_POLL_DELAY_SECONDS says, which Packer's amazon
// builder knows too; 0: the catalogue's own.
func pollInterval() time.Duration {
	interval, err := time.ParseDuration(os.Getenv("AWS_POLL_DELAY_SECONDS") + "s")
	if err != nil {
		return 0
	}
	return max(interval, 0)
}

// findEC2 returns the image that is meant. One that is not there, or a name that means several, is exit.Invalid.
func findEC2(ctx context.Context, catalogue *ec2.Catalogue, name string) (ec2.Image, error) {
	image, err := catalogue.Show(ctx, name)
	return image, coded(err)
}

// coded gives an error of the catalogue's the exit code that people meet: an image that is not there is exit.Invalid, and one
// that nobody tried exit.Unsafe.
func coded(err error) error {
	var has *exit.Error
	switch {
	case err == nil, errors.As(err, &has):
		return err
	case errors.Is(err, images.ErrUntried):
		return exit.As(exit.Unsafe, err)
	case errors.Is(err, images.ErrNotFound):
		return exit.As(exit.Invalid, err)
	}
	return err
}

// complete completes the names of images, in a few seconds or not at all.
func (f *ec2Flag) complete(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, stop := context.WithTimeout(c.Context(), 3*time.Second)
	defer stop()
	catalogue, err := f.open(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := catalogue.List(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, i := range all {
		names = append(names, i.ID)
		for _, p := range i.Places {
			for _, channel := range p.Channels {
				if name := string(i.Role) + "@" + channel; !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// shelfFlag is --images where either a folder or the catalogue on AWS will do.
type shelfFlag struct {
	imagesFlag
	ec2 ec2Flag
}

func (f *shelfFlag) register(c *cobra.Command) {
	c.Flags().StringVar(&f.dir, "images", "images", "the folder that holds the images, or ec2: the catalogue on AWS")
	_ = c.MarkFlagDirname("images")
	f.ec2.register(c)
}

// onAWS tells whether the catalogue on AWS is meant. A flag that is for that one alone is exit.Invalid with a folder.
func (f *shelfFlag) onAWS(c *cobra.Command, only ...string) (bool, error) {
	if f.dir == inEC2 {
		return true, nil
	}
	for _, name := range append(only, "cluster", "bucket", "regions") {
		if c.Flags().Changed(name) {
			return false, exit.Errorf(exit.Invalid, "--%s is for images on AWS: give --images ec2 too", name)
		}
	}
	return false, nil
}

func (f *shelfFlag) complete(c *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if f.dir == inEC2 {
		return f.ec2.complete(c, args, begin)
	}
	return f.imagesFlag.complete(c, args, begin)
}

// workFlag is what commands that change something on AWS have: --dry-run and -o.
type workFlag struct {
	dryRun bool
	output outputFlag
}

func (f *workFlag) register(c *cobra.Command) {
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be done")
	f.output.register(c)
}

// worked is what `-o json` prints of a command that changes something on AWS.
type worked struct {
	Image  string     `json:"image"`
	Steps  []ec2.Step `json:"steps"` // what was done, or would be
	DryRun bool       `json:"dryRun"`
}

// do does the work for an image and tells each step; with --dry-run it only tells. Steps that were done are told even when a
// later one fails.
func (f *workFlag) do(c *cobra.Command, image string, work ec2.Work) error {
	told := worked{Image: image, Steps: []ec2.Step{}, DryRun: f.dryRun}
	tell := func(s ec2.Step) {
		told.Steps = append(told.Steps, s)
		if !f.output.json() {
			fmt.Fprintln(c.OutOrStdout(), stepLine(s))
		}
	}
	var err error
	if f.dryRun {
		for _, s := range work {
			tell(s)
		}
	} else {
		err = work.Do(c.Context(), tell)
	}
	switch {
	case f.output.json():
		if printErr := printJSON(c.OutOrStdout(), told); err == nil {
			err = printErr
		}
	case err != nil:
	case len(work) == 0:
		fmt.Fprintf(c.OutOrStdout(), "%s: nothing to do, it is all there\n", image)
	case f.dryRun:
		fmt.Fprintf(c.OutOrStdout(), "%s: %s to do: nothing is done with --dry-run\n", image, count(len(work), "step"))
	}
	return coded(err)
}

func stepLine(s ec2.Step) string {
	where := s.Region
	if where == "" {
		where = "s3"
	}
	return where + ": " + s.What
}

// listEC2 prints the catalogue on AWS.
func listEC2(c *cobra.Command, catalogue *ec2.Catalogue, asJSON bool) error {
	all, err := catalogue.List(c.Context())
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(c.OutOrStdout(), all)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(c.OutOrStdout(), "no images: cincbake images push brings baked ones here")
		return err
	}
	rows := make([][]string, len(all))
	for n, i := range all {
		state := "recorded"
		if !i.Recorded {
			state = "not recorded"
		}
		rows[n] = []string{i.ID, strings.Join(i.Channels(), ", "), strings.Join(placesOf(i.Places), ", "), state, moment(i.Booted, "never"), moment(i.Created, "")}
	}
	return printTable(c.OutOrStdout(), []string{"IMAGE", "CHANNEL", "REGIONS", "STATE", "BOOTED", "CREATED (UTC)"}, rows)
}

// placesOf says in which regions AMIs are, and of those that cannot be used yet what they are.
func placesOf(places []ec2.Place) []string {
	var words []string
	for _, p := range places {
		word := p.Region
		switch {
		case p.State != "available":
			word += " (" + p.State + ")"
		case !p.Recorded && slices.ContainsFunc(places, func(other ec2.Place) bool { return other.Recorded }):
			word += " (not recorded)"
		}
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return words
}

func moment(when time.Time, without string) string {
	if when.IsZero() {
		return without
	}
	return when.UTC().Format(time.DateTime)
}

// fetchEC2 brings the records of images into a folder below dir each, to compare them.
func fetchEC2(ctx context.Context, catalogue *ec2.Catalogue, dir string, names []string) (pair [2]images.Entry, err error) {
	for n, name := range names {
		image, err := findEC2(ctx, catalogue, name)
		if err != nil {
			return pair, err
		}
		folder, err := os.MkdirTemp(dir, "image-")
		if err != nil {
			return pair, err
		}
		if pair[n], err = catalogue.Fetch(ctx, image, folder); err != nil {
			return pair, err
		}
	}
	return pair, nil
}
