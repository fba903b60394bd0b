package packer_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/packer"
)

// act names what this test binary does when it is started as Packer; see TestMain.
const act = "CINCBAKE_TEST_PACKER"

func TestMain(m *testing.M) {
	switch os.Getenv(act) {
	case "":
		os.Exit(m.Run())
	case "succeed":
		fmt.Println("==> cincbake-rootfs.postgres: making the base system")
		fmt.Println("    cincbake-rootfs.postgres: 169 packages")
		fmt.Print("==> cincbake-rootfs.postgres: sealing")
	case "fail":
		for i := range 100 {
			fmt.Fprintf(os.Stderr, "row %d\n", i)
		}
		fmt.Println("==> Wait completed after 1 second")
		fmt.Println("--> cincbake-rootfs.postgres: row 99")
		os.Exit(1)
	case "hang":
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		fmt.Println("==> cincbake-rootfs.postgres: mounted")
		<-asked
		fmt.Println("==> cincbake-rootfs.postgres: unmounted")
		os.Exit(1)
	case "has plugin":
		fmt.Println("/plugins/github.com/cincbake/cincbake/packer-plugin-cincbake_v0.1.0-dev_x5.0_linux_amd64")
	case "has no plugin":
		fmt.Println("/plugins/github.com/hashicorp/amazon/packer-plugin-amazon_v1.8.2_x5.0_linux_amd64")
	}
	os.Exit(0)
}

// acting returns a Packer that is this test binary, doing what is asked.
func acting(t *testing.T, what string) packer.Packer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return packer.Packer{Path: self, Env: []string{act + "=" + what}}
}

func build(t *testing.T) packer.Build {
	t.Helper()
	return packer.Build{
		Template: "rootfs.pkr.hcl",
		Only:     "cincbake-rootfs.postgres",
		Log:      filepath.Join(t.TempDir(), "postgres.log"),
		Grace:    packer.Rootfs.Grace(),
	}
}

func TestBuildReportsStepsAndKeepsTheLog(t *testing.T) {
	var steps []string
	b := build(t)
	if err := acting(t, "succeed").Build(t.Context(), b, func(s string) { steps = append(steps, s) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"making the base system", "sealing"}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	log, err := os.ReadFile(b.Log)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "169 packages") {
		t.Errorf("the log lacks what Packer said below a step:\n%s", log)
	}
}

func TestBuildShowsTheLastLinesOfAFailure(t *testing.T) {
	b := build(t)
	err := acting(t, "fail").Build(t.Context(), b, func(string) {})
	if err == nil {
		t.Fatal("a failed build was no error")
	}
	for _, want := range []string{"exit status 1", b.Log, "| row 75\n", "| row 99"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "--> ") {
		t.Errorf("the error says everything twice:\n%v", err)
	}
	if strings.Contains(err.Error(), "| row 74\n") {
		t.Errorf("the error shows more than the last lines:\n%v", err)
	}
}

func TestBuildStopsOnRequestAndWaitsForTheCleanUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	b := build(t)
	var steps []string
	err := acting(t, "hang").Build(ctx, b, func(s string) {
		steps = append(steps, s)
		cancel()
	})
	if err == nil || exit.CodeOf(err) != exit.Failed || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("a stopped build gave %v", err)
	}
	if diff := cmp.Diff([]string{"mounted", "unmounted"}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestRequirePlugins(t *testing.T) {
	if err := acting(t, "has plugin").RequirePlugins(t.Context(), packer.Rootfs.Plugins()); err != nil {
		t.Error(err)
	}
	err := acting(t, "has no plugin").RequirePlugins(t.Context(), packer.QEMU.Plugins())
	if exit.CodeOf(err) != exit.Missing {
		t.Fatalf("without the plugins: %v", err)
	}
	for _, want := range []string{"--path packer-plugin-cincbake " + packer.Source, "plugins install github.com/hashicorp/qemu 1.0.9"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
	if err := acting(t, "has no plugin").RequirePlugins(t.Context(), packer.AmazonEBS.Plugins()); strings.Contains(err.Error(), "hashicorp/amazon") {
		t.Errorf("a plugin that is there is missed: %v", err)
	}
}

// TestTemplatesPinWhatIsAsked: what a bake asks Packer for is what its template requires.
func TestTemplatesPinWhatIsAsked(t *testing.T) {
	for _, builder := range packer.Builders() {
		text, err := builder.Template([]string{"lb", "api"})
		if err != nil {
			t.Fatal(err)
		}
		for _, plugin := range builder.Plugins() {
			source, version, pinned := strings.Cut(strings.TrimPrefix(plugin.Install, "packer plugins install "), " ")
			want := []string{strconv.Quote(plugin.Source)}
			if plugin.Source != packer.Source {
				want = append(want, strconv.Quote(source), "version = "+strconv.Quote(version))
				if !pinned {
					t.Errorf("%s: the install line of %s names no version", builder, plugin.Source)
				}
			}
			for _, word := range want {
				if !strings.Contains(text, word) {
					t.Errorf("%s does not have %s", builder.File(), word)
				}
			}
		}
		for _, role := range []string{"lb", "api"} {
			kind, name, _ := strings.Cut(builder.SourceOf(role), ".")
			if want := "source \"" + kind + ".role\" { name = \"" + name + "\" }"; !strings.Contains(text, want) {
				t.Errorf("%s does not have %s", builder.File(), want)
			}
		}
		if strings.Contains(text, "[%") {
			t.Errorf("%s has what its maker should have replaced:\n%s", builder.File(), text)
		}
	}
}

func TestNewKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := packer.NewKey(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private half: %v, %v", info, err)
	}
	private, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(ssh.MarshalAuthorizedKey(signer.PublicKey())); got != string(public) || !strings.HasPrefix(got, "ssh-ed25519 ") {
		t.Errorf("the public half is %q, want %q", public, got)
	}
	if err := packer.NewKey(path); err == nil {
		t.Error("a key that was there is another one now")
	}
}

func TestFindSaysHowToGetPacker(t *testing.T) {
	_, err := packer.Find(filepath.Join(t.TempDir(), "packer"))
	if exit.CodeOf(err) != exit.Missing || !strings.Contains(err.Error(), "make packer") {
		t.Errorf("without Packer: %v", err)
	}
}

func TestCommandIsWhatAPersonWouldType(t *testing.T) {
	b := packer.Build{
		Template: "packer/rootfs.pkr.hcl",
		Only:     "cincbake-rootfs.heartbeat",
		Vars:     map[string]string{"spec": "it's mine.yaml", "output": "images"},
	}
	want := `packer build -color=false -only=cincbake-rootfs.heartbeat -var output=images -var 'spec=it'\''s mine.yaml' packer/rootfs.pkr.hcl`
	if got := b.Command(packer.Packer{Path: "packer"}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
