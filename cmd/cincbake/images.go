package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
)

// imagesFlag is --images: the folder that holds the images.
type imagesFlag struct{ dir string }

func (f *imagesFlag) register(c *cobra.Command) {
	c.Flags().StringVar(&f.dir, "images", "images", "the folder that holds the images")
	_ = c.MarkFlagDirname("images")
}

// open opens the catalogue; a path that cannot be one is exit.Invalid.
func (f *imagesFlag) open() (*images.Catalogue, error) {
	if f.dir == inEC2 {
		return nil, exit.Errorf(exit.Invalid, "--images ec2 is the catalogue on AWS, and this command works on a folder: a folder of that name is ./ec2")
	}
	catalogue, err := images.Open(f.dir)
	return catalogue, exit.As(exit.Invalid, err)
}

// imageSummary is a row of `images list -o json`. Problem tells what is wrong with a broken image; nothing else is known
// of it then.
type imageSummary struct {
	ID       string         `json:"id"`
	Channels []string       `json:"channels,omitempty"`
	Record   *images.Record `json:"record,omitempty"`
	Problem  string         `json:"problem,omitempty"`
}

func newImages() *cobra.Command {
	return group("images", "Look at the baked images, try them, and decide which ones are used", "", newImagesList(), newImagesShow(),
		newImagesVerify(), newImagesDiff(), newImagesPush(), newImagesPromote(), newImagesCopy(), newImagesDeprecate(), newImagesPrune())
}

func newImagesList() *cobra.Command {
	var (
		folder shelfFlag
		output outputFlag
	)
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the images, newest first",
		Example: "  cincbake images list\n  cincbake images list --images ec2 --regions eu-west-1,eu-central-1 -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			aws, err := folder.onAWS(c)
			if err != nil {
				return err
			}
			if aws {
				catalogue, err := folder.ec2.open(c.Context())
				if err != nil {
					return err
				}
				return listEC2(c, catalogue, output.json())
			}
			catalogue, err := folder.open()
			if err != nil {
				return err
			}
			entries, err := catalogue.List(c.Context())
			if err != nil {
				return err
			}
			summaries := []imageSummary{}
			rows := [][]string{}
			for _, e := range entries {
				if e.Err != nil {
					summaries = append(summaries, imageSummary{ID: e.ID, Problem: e.Err.Error()})
					rows = append(rows, []string{e.ID, "", "broken: " + e.Err.Error()})
					continue
				}
				channels, err := catalogue.ChannelsOf(e)
				if err != nil {
					return err
				}
				summaries = append(summaries, imageSummary{ID: e.ID, Channels: channels, Record: &e.Record})
				rows = append(rows, []string{
					e.ID, strings.Join(channels, ", "), contents(e.Record), forms(e.Record), booted(e.Record),
					e.Record.Created.UTC().Format(time.DateTime), e.Record.AgentVersion,
				})
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), summaries)
			}
			if len(entries) == 0 {
				_, err := fmt.Fprintf(c.OutOrStdout(), "%s holds no images: cincbake bake makes them\n", folder.dir)
				return err
			}
			return printTable(c.OutOrStdout(), []string{"IMAGE", "CHANNEL", "HOLDS", "FORMS", "BOOTED", "CREATED (UTC)", "AGENT"}, rows)
		},
	}
	folder.register(c)
	output.register(c)
	return c
}

func newImagesShow() *cobra.Command {
	var (
		folder shelfFlag
		output outputFlag
	)
	c := &cobra.Command{
		Use:   "show IMAGE",
		Short: "Show what an image holds",
		Long: "Show prints an image's record. Name the image as list does, by the first digits of its content digest, or by a role and a\n" +
			"channel, like postgres@stable; on AWS, by an AMI's id too.",
		Example: "  cincbake images show postgres/0123456789ab\n  cincbake images show 0123 -o json\n  cincbake images show lb@stable",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			entry, err := folder.find(c, args[0])
			if err != nil {
				return err
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), entry.Record)
			}
			return printRecord(c, entry)
		},
		ValidArgsFunction: folder.complete,
	}
	folder.register(c)
	output.register(c)
	return c
}

// find returns a whole image of the folder, or of the catalogue on AWS, where it has no file.
func (f *shelfFlag) find(c *cobra.Command, name string) (images.Entry, error) {
	aws, err := f.onAWS(c)
	if err != nil {
		return images.Entry{}, err
	}
	if !aws {
		catalogue, err := f.open()
		if err != nil {
			return images.Entry{}, err
		}
		return find(c.Context(), catalogue, name)
	}
	catalogue, err := f.ec2.open(c.Context())
	if err != nil {
		return images.Entry{}, err
	}
	image, err := findEC2(c.Context(), catalogue, name)
	if err != nil {
		return images.Entry{}, err
	}
	record, err := catalogue.Record(c.Context(), image)
	return images.Entry{ID: image.ID, Record: record}, coded(err)
}

// find returns a whole image. One that is not there, or a name that means several, is exit.Invalid.
func find(ctx context.Context, catalogue *images.Catalogue, name string) (images.Entry, error) {
	entry, err := catalogue.Show(ctx, name)
	if err != nil {
		return entry, exit.As(exit.Invalid, err)
	}
	if entry.Err != nil {
		return entry, fmt.Errorf("%s is broken: %w: bake it again", entry.ID, entry.Err)
	}
	return entry, nil
}

func printRecord(c *cobra.Command, e images.Entry) error {
	r := e.Record
	rows := [][]string{
		{"holds", contents(r)},
		{"content digest", r.ContentDigest},
		{"recipe digest", r.RecipeDigest},
		{"baked from", r.Base},
		{"created", r.Created.UTC().Format(time.RFC3339)},
		{"booted on trial", booted(r)},
		{"boot agent", fmt.Sprintf("%s, reads node documents of format %d", r.AgentVersion, r.DocumentFormat)},
		{"packages", fmt.Sprint(len(r.Packages))},
	}
	for _, a := range r.Artefacts {
		if a.File == "" {
			rows = append(rows, []string{string(a.Kind), a.Region + " " + a.ID})
			continue
		}
		rows = append(rows, []string{string(a.Kind), filepath.Join(e.Dir, a.File)}, []string{"", megabytes(a.Bytes) + ", sha256 " + a.SHA256})
	}
	for _, phase := range r.Phases {
		rows = append(rows, []string{"bake, " + phase.Name, fmt.Sprintf("%.1f s", phase.Seconds)})
	}
	return printTable(c.OutOrStdout(), []string{"IMAGE", e.ID}, rows)
}

// contents says in a few words what an image is for.
func contents(r images.Record) string {
	words := []string{r.Recipe.OS, r.Recipe.Arch}
	if r.Recipe.PostgresVersion > 0 {
		words = append(words, fmt.Sprintf("PostgreSQL %d", r.Recipe.PostgresVersion))
	}
	if !r.Verified {
		words = append(words, "not verified")
	}
	return strings.Join(words, ", ")
}

// forms says in which forms an image is there.
func forms(r images.Record) string {
	words := make([]string, len(r.Artefacts))
	for i, a := range r.Artefacts {
		if words[i] = string(a.Kind); a.File != "" {
			words[i] += " " + megabytes(a.Bytes)
		} else {
			words[i] += " " + a.ID
		}
	}
	return strings.Join(words, ", ")
}

// booted says when an image last booted on trial.
func booted(r images.Record) string {
	if r.Booted.IsZero() {
		return "never"
	}
	return r.Booted.UTC().Format(time.DateTime)
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }

// complete completes the names of images. A shell has no use for errors.
func (f *imagesFlag) complete(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	catalogue, err := f.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	entries, err := catalogue.List(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.ID)
		if channels, err := catalogue.ChannelsOf(e); err == nil && e.Err == nil {
			for _, channel := range channels {
				names = append(names, string(e.Record.Role)+"@"+channel)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
