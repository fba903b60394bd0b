//go:build integration && linux

package provision

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	packerssh "github.com/hashicorp/packer-plugin-sdk/sdk-internals/communicator/ssh"
	"golang.org/x/crypto/ssh"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/bake"
	"github.com/cincbake/cincbake/plugin/nspawn"
)

// account is the user that Packer enters by, as cloud-init would have made it.
const account = "admin"

// hostname is that of the machine that is booted.
const hostname = "baking"

// required skips a test that this machine cannot run, or fails it where everything must run.
func required(t *testing.T) {
	t.Helper()
	var problems []error
	if os.Geteuid() != 0 {
		problems = append(problems, errors.New("it must be root"))
	}
	for program, pkg := range map[string]string{"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container"} {
		if _, err := exec.LookPath(program); err != nil {
			problems = append(problems, fmt.Errorf("%w: apt-get install %s", err, pkg))
		}
	}
	if err := errors.Join(problems...); err != nil {
		if os.Getenv("CINCBAKE_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

func execute(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// debian makes a Debian like that of a cloud image.
func debian(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "machine")
	execute(t, "mmdebstrap", "--quiet", "--variant=apt", "--include=cloud-init,dbus,libpam-systemd,openssh-server,sudo,systemd-sysv", "trixie", root, "http://deb.debian.org/debian")
	return root
}

// booted is a Debian that runs systemd and sshd in a container.
type booted struct {
	root    string
	address string
	key     ssh.Signer
	public  string
	ended   chan error
	said    *tail
}

func boot(t *testing.T, root string) *booted {
	t.Helper()
	m := &booted{root: root, ended: make(chan error, 1), said: new(tail)}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it only finds a free port
	must(t, err)
	m.address = listener.Addr().String()
	must(t, listener.Close())
	_, port, err := net.SplitHostPort(m.address)
	must(t, err)

	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	m.key, err = ssh.NewSignerFromKey(private)
	must(t, err)
	line, err := ssh.NewPublicKey(public)
	must(t, err)
	m.public = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))

	execute(t, "chroot", m.root, "useradd", "--create-home", "--shell", "/bin/bash", "--groups", "sudo,adm", account)
	for name, text := range map[string]string{
		"etc/ssh/sshd_config.d/test.conf":           "Port " + port + "\nListenAddress 127.0.0.1\n",
		"etc/sudoers.d/90-cloud-init-users":         account + " ALL=(ALL) NOPASSWD:ALL\n",
		"etc/netplan/50-cloud-init.yaml":            "# for the network card of the machine that bakes\nnetwork: {version: 2}\n",
		"etc/hostname":                              hostname + "\n",
		"etc/hosts":                                 "127.0.0.1 localhost " + hostname + "\n",
		"home/" + account + "/.ssh/authorized_keys": m.public + "\n",
	} {
		path := filepath.Join(m.root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	execute(t, "chroot", m.root, "chown", "-R", account+":", "/home/"+account)

	container := exec.CommandContext(t.Context(), "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--directory="+m.root,
		"--machine=provision-"+strings.ToLower(rand.Text()[:8]), "--boot")
	container.Stdout, container.Stderr = m.said, m.said
	must(t, container.Start())
	go func() { m.ended <- container.Wait() }()
	t.Cleanup(func() { // when the test ends early
		if len(m.ended) == 0 {
			_ = container.Process.Kill()
		}
		m.ended <- <-m.ended
	})
	return m
}

// enter opens Packer's own communicator, once the machine answers.
func (m *booted) enter(ctx context.Context) (packersdk.Communicator, error) {
	config := &packerssh.Config{
		Connection: packerssh.ConnectFunc("tcp", m.address),
		SSHConfig: &ssh.ClientConfig{
			User: account, Auth: []ssh.AuthMethod{ssh.PublicKeys(m.key)},
			HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second, // the machine is ours, on this host
		},
	}
	for {
		comm, err := packerssh.New(m.address, config)
		if err == nil {
			return comm, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, fmt.Errorf("the machine: %s", m.said))
		case err := <-m.ended:
			m.ended <- err
			return nil, fmt.Errorf("the machine ended: %w%s", err, m.said)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// One system is sealed twice: as a tree, the way of the builder cincbake-rootfs, and then booted, over ssh.
func TestSeal(t *testing.T) {
	required(t)
	agent, root := standin(t), debian(t)
	t.Run("in a tree", func(t *testing.T) { sealTree(t, agent, root) })
	t.Run("over ssh", func(t *testing.T) { sealOverSSH(t, agent, root) })
}

// standin is the program that stands in for the boot agent.
func standin(t *testing.T) []byte {
	t.Helper()
	program := filepath.Join(t.TempDir(), "agent")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	content, err := os.ReadFile(program)
	must(t, err)
	return content
}

// In a tree that was never booted nothing is waited for, and everything is as the builder finds it afterwards.
func sealTree(t *testing.T, agent []byte, root string) {
	folder := t.TempDir()
	p := prepared(t, nil)
	p.agentFor = func(cluster.Platform, string) ([]byte, error) { return agent, nil }
	tree := &nspawn.Machine{Root: root, Name: "provision-" + strings.ToLower(rand.Text()[:8])}
	defer tree.Stop()
	must(t, p.Provision(t.Context(), packersdk.TestUi(t), tree, map[string]any{bake.ResultsKey: folder}))
	results, err := bake.ReadResults(folder)
	must(t, err)
	digest, err := images.Digest(root)
	must(t, err)
	if digest != results.Report.ContentDigest {
		t.Errorf("the tree has content %s, and the report says %s", digest, results.Report.ContentDigest)
	}
	leftovers(t, root)
}

// The account that Packer entered by is gone from the image, with its keys, while the open connection still brings the
// results home, cleans up and switches the machine off.
func sealOverSSH(t *testing.T, agent []byte, root string) {
	m := boot(t, root)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	comm, err := m.enter(ctx)
	must(t, err)

	var out bytes.Buffer
	ui := &packersdk.BasicUi{Writer: &out, ErrorWriter: &out}
	folder := filepath.Join(t.TempDir(), "results")
	p := prepared(t, map[string]any{"sudo": true, "results": folder})
	p.agentFor = func(cluster.Platform, string) ([]byte, error) { return agent, nil }
	generated := map[string]any{"ConnType": "ssh", "User": account}
	if err := p.Provision(ctx, ui, comm, generated); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
	results, err := bake.ReadResults(folder)
	must(t, err)
	for _, line := range results.Manifest {
		if strings.Contains(line, "/home/"+account) || strings.Contains(line, "90-cloud-init-users") {
			t.Errorf("the sealed content has %s", line)
		}
	}

	// Nobody else gets in any more.
	again, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	if _, err := m.enter(again); err == nil {
		t.Error("the key still opens the machine")
	}
	// As the qemu builder's shutdown_command.
	must(t, (machine{comm: comm, ui: ui}).shell(ctx, ShutdownCommand))
	select {
	case err := <-m.ended:
		m.ended <- err
		if err != nil {
			t.Errorf("the machine ended with %v%s", err, m.said)
		}
	case <-ctx.Done():
		t.Fatalf("the machine is still on%s", m.said)
	}

	for name, gone := range map[string]string{"etc/passwd": account + ":", "etc/group": account, "etc/shadow": account + ":", "etc/subuid": account} {
		text, err := os.ReadFile(filepath.Join(m.root, name))
		must(t, err)
		if strings.Contains(string(text), gone) {
			t.Errorf("%s still has %s:\n%s", name, account, text)
		}
	}
	leftovers(t, m.root)
	if out, err := exec.CommandContext(t.Context(), "grep", "--recursive", "--files-with-matches", "--fixed-strings", strings.Fields(m.public)[1], m.root).CombinedOutput(); err == nil {
		t.Errorf("the public key is still in %s", out)
	}
}

// leftovers fails if the machine has anything that a bake may not leave.
func leftovers(t *testing.T, root string) {
	t.Helper()
	for _, pattern := range []string{"home/*", "etc/sudoers.d/90*", "etc/netplan/50-cloud-init.yaml", "tmp/cincbake-*", "var/tmp/cincbake-*", "etc/systemd/system/cincbake*"} {
		if found, err := filepath.Glob(filepath.Join(root, pattern)); err != nil || len(found) > 0 {
			t.Errorf("left behind: %v, %v", found, err)
		}
	}
}
