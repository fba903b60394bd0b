package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// services are Cinc Server's, as far as they run with external tiers. Two of them are real here: goiardi as opscode-erchef,
// and the front as nginx.
func services() []string {
	return []string{"bookshelf", "nginx", "oc_bifrost", "oc_id", "opscode-erchef", "redis_lb"}
}

// service is one that can be started and stopped.
type service struct {
	run    func(context.Context) error // until its context ends
	hup    func() error
	mu     sync.Mutex
	stop   context.CancelFunc // nil while it is down
	done   chan struct{}
	since  time.Time
	failed error // why it ended last, for status
}

func (s *service) start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		return
	}
	ctx, s.stop = context.WithCancel(ctx)
	done := make(chan struct{})
	s.done, s.since, s.failed = done, time.Now(), nil
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			err := s.run(ctx)
			if ctx.Err() != nil {
				return
			}
			fmt.Fprintf(os.Stderr, "%sa service ended: %v\n", label, err) //nolint:errcheck // the journal
			s.mu.Lock()
			s.failed, s.since = err, time.Now()
			s.mu.Unlock()
			select { // as runit: once a second
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
}

func (s *service) end() {
	s.mu.Lock()
	stop, done := s.stop, s.done
	s.stop = nil
	s.since = time.Now()
	s.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

func (s *service) state() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	word, seconds := "run", int(time.Since(s.since).Seconds())
	if s.stop == nil {
		word = "down"
	}
	return fmt.Sprintf("%s %d", word, seconds)
}

// supervise runs goiardi and the front until it is told to end.
func supervise(ctx context.Context, i invocation) error {
	if !exists(i.goiardi()) {
		return errors.New("nothing to run: cinc-server-ctl reconfigure comes first")
	}
	all := map[string]*service{}
	for _, name := range services() {
		all[name] = &service{run: func(ctx context.Context) error { <-ctx.Done(); return nil }, hup: func() error { return nil }}
	}
	all["opscode-erchef"].run = func(ctx context.Context) error { return i.runGoiardi(ctx) }
	var current atomic.Pointer[front]
	all["nginx"].run = func(ctx context.Context) error {
		f, err := i.newFront() // with what the last reconfigure wrote
		if err != nil {
			return err
		}
		current.Store(f)
		return f.serve(ctx)
	}
	all["nginx"].hup = func() error {
		if f := current.Load(); f != nil {
			return f.reload()
		}
		return nil // it reads everything when it starts
	}
	if err := os.Remove(i.socket()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", i.socket())
	if err != nil {
		return err
	}
	if err := os.Chmod(i.socket(), 0o600); err != nil {
		return err
	}
	for _, s := range all {
		s.start(ctx)
	}
	i.say("running %s", strings.Join(services(), ", "))
	go func() {
		<-ctx.Done()
		_ = listener.Close() // ends the loop below
	}()
	for {
		conn, err := listener.Accept()
		if err != nil {
			break
		}
		go func() {
			defer conn.Close() //nolint:errcheck // one who left
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			order, err := line(conn)
			if err == nil {
				fmt.Fprintln(conn, obey(ctx, all, order)) //nolint:errcheck // one who left
			}
		}()
	}
	for _, s := range all {
		s.end()
	}
	return nil
}

// newFront reads what the front needs.
func (i invocation) newFront() (*front, error) {
	config, secrets, err := i.load()
	if err != nil {
		return nil, err
	}
	search, err := searchOf(config, secrets, i.layout)
	if err != nil {
		return nil, err
	}
	api := &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(goiardiPort))}
	return newFront(i.layout, config, probesOf(serverOf(config, secrets), secrets, search), api), nil
}

// obey does "VERB SERVICE", and answers "ok" and more, or what is wrong.
func obey(ctx context.Context, all map[string]*service, order string) string {
	verb, name, _ := strings.Cut(order, " ")
	s, ok := all[name]
	if !ok {
		return "no service " + name
	}
	switch verb {
	case "start":
		s.start(ctx)
	case "stop", "kill":
		s.end()
	case "restart":
		s.end()
		s.start(ctx)
	case "hup":
		if err := s.hup(); err != nil {
			return err.Error()
		}
	case "status":
	default:
		return "no verb " + verb
	}
	if verb == "kill" { // runit starts it again
		s.start(ctx)
	}
	return "ok " + s.state()
}

// tell gives the supervisor an order. One that systemd has just started needs a moment.
func (i invocation) tell(ctx context.Context, order string) (string, error) {
	var conn net.Conn
	err := retry(ctx, i.wait/10, 5, func() (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, "unix", i.socket())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("the supervisor does not run: systemctl start %s: %w", unit, err)
	}
	defer conn.Close() //nolint:errcheck // both have said all
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(conn, order); err != nil {
		return "", err
	}
	got, err := line(conn)
	if err != nil {
		return "", err
	}
	state, ok := strings.CutPrefix(got, "ok ")
	if !ok {
		return "", fmt.Errorf("%s: %s", order, got)
	}
	return state, nil
}

// control is start, stop, restart, hup and kill, of one service or of all.
func control(ctx context.Context, i invocation, verb string) error {
	names := services()
	if len(i.arguments) > 0 {
		names = i.arguments
	}
	for _, name := range names {
		if name == "postgresql" || name == "opensearch" {
			return &exitError{8, "The service " + name + " is running externally and cannot be managed"}
		}
		if !slices.Contains(services(), name) {
			return fmt.Errorf("no service %q", name)
		}
		if _, err := i.tell(ctx, verb+" "+name); err != nil {
			return err
		}
		fmt.Fprintf(i.out, "ok: %s: %s\n", name, verb) //nolint:errcheck // a reader who left
	}
	return nil
}

// status prints the services; what is external is printed too, and does not count.
func status(ctx context.Context, i invocation) error {
	config, secrets, err := i.load()
	if err != nil {
		return err
	}
	down := false
	for _, name := range services() {
		state, err := i.tell(ctx, "status "+name)
		if err != nil {
			return err
		}
		word, seconds, _ := strings.Cut(state, " ")
		down = down || word != "run"
		fmt.Fprintf(i.out, "%s: %s: %ss\n", word, name, seconds) //nolint:errcheck // a reader who left
	}
	database := serverOf(config, secrets)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := database.chef(ctx, secrets)
	if err != nil {
		fmt.Fprintf(i.out, "down: postgresql: failed to connect to %s\n", database) //nolint:errcheck // a reader who left
	} else {
		defer conn.Close(ctx)                                                 //nolint:errcheck // only opened
		fmt.Fprintf(i.out, "run: postgresql: connected OK to %s\n", database) //nolint:errcheck // a reader who left
	}
	if down {
		return &exitError{3, "a service is down"}
	}
	return nil
}

// goiardiUser is the user that Debian's package makes.
const goiardiUser = "goiardi"

func goiardiIDs() (uid, gid int, err error) {
	found, err := user.Lookup(goiardiUser)
	if err != nil {
		return 0, 0, err
	}
	uid, err = strconv.Atoi(found.Uid)
	if err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(found.Gid)
	return uid, gid, err
}

// giveToGoiardi lets goiardi read its configuration and write into its home.
func (r *reconfiguration) giveToGoiardi() error {
	uid, gid, err := r.owner()
	if err != nil {
		return err
	}
	return errors.Join(
		os.Chown(r.goiardi(), -1, gid), os.Chown(r.goiardiHome(), uid, gid), os.Chown(r.goiardiHome()+"/files", uid, gid),
	)
}

// runGoiardi runs it as its own user until the context ends.
func (i invocation) runGoiardi(ctx context.Context) error {
	uid, gid, err := i.owner()
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, "/usr/bin/goiardi", "--config", i.goiardi()) //nolint:gosec // a path of the layout
	command.Stdout, command.Stderr, command.Dir = os.Stdout, os.Stderr, i.goiardiHome()
	command.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, //nolint:gosec // both are small
	}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 5 * time.Second
	return command.Run()
}

// serve listens until the context ends.
func (f *front) serve(ctx context.Context) error {
	if err := f.reload(); err != nil {
		return err
	}
	port := func(key string, unset int) string {
		return net.JoinHostPort("", strconv.Itoa(f.config.number("nginx", key, unset)))
	}
	secure := &http.Server{Addr: port("ssl_port", 443), Handler: f, TLSConfig: f.tls(), ReadHeaderTimeout: 30 * time.Second}
	plain := &http.Server{Addr: port("non_ssl_port", 80), Handler: http.HandlerFunc(redirect), ReadHeaderTimeout: 30 * time.Second}
	ended := make(chan error, 2)
	go func() { ended <- secure.ListenAndServeTLS("", "") }()
	go func() { ended <- plain.ListenAndServe() }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	closed := errors.Join(secure.Close(), plain.Close())
	if err == nil || errors.Is(err, http.ErrServerClosed) {
		err = closed
	}
	return err
}
