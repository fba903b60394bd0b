package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/secrets/store"
)

// provided is what `secrets init -o json` prints.
type provided struct {
	File     string   `json:"file"`
	Made     []string `json:"made"`
	Imported []string `json:"imported"`
	Warnings []string `json:"warnings"`
}

func newSecretsInit() *cobra.Command {
	var (
		spec    specFlag
		output  outputFlag
		imports importFlags
		from    string
	)
	c := &cobra.Command{
		Use:   "init",
		Short: "Make the cluster's certificates, passwords and keys",
		Long: `Init makes the bundle of secrets that the spec names under secrets.file: the cluster's own CA, a certificate for every
machine and one for the operator, and the passwords and keys that the cluster's tiers need. The file is readable by its
owner alone. Keep a copy of it somewhere safe, and out of version control unless it is encrypted: who holds it holds the
cluster.

Run it again after adding a machine or a tier: it adds what is missing and keeps everything else, so that rendering twice
gives the same seeds. ` + lifetimes() + `

It also takes over what only you have: the certificate under tls, and the passwords and keys of what the cluster uses and
does not run. Those come from files or from the environment, never from an argument, which every user of this machine
could read:

` + importHelp(),
		Example: `  cincbake secrets init
  cincbake secrets init -f staging.yaml
  CINCBAKE_DATABASE_PASSWORD=$(pass rds/prod) cincbake secrets init
  cincbake secrets init --sftp-key-file ~/.ssh/backup
  cincbake secrets init --from secrets.json   # the spec now says secrets.age`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			wanted, resolved, err := spec.load()
			if err != nil {
				return err
			}
			in, err := imports.read(wanted, resolved)
			if err != nil {
				return err
			}
			result, err := provide(wanted, resolved, in, from)
			if err != nil {
				return err
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), result)
			}
			var did []string
			if len(result.Made) > 0 {
				did = append(did, "made "+strings.Join(result.Made, ", "))
			}
			if len(result.Imported) > 0 {
				did = append(did, "took over "+strings.Join(result.Imported, ", "))
			}
			if len(did) == 0 {
				fmt.Fprintf(c.ErrOrStderr(), "%s holds all that the cluster needs; nothing was changed\n", result.File)
			} else {
				fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", result.File, strings.Join(did, "; "))
			}
			warn(c, result.Warnings)
			return nil
		},
	}
	spec.register(c)
	output.register(c)
	imports.register(c)
	c.Flags().StringVar(&from, "from", "", "begin with the bundle in this file, plain or encrypted, which stays as it is")
	_ = c.MarkFlagFilename("from", "json", "age")
	return c
}

// provide sees to it that the bundle holds all that the cluster needs. Where something is missing that it cannot make,
// nothing is written.
func provide(spec *cluster.Spec, r *cluster.Resolved, in secrets.Imports, from string) (provided, error) {
	now, result := time.Now(), provided{File: spec.SecretsPath(), Made: []string{}, Imported: []string{}}
	bundle, fresh, err := open(result.File, from, r, now)
	if err != nil {
		return result, err
	}
	imported, err := bundle.Import(r, in, now)
	if err != nil {
		return result, err
	}
	made, err := bundle.AddMissing(r, now)
	if err != nil {
		return result, err
	}
	if err := bundle.Check(r, now); err != nil {
		return result, err
	}
	if fresh && from == "" {
		made = []string{"the CA", "the passwords", "certificates for " + count(len(bundle.Nodes), "machine") + " and the operator"}
	}
	result.Made = append(result.Made, made...)
	result.Imported = append(result.Imported, imported...)
	if fresh && from != "" {
		result.Imported = append(result.Imported, "all that "+from+" holds")
	}
	if recipients := spec.Secrets.Recipients; !slices.Equal(bundle.Recipients, recipients) {
		bundle.Recipients = recipients
		if !fresh {
			result.Made = append(result.Made, "the file readable for "+count(len(recipients), "recipient"))
		}
	}
	result.Warnings = warningsOf(bundle, spec, r, now)
	switch {
	case fresh:
		return result, store.Save(bundle, result.File)
	case len(result.Made)+len(result.Imported) == 0:
		return result, nil
	default:
		return result, store.Replace(bundle, result.File)
	}
}

// open returns the bundle at path, or one that is to become it.
func open(path, from string, r *cluster.Resolved, now time.Time) (bundle *secrets.Bundle, fresh bool, err error) {
	bundle, err = store.Load(path)
	switch {
	case err == nil && from != "":
		return nil, false, exit.Errorf(exit.Unsafe, "%s is there already, so it cannot begin with %s: leave out --from, or move it away", path, from)
	case err == nil:
		return bundle, false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, false, err
	case from != "":
		bundle, err = store.Load(from)
		return bundle, true, err
	}
	if other := otherForm(path); other != "" {
		return nil, false, exit.Errorf(exit.Unsafe, "%s is not there, but %s is, and new secrets would cut its machines off: begin with it (--from %s), or move it away", path, other, other)
	}
	bundle, err = secrets.NewBundle(r, now)
	return bundle, true, err
}

// otherForm returns the plain file beside an encrypted one's place, or the other way round; empty when there is none.
func otherForm(path string) string {
	other := strings.TrimSuffix(path, filepath.Ext(path)) + ".age"
	if store.Encrypted(path) {
		other = strings.TrimSuffix(path, filepath.Ext(path)) + ".json"
	}
	if _, err := os.Lstat(other); err != nil {
		return ""
	}
	return other
}

// importFlags name the files of what only the operator has.
type importFlags struct{ files map[string]*string }

func (f *importFlags) register(c *cobra.Command) {
	f.files = map[string]*string{}
	for _, i := range secrets.Importables() {
		f.files[i.Name] = c.Flags().String(i.Flag(), "", "read "+i.What+" from `FILE`")
		_ = c.MarkFlagFilename(i.Flag())
	}
}

func lifetimes() string {
	days := func(d time.Duration) int { return int(d.Hours() / 24) }
	return fmt.Sprintf("Certificates last %d days, the CA %d: run it again in the last %d days, and it\nrenews them.",
		days(secrets.LeafLifetime), days(secrets.CALifetime), days(secrets.RenewBefore))
}

func importHelp() string {
	var help strings.Builder
	for _, i := range secrets.Importables() {
		fmt.Fprintf(&help, "  %-28s --%-24s %s\n", i.Variable(), i.Flag(), i.What)
	}
	return strings.TrimSuffix(help.String(), "\n")
}

// read collects what is handed in. A variable counts only where the cluster can use it: it may be set for another one.
func (f *importFlags) read(spec *cluster.Spec, r *cluster.Resolved) (secrets.Imports, error) {
	in := secrets.Imports{Values: map[string]secrets.Secret{}}
	for _, i := range secrets.Importables() {
		file, value := *f.files[i.Name], os.Getenv(i.Variable())
		switch {
		case file != "":
			text, err := os.ReadFile(file)
			if err != nil {
				return in, exit.Errorf(exit.Invalid, "read %s: %w", i.What, err)
			}
			in.Values[i.Name] = secrets.New(string(text))
		case value != "" && i.Wanted(r):
			in.Values[i.Name] = secrets.New(value)
		}
	}
	certificate, key := spec.TLSPaths()
	if certificate == "" {
		return in, nil
	}
	chain, err := os.ReadFile(certificate)
	if err != nil {
		return in, exit.Errorf(exit.Invalid, "read tls.certificate: %w", err)
	}
	private, err := os.ReadFile(key)
	if err != nil {
		return in, exit.Errorf(exit.Invalid, "read tls.key: %w", err)
	}
	in.Front = &secrets.KeyPair{Certificate: string(chain), Key: secrets.New(string(private))}
	return in, nil
}
