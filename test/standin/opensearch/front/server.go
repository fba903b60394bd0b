package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// behindAddress is where the real server answers; nobody outside the machine reaches it.
	behindAddress = "127.0.0.1:19200"
	pollEvery     = 250 * time.Millisecond
	// stopWithin is far longer than the server takes (2 s), and shorter than anybody who waits for a unit to stop.
	stopWithin = 30 * time.Second
)

// serve runs the server and what stands before it until the context ends or the server does.
func serve(ctx context.Context, dir string, arguments []string) (status int, err error) {
	given, err := readSettings(filepath.Join(dir, settingsFile))
	if err != nil {
		return 1, err
	}
	logger, logFile, err := newLog(given.text("path.logs", "/var/log/opensearch"))
	if err != nil {
		return 1, err
	}
	defer func() { _ = logFile.Close() }()
	logger.Print("OpenSearch without its security plugin; TLS and users on HTTP are this program's, and there is no TLS between nodes")
	status, err = serveLogged(ctx, logger, given, dir, arguments)
	if err != nil {
		logger.Print(err) // the journal may be gone with the machine, the log's disk stays
		err = nil
	}
	return status, err
}

func serveLogged(ctx context.Context, logger *log.Logger, given settings, dir string, arguments []string) (int, error) {
	if _, err := os.Stat(pluginDir); err != nil {
		return 1, errors.Join(errUsers, err)
	}
	plugin, err := readSecurity(given, dir)
	if err != nil {
		return 1, err
	}
	known, err := readUsers(usersFile)
	if err != nil {
		return 1, err
	}
	addresses, err := given.listen()
	if err != nil {
		return 1, err
	}
	child, err := prepare(logger, given, dir, arguments)
	if err != nil {
		return 1, err
	}
	if err := child.Start(); err != nil {
		return 1, err
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()

	handler := &gate{users: known, admins: plugin.admins, server: proxy(logger)}
	front := &http.Server{
		ReadHeaderTimeout: time.Minute, ErrorLog: logger, TLSConfig: plugin.http,
		Handler: handler, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	if plugin.disabled {
		front.Handler = handler.server
	}
	working, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	failed := make(chan error, 1)
	go func() {
		if err := open(working, front, addresses, dir, handler, failed); err != nil {
			failed <- err
		}
	}()
	select {
	case err := <-ended: // before anybody asked it to
		_ = front.Close()
		status, err := exitStatus(err)
		if status == 0 {
			status = 1 // a server that ends by itself has failed, whatever it says
		}
		return status, errors.Join(fmt.Errorf("the server ended by itself, with status %d", status), err)
	case err := <-failed:
		stopWorking()
		_, stopErr := stop(logger, front, child, ended)
		return 1, errors.Join(err, stopErr)
	case <-ctx.Done():
		logger.Print("asked to stop")
		return stop(logger, front, child, ended)
	}
}

// prepare writes the server's configuration and returns its command.
func prepare(logger *log.Logger, given settings, dir string, arguments []string) (*exec.Cmd, error) {
	plain, err := given.behind(behindAddress)
	if err != nil {
		return nil, err
	}
	here, err := thisMachine()
	if err != nil {
		return nil, err
	}
	options, err := filepath.Glob(filepath.Join(dir, "jvm.options.d", "*.options"))
	if err != nil {
		return nil, err
	}
	heap, err := heapOf(append([]string{filepath.Join(dir, "jvm.options")}, options...)...)
	if err != nil {
		return nil, err
	}
	help, err := here.answerFor(plain, heap)
	if err != nil {
		return nil, err
	}
	for _, note := range help.notes {
		logger.Print(note)
	}
	copied := configurationCopy()
	if err := os.RemoveAll(copied); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(copied, 0o700); err != nil {
		return nil, err
	}
	if err := copyConfiguration(dir, copied, plain); err != nil {
		return nil, err
	}
	child := exec.CommandContext(context.Background(), filepath.Join(serverHome, "bin", "opensearch"), arguments...) //nolint:gosec // its unit's arguments
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "NOTIFY_SOCKET=") { // readiness is this program's to tell
			child.Env = append(child.Env, variable)
		}
	}
	child.Env = append(child.Env, "OPENSEARCH_PATH_CONF="+copied)
	if help.java != "" {
		child.Env = append(child.Env, "OPENSEARCH_JAVA_OPTS="+strings.TrimSpace(os.Getenv("OPENSEARCH_JAVA_OPTS")+" "+help.java))
	}
	if help.preload {
		child.Env = append(child.Env, "LD_PRELOAD="+preloadFile)
	}
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	// The unit stops its main process only: should this one be killed, nobody else would end the server.
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return child, nil
}

// configurationCopy is a folder that goes when the unit stops.
func configurationCopy() string {
	if runtime := os.Getenv("RUNTIME_DIRECTORY"); runtime != "" {
		return filepath.Join(runtime, "config")
	}
	return filepath.Join(os.TempDir(), "opensearch-config")
}

// proxy hands requests to the server.
func proxy(logger *log.Logger) http.Handler {
	server := &url.URL{Scheme: "http", Host: behindAddress}
	return &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(server); r.Out.Host = r.In.Host },
		ErrorLog: logger,
	}
}

// open waits for the server, answers in its place, tells systemd, and waits until the cluster has formed.
func open(ctx context.Context, front *http.Server, addresses []string, dir string, handler *gate, failed chan<- error) error {
	if err := poll(ctx, func() bool { return answer(ctx, "/", nil) }); err != nil {
		return nil // asked to stop, or the server ended: said elsewhere
	}
	for _, address := range addresses {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		if front.TLSConfig != nil {
			listener = tls.NewListener(listener, front.TLSConfig)
		}
		go func() {
			if err := front.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		}()
	}
	if err := keepKeystore(dir); err != nil {
		return err
	}
	if err := notify(ctx, "READY=1"); err != nil {
		return err
	}
	_ = poll(ctx, func() bool { // ends with the context, too
		var health struct {
			Manager bool `json:"discovered_master"`
		}
		return answer(ctx, "/_cluster/health?local=true", &health) && health.Manager
	})
	handler.initialised.Store(ctx.Err() == nil)
	return nil
}

// poll asks until the answer is yes, or the context ends.
func poll(ctx context.Context, done func() bool) error {
	timer := time.NewTicker(pollEvery)
	defer timer.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
	}
	return nil
}

// answer tells whether the server answers a request, and reads what it says.
func answer(ctx context.Context, path string, into any) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+behindAddress+path, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close() //nolint:errcheck // read only
	return response.StatusCode == http.StatusOK && (into == nil || json.NewDecoder(response.Body).Decode(into) == nil)
}

// keepKeystore puts the keystore that the server made at its first start where the official package has it.
func keepKeystore(dir string) error {
	kept := filepath.Join(dir, keystoreFile)
	if _, err := os.Stat(kept); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return copyFile(filepath.Join(configurationCopy(), keystoreFile), kept)
}

// notify tells systemd, where it is the one that started us.
func notify(ctx context.Context, message string) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return err
	}
	_, err = connection.Write([]byte(message))
	return errors.Join(err, connection.Close())
}

// stop ends the server in good order, or else at once, and returns its status.
func stop(logger *log.Logger, front *http.Server, child *exec.Cmd, ended <-chan error) (int, error) {
	_ = front.Close() // nobody is answered by a server that stops
	if err := child.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 1, err
	}
	patience := time.NewTimer(stopWithin)
	defer patience.Stop()
	select {
	case err := <-ended:
		return exitStatus(err)
	case <-patience.C:
		logger.Printf("the server did not stop within %s and is killed", stopWithin)
		return 1, child.Process.Kill() // what is left goes with this process
	}
}
