package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/lab/machine"
)

// firstPort is where this host's clients find the cluster; while something else listens there, on one of the next.
const (
	firstPort = 8443
	lastPort  = firstPort + 99
)

// dialDeadline is how long a client waits that is led to nobody.
const dialDeadline = 10 * time.Second

// forwarding is the program that leads this host's clients into the lab, as it is written down.
type forwarding struct {
	Listen string `json:"listen"` // on this host
	To     string `json:"to"`     // in the lab
	PID    int    `json:"pid"`
	Born   string `json:"born"` // with PID, this very process
}

func (l *Lab) forwardingFile() string { return filepath.Join(l.dir(), "forward.json") }

// CAFile is where Publish puts what clients are to trust.
func (l *Lab) CAFile() string { return filepath.Join(l.dir(), "ca.pem") }

// front is where the clients of a cluster connect to; false: it serves none.
func front(c *cluster.Resolved) (string, bool) {
	port := strconv.Itoa(cluster.PortHTTPS)
	if c.LB != nil && c.LB.VIP.IsValid() {
		return net.JoinHostPort(c.LB.VIP.String(), port), true
	}
	for _, node := range c.NodesOf(cluster.RoleAPI, cluster.RoleStandalone) {
		return net.JoinHostPort(node.Address.String(), port), true
	}
	return "", false
}

// Publish makes sure that clients of this host reach the cluster, and returns where; empty for a cluster without an API. The
// program of that command line does it in the background: it gets the listening socket as its file 3 and is to Forward.
// CA holds the certificates that the clients are to trust.
func (l *Lab) Publish(ctx context.Context, ca string, command func(to string) []string) (listen string, err error) {
	err = l.exclusively(ctx, func(machine.Host) error {
		r, err := l.load()
		if err != nil {
			return err
		}
		to, serves := front(&r.Cluster)
		if !serves {
			return nil
		}
		if err := os.WriteFile(l.CAFile(), []byte(ca), 0o644); err != nil { //nolint:gosec // certificates are for everyone
			return err
		}
		kept, alive, err := l.forwarding()
		if err != nil {
			return err
		}
		if alive && kept.To == to {
			listen = kept.Listen
			return nil
		}
		if err := l.unpublish(ctx); err != nil {
			return err
		}
		listen, err = l.publish(ctx, kept.Listen, to, command(to))
		return err
	})
	return listen, err
}

// publish starts the program; was is where the one before it listened, which clients may have noted.
func (l *Lab) publish(ctx context.Context, was, to string, argv []string) (string, error) {
	listener, err := listenOn(ctx, publicAddresses(was)...)
	if err != nil {
		return "", err
	}
	defer listener.Close()
	socket, err := listener.File()
	if err != nil {
		return "", err
	}
	defer socket.Close()
	log, err := os.OpenFile(filepath.Join(l.dir(), "forward.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	defer log.Close()
	program := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...) //nolint:gosec // ourselves
	program.Dir, program.Stdout, program.Stderr = "/", log, log
	program.ExtraFiles = []*os.File{socket}
	program.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal's hang-up or Ctrl-C reaches it
	if err := program.Start(); err != nil {
		return "", fmt.Errorf("leading clients into the lab: %w", err)
	}
	go func() { _ = program.Wait() }() // so that it is gone when it ends
	f := forwarding{Listen: listener.Addr().String(), To: to, PID: program.Process.Pid}
	if f.Born, err = machine.Born(f.PID); err == nil {
		err = l.saveForwarding(f)
	}
	if err != nil { // nobody would ever find it again
		return "", errors.Join(err, program.Process.Kill())
	}
	return f.Listen, nil
}

// publicAddresses are where to listen, the best first. They are on loopback: a lab is nobody's but this host's.
func publicAddresses(was string) []string {
	addresses := []string{was}
	for port := firstPort; port <= lastPort; port++ {
		addresses = append(addresses, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}
	return addresses
}

// listenOn takes the first of the addresses that is free.
func listenOn(ctx context.Context, addresses ...string) (*net.TCPListener, error) {
	var problems []error
	for _, address := range addresses {
		if address == "" {
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil {
			return listener.(*net.TCPListener), nil //nolint:forcetypeassert // of tcp, it is one
		}
		problems = append(problems, err)
	}
	return nil, errors.Join(problems...)
}

// Published returns where clients of this host reach the cluster; empty: nowhere.
func (l *Lab) Published() (string, error) {
	f, alive, err := l.forwarding()
	if !alive {
		return "", err
	}
	return f.Listen, nil
}

// Forward leads whoever connects to the listener to an address in the lab, until the context ends or the lab is gone.
func (l *Lab) Forward(ctx context.Context, listener net.Listener, to string) error {
	if _, err := netip.ParseAddrPort(to); err != nil {
		return fmt.Errorf("where to lead clients: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	var leading sync.WaitGroup
	defer leading.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for {
		client, err := listener.Accept()
		if cause := context.Cause(ctx); cause != nil {
			if errors.Is(cause, ErrNoLab) {
				return cause
			}
			return nil
		}
		if err != nil {
			return err
		}
		leading.Go(func() {
			defer client.Close()
			dialling, done := context.WithTimeout(ctx, dialDeadline)
			server, err := l.Dial(dialling, "tcp", to)
			done()
			if errors.Is(err, ErrNoLab) {
				cancel(err)
				_ = listener.Close()
			}
			if err != nil {
				return // the client sees its connection end, as behind any address that nobody serves
			}
			join(ctx, client, server)
		})
	}
}

// join passes on what each of two connections says to the other, until both have said all, or one fails.
func join(ctx context.Context, client, server net.Conn) {
	end := func() { _ = client.Close(); _ = server.Close() }
	defer end()
	defer context.AfterFunc(ctx, end)()
	var passing sync.WaitGroup
	pass := func(to, from net.Conn) {
		if _, err := io.Copy(to, from); err != nil {
			end()
			return
		}
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // what comes the other way may go on
		}
	}
	passing.Go(func() { pass(server, client) })
	passing.Go(func() { pass(client, server) })
	passing.Wait()
}

// forwarding returns what is written down, and whether that program runs.
func (l *Lab) forwarding() (forwarding, bool, error) {
	var f forwarding
	text, err := os.ReadFile(l.forwardingFile())
	if errors.Is(err, fs.ErrNotExist) {
		return f, false, nil
	}
	if err != nil {
		return f, false, err
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, false, fmt.Errorf("%s: %w", l.forwardingFile(), err)
	}
	born, err := machine.Born(f.PID)
	if errors.Is(err, machine.ErrGone) {
		return f, false, nil
	}
	return f, born == f.Born, err
}

func (l *Lab) saveForwarding(f forwarding) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	partial := l.forwardingFile() + ".partial"
	if err := os.WriteFile(partial, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(partial, l.forwardingFile())
}

// unpublish ends the program that leads clients into the lab, if there is one.
func (l *Lab) unpublish(ctx context.Context) error {
	f, alive, err := l.forwarding()
	if !alive || err != nil {
		return err
	}
	return machine.End(ctx, f.PID, f.Born)
}
