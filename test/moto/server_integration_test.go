//go:build integration

package moto_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/moto"
)

// packages are what pip installs: moto with the services that are called, and what its server needs.
var packages = []string{"moto[ec2,autoscaling,elbv2,iam,ssm,secretsmanager,kms,s3,sts]==" + moto.Version, "flask==3.1.3", "flask-cors==6.0.5"}

// environment installs moto into a folder of its own, once, and returns it.
func environment(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", ".cache", "moto-"+moto.Version))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "installed")); err == nil {
		return dir
	}
	for _, command := range [][]string{
		{"python3", "-m", "venv", dir},
		append([]string{filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check"}, packages...),
	} {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
		stop()
		if err != nil {
			lacks(t, fmt.Sprintf("moto cannot be installed: %v\n%s", err, out))
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "installed"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lacks skips the test, with the way to get what is missing; CINCBAKE_REQUIRE=1 makes that a failure.
func lacks(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CINCBAKE_REQUIRE") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason + "\ninstall it: apt-get install python3-venv, and let pip reach PyPI for " + strings.Join(packages, " "))
}

// debian is all that moto publishes: without a list of its own it has more than a thousand old images.
const debian = `[{"ami_id": "ami-0123456789abcdef0", "name": "debian-13-amd64-1", "description": "Debian 13", "owner_id": "136693071363", "state": "available", "public": true,
"architecture": "x86_64", "virtualization_type": "hvm", "hypervisor": "xen", "image_type": "machine", "image_location": "136693071363/debian-13-amd64-1",
"root_device_type": "ebs", "root_device_name": "/dev/xvda", "creation_date": "2026-11-01T12:00:00.000Z"}]`

// start starts moto's server on a port of the loopback device, and returns its address when it answers. It ends with the test.
func start(t *testing.T, dir string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	images := filepath.Join(work, "images.json")
	if err := os.WriteFile(images, []byte(debian), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, filepath.Join(dir, "bin", "moto_server"), "-H", "127.0.0.1", "-p", fmt.Sprint(port))
	var said bytes.Buffer
	command.Dir, command.Stdout, command.Stderr = work, &said, &said
	command.Env = append(os.Environ(), "MOTO_AMIS_PATH="+images, "MOTO_ACCOUNT_ID="+fakeaws.Account)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 5 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended, failed := make(chan struct{}), error(nil)
	go func() {
		defer close(ended)
		failed = command.Wait()
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		if t.Failed() {
			t.Logf("the end of what moto said:\n%s", tail(said.String(), 4000))
		}
	})
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	deadline := time.Now().Add(time.Minute)
	for !answers(t.Context(), address) {
		select {
		case <-ended:
			t.Fatalf("moto ended: %v\n%s", failed, said.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("moto does not answer after a minute")
		}
	}
	return address
}

func tail(text string, most int) string { return text[max(0, len(text)-most):] }

func answers(ctx context.Context, address string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, address+"/moto-api/", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	return errors.Join(response.Body.Close()) == nil
}
