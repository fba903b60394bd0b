// The front is what stands in for the security plugin in the test package of OpenSearch: the plugin can't be had from a
// registry. Under the name opensearch it starts the real server without the plugin's settings and puts TLS and users in
// front of it; under the names of the package's tools it runs them with the same stripped configuration.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

const (
	home         = "/usr/share/opensearch"
	serverHome   = home + "/standin" // the real programs, and a folder of plugins with nothing in it
	pluginDir    = home + "/plugins/opensearch-security"
	usersFile    = pluginDir + "/securityconfig/internal_users.yml"
	preloadFile  = serverHome + "/nofile.so"
	defaultPaths = "/etc/opensearch"
)

func init() {
	// The kernel kills the server when the thread that started it ends. The first thread lives as long as the process.
	runtime.LockOSThread()
}

func main() {
	status, err := start(filepath.Base(os.Args[0]), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, logPrefix+err.Error())
	}
	os.Exit(status) //nolint:forbidigo // this is main
}

const logPrefix = "opensearch, a test fixture: "

// start runs what the program was called as, and returns the status to exit with.
func start(name string, arguments []string) (int, error) {
	dir := os.Getenv("OPENSEARCH_PATH_CONF")
	if dir == "" {
		dir = defaultPaths
	}
	if err := findJava(); err != nil {
		return 1, err
	}
	if name == "opensearch-keystore" {
		// It reads nothing of the settings, and its file belongs beside them.
		return runTool(name, dir, arguments)
	}
	if name != "opensearch" {
		return tool(name, dir, arguments)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return serve(ctx, dir, arguments)
}

// findJava names Debian's Java to the server's scripts, which look for one inside the package only.
func findJava() error {
	if os.Getenv("OPENSEARCH_JAVA_HOME") != "" || os.Getenv("JAVA_HOME") != "" {
		return nil
	}
	java, err := filepath.EvalSymlinks("/usr/bin/java")
	if err != nil {
		return fmt.Errorf("no Java: %w", err)
	}
	return os.Setenv("JAVA_HOME", filepath.Dir(filepath.Dir(java)))
}

// tool runs a tool of OpenSearch with a configuration that the plain server takes.
func tool(name, dir string, arguments []string) (status int, err error) {
	given, err := readSettings(filepath.Join(dir, settingsFile))
	if err != nil {
		return 1, err
	}
	temporary, err := os.MkdirTemp("", "opensearch-tool-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	if err := copyConfiguration(dir, temporary, given.withoutSecurity()); err != nil {
		return 1, err
	}
	return runTool(name, temporary, arguments)
}

func runTool(name, dir string, arguments []string) (int, error) {
	command := exec.CommandContext(context.Background(), filepath.Join(serverHome, "bin", name), arguments...) //nolint:gosec // the tool that it was called as, with that call's arguments
	command.Env = append(os.Environ(), "OPENSEARCH_PATH_CONF="+dir)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return exitStatus(command.Run())
}

// exitStatus is a child's status as a shell tells it: a signal is 128 and its number.
func exitStatus(err error) (int, error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		if err != nil {
			return 1, err
		}
		return 0, nil
	}
	if state, ok := exit.Sys().(syscall.WaitStatus); ok && state.Signaled() {
		return 128 + int(state.Signal()), nil
	}
	return exit.ExitCode(), nil
}

// newLog writes to the journal and beside the server's own log.
func newLog(dir string) (*log.Logger, io.Closer, error) {
	file, err := os.OpenFile(filepath.Join(dir, "standin.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640) //nolint:gosec // as the server's own logs
	if err != nil {
		return nil, nil, err
	}
	return log.New(io.MultiWriter(os.Stderr, file), logPrefix, log.LstdFlags|log.LUTC|log.Lmsgprefix), file, nil
}
