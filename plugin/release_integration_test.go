//go:build integration

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"debug/macho"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// source is where templates require the plugin from.
const source = "github.com/cincbake/cincbake"

// tree is what make release-snapshot has built, which also runs these tests.
func tree(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("CINCBAKE_DIST")
	if dir == "" {
		t.Skip("no release is to be tested: make release-snapshot builds one and tests it")
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pluginName is the only name that packer init accepts.
func pluginName(os, arch string) string {
	return fmt.Sprintf("packer-plugin-cincbake_v%s_x5.0_%s_%s", next, os, arch)
}

type target struct{ os, arch string }

func (p target) String() string { return p.os + "/" + p.arch }

func targets() []target {
	return []target{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}
}

// agents are the boot agents as their archives are called.
func agents() []string { return []string{"cincbake-node", "cincbake-node-aws"} }

func TestReleaseNames(t *testing.T) {
	dir := tree(t)
	sums := fmt.Sprintf("packer-plugin-cincbake_v%s_SHA256SUMS", next)
	want := []string{sums}
	for _, p := range targets() {
		want = append(want, pluginName(p.os, p.arch)+".zip", fmt.Sprintf("cincbake_v%s_%s_%s.tar.gz", next, p.os, p.arch))
		if p.os == "linux" {
			for _, agent := range agents() {
				want = append(want, fmt.Sprintf("%s_v%s_%s_%s.tar.gz", agent, next, p.os, p.arch))
			}
		}
	}
	var got []string
	for _, pattern := range []string{"*.zip", "*.tar.gz", "*SUMS*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		must(t, err)
		for _, name := range found {
			got = append(got, filepath.Base(name))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	text, err := os.ReadFile(filepath.Join(dir, sums))
	must(t, err)
	var summed []string
	for row := range strings.Lines(string(text)) {
		fields := strings.Fields(row)
		if len(fields) != 2 {
			t.Fatalf("%q is no sum and name", row)
		}
		content, err := os.ReadFile(filepath.Join(dir, fields[1]))
		must(t, err)
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != fields[0] {
			t.Errorf("%s has another sum than %s says", fields[1], sums)
		}
		summed = append(summed, fields[1])
	}
	summed = append(summed, sums)
	slices.Sort(summed)
	if diff := cmp.Diff(want, summed); diff != "" {
		t.Errorf("%s does not list every archive:\n%s", sums, diff)
	}
}

// unzip returns the one program that is in the archive of the plugin.
func unzip(t *testing.T, dir string, p target) []byte {
	t.Helper()
	name := pluginName(p.os, p.arch)
	archive, err := zip.OpenReader(filepath.Join(dir, name+".zip"))
	must(t, err)
	defer archive.Close()
	if len(archive.File) != 1 || archive.File[0].Name != name || archive.File[0].Mode().Perm()&0o111 == 0 {
		t.Fatalf("%s.zip holds not just the program of that name: %v", name, archive.File)
	}
	file, err := archive.File[0].Open()
	must(t, err)
	defer file.Close()
	program, err := io.ReadAll(file)
	must(t, err)
	return program
}

// untar returns the files of an archive.
func untar(t *testing.T, name string) map[string][]byte {
	t.Helper()
	file, err := os.Open(name)
	must(t, err)
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	must(t, err)
	files := map[string][]byte{}
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		must(t, err)
		files[header.Name], err = io.ReadAll(archive)
		must(t, err)
	}
}

// machineOf tells what a program runs on.
func machineOf(program []byte) (target, error) {
	if file, err := elf.NewFile(bytes.NewReader(program)); err == nil {
		arch, ok := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[file.Machine]
		if !ok {
			return target{}, fmt.Errorf("for a machine %s", file.Machine)
		}
		if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			return target{}, errors.New("it needs libraries of the system")
		}
		return target{"linux", arch}, nil
	}
	file, err := macho.NewFile(bytes.NewReader(program))
	if err != nil {
		return target{}, err
	}
	arch, ok := map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[file.Cpu]
	if !ok {
		return target{}, fmt.Errorf("for a machine %s", file.Cpu)
	}
	return target{"darwin", arch}, nil
}

// Every archive holds programs for its platform, and every plugin all boot agents of this very release.
func TestReleaseContents(t *testing.T) {
	dir := tree(t)
	carried := map[string][]byte{}
	for _, p := range targets() {
		if p.os != "linux" {
			continue
		}
		for _, agent := range agents() {
			files := untar(t, filepath.Join(dir, fmt.Sprintf("%s_v%s_%s_%s.tar.gz", agent, next, p.os, p.arch)))
			program := files["cincbake-node"]
			carried[agent+" for "+p.arch] = program
			if got, err := machineOf(program); err != nil || got != p || files["LICENSE"] == nil {
				t.Errorf("%s for %s is for %s, %v", agent, p, got, err)
			}
			const sdk = "aws-sdk-go-v2" // in the list of modules that a program carries
			if with := bytes.Contains(program, []byte(sdk)); with != (agent == "cincbake-node-aws") {
				t.Errorf("%s for %s has AWS's SDK in it: %v", agent, p, with)
			}
		}
	}
	for _, p := range targets() {
		files := untar(t, filepath.Join(dir, fmt.Sprintf("cincbake_v%s_%s_%s.tar.gz", next, p.os, p.arch)))
		if got, err := machineOf(files["cincbake"]); err != nil || got != p || files["LICENSE"] == nil || files["README.md"] == nil {
			t.Errorf("the command for %s is for %s, %v", p, got, err)
		}
		program := unzip(t, dir, p)
		if got, err := machineOf(program); err != nil || got != p {
			t.Errorf("the plugin for %s is for %s, %v", p, got, err)
		}
		for name, agent := range carried {
			if !bytes.Contains(program, agent) {
				t.Errorf("the plugin for %s does not carry this release's %s", p, name)
			}
		}
	}
}

// native writes the plugin for this machine where the test may run it.
func native(t *testing.T) string {
	t.Helper()
	here := target{runtime.GOOS, runtime.GOARCH}
	path := filepath.Join(t.TempDir(), pluginName(here.os, here.arch))
	must(t, os.WriteFile(path, unzip(t, tree(t), here), 0o755))
	return path
}

// The plugin says of itself what its file's name says.
func TestReleaseDescribes(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), native(t), "describe").Output()
	must(t, err)
	var said struct {
		Version         string   `json:"version"`
		APIVersion      string   `json:"api_version"`
		ProtocolVersion string   `json:"protocol_version"`
		Builders        []string `json:"builders"`
		Provisioners    []string `json:"provisioners"`
		PostProcessors  []string `json:"post_processors"`
		Datasources     []string `json:"datasources"`
	}
	must(t, json.Unmarshal(out, &said))
	if said.Version != next || said.APIVersion != "x5.0" || said.ProtocolVersion != "v2" {
		t.Errorf("it says %s", out)
	}
	got := [][]string{said.Builders, said.Provisioners, said.PostProcessors, said.Datasources}
	if diff := cmp.Diff([][]string{{"rootfs"}, {"role"}, {"catalogue"}, {"image", "recipe"}}, got); diff != "" {
		t.Error(diff)
	}
}

// template uses the plugin without a machine: the data source answers, and the provisioner prints its plan.
const template = `
packer {
  required_plugins {
    cincbake = {
      source  = "` + source + `"
      version = "%s"
    }
  }
}

data "cincbake-recipe" "postgres" {
  spec = "%s"
  role = "postgres"
}

source "null" "postgres" {
  communicator = "none"
}

build {
  sources = ["source.null.postgres"]

  provisioner "cincbake-role" {
    spec = "%[2]s"
    role = source.name
  }

  provisioner "shell-local" {
    inline = ["echo recipe ${data.cincbake-recipe.postgres.name} of ${data.cincbake-recipe.postgres.os}"]
  }
}
`

// Packer installs the unpacked program, finds it by its version, and runs it, in both ways that it talks to plugins.
func TestReleaseInstalls(t *testing.T) {
	program := native(t)
	packer := os.Getenv("PACKER")
	if packer == "" {
		packer = filepath.Join("..", ".cache", "tools", "packer")
	}
	if _, err := exec.LookPath(packer); err != nil {
		if os.Getenv("CINCBAKE_REQUIRE") == "1" {
			t.Fatalf("%v: make packer builds it", err)
		}
		t.Skipf("%v: make packer builds it", err)
	}
	packer, err := filepath.Abs(packer)
	must(t, err)
	spec, err := filepath.Abs("../examples/self-hosted-onprem/cluster.yaml")
	must(t, err)
	home := t.TempDir()
	run := func(env []string, args ...string) (string, error) {
		command := exec.CommandContext(t.Context(), packer, args...)
		command.Dir = home
		command.Env = append(os.Environ(), "PACKER_PLUGIN_PATH="+filepath.Join(home, "plugins"), "PACKER_CONFIG_DIR="+home, "CHECKPOINT_DISABLE=1")
		command.Env = append(command.Env, env...)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	wants := func(name, version string) string {
		path := filepath.Join(home, name)
		must(t, os.WriteFile(path, []byte(fmt.Sprintf(template, version, spec)), 0o600))
		return path
	}
	this, later := wants("this.pkr.hcl", "= "+next), wants("later.pkr.hcl", "> "+next)

	if out, err := run(nil, "validate", this); err == nil {
		t.Fatalf("the plugin is there before it is installed:\n%s", out)
	}
	if out, err := run(nil, "plugins", "install", "--path", program, source); err != nil {
		t.Fatalf("install: %v\n%s", err, out)
	}
	installed := filepath.Join(home, "plugins", filepath.FromSlash(source), filepath.Base(program))
	if _, err := os.Stat(installed); err != nil {
		t.Errorf("it is not installed under its own name: %v", err)
	}
	for _, args := range [][]string{{"init", this}, {"validate", this}, {"validate", "-evaluate-datasources", this}} {
		if out, err := run(nil, args...); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	if out, err := run(nil, "validate", later); err == nil || !strings.Contains(out, "Missing plugins") {
		t.Errorf("another version is taken for this one: %v\n%s", err, out)
	}
	for name, env := range map[string][]string{"protobuf": nil, "gob": {"PACKER_FORCE_GOB=1"}} {
		t.Run(name, func(t *testing.T) {
			out, err := run(env, "build", "-color=false", this)
			must(t, err)
			for _, says := range []string{"nothing is changed", "Install what every machine has", "recipe cincbake-prod-postgres of debian-13"} {
				if !strings.Contains(out, says) {
					t.Errorf("it does not say %q:\n%s", says, out)
				}
			}
		})
	}
}
