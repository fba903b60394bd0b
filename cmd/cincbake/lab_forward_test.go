package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/internal/exit"
)

// The program in the background takes the socket that lab up listens on, and ends by itself when the lab is gone.
func TestLabForwardTakesTheSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it enters a network: run the test as root")
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	forward := exec.CommandContext(t.Context(), "cincbake", "lab", "forward", "never-up", "--to", "10.20.0.10:443")
	forward.ExtraFiles, forward.Stderr = []*os.File{socket}, &said
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	if err := socket.Close(); err != nil { // from now on only the program has it
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("somebody said %d bytes", n)
	}
	if err := forward.Wait(); forward.ProcessState.ExitCode() != int(exit.Missing) || !strings.Contains(said.String(), "there is no lab never-up") {
		t.Errorf("it ended with %v: %s", err, said.String())
	}
}
