// Command agent stands in for the boot agent in the provisioner's test: it seals the machine that it runs in and reports.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(command string, args []string) error {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	recipeFile, _ := flags.String("recipe", "", ""), flags.String("site", "", "")
	reportFile, manifestFile := flags.String("report", "", ""), flags.String("manifest", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	text, err := os.ReadFile(*recipeFile)
	if err != nil {
		return err
	}
	recipe, err := cluster.DecodeRecipe(text)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("the agent is not root")
	}
	if command == "bake" {
		return nil
	}
	manifest, err := images.Manifest("/")
	if err != nil {
		return err
	}
	report, err := json.Marshal(images.Report{
		Recipe: recipe, AgentVersion: "test", DocumentFormat: 1, ContentDigest: images.DigestOf(manifest),
		Packages: []images.Package{{Name: "none", Version: "1", Arch: "all"}},
	})
	return errors.Join(err, os.WriteFile(*reportFile, report, 0o644), os.WriteFile(*manifestFile, []byte(strings.Join(manifest, "\n")+"\n"), 0o644))
}
