//go:build unix

package imds

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"
)

// connection is where a request's context has the connection that it came by.
type connection struct{}

// Serve answers at a listener, as http://169.254.169.254 would, until ctx ends.
func (s *Service) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connection{}, c) },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// limitHops makes what is sent by a connection go so many hops, and no further.
func limitHops(c net.Conn, hops int) error {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return errors.New("the connection has no socket whose hops could be limited")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TTL, hops) })
	return errors.Join(err, failed)
}
