package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/roles/role"
)

// answerAgentCheck tells the balancers whether this machine may get new clients, as haproxy's agent check asks it: a
// connection is a question, and one word the answer. "drain" lets clients stay that are here and sends no new ones; "ready"
// takes that back. Whether Cinc Server is well is the health check's business and not told here.
func (e *endpoint) answerAgentCheck(ctx context.Context) error {
	address := net.JoinHostPort(e.machine.Self.Address.String(), fmt.Sprint(cluster.PortAgentCheck))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go e.answerEach(ctx, listener)
	return nil
}

// acceptPause is about how long to wait after a connection that could not be taken.
const acceptPause = 100 * time.Millisecond

// answerEach goes on until the listener is closed, with the endpoint. Any other error passes, such as too many open files:
// balancers that hear nothing any more would never learn of a drain.
func (e *endpoint) answerEach(ctx context.Context, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || role.Pause(ctx, acceptPause) != nil {
				return
			}
			continue
		}
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		_, _ = conn.Write([]byte(e.agentWord() + "\n")) // a balancer that is gone asks again
		_ = conn.Close()
	}
}

// agentWord is what the balancers are told.
func (e *endpoint) agentWord() string {
	if drained, err := cinc.Drained(e.host); err == nil && drained {
		return "drain"
	}
	return "ready"
}
