package haproxy

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Socket is where haproxy answers questions about itself: the preamble's stats socket.
const Socket = "/run/haproxy/admin.sock"

// statsTime is how long haproxy may take to answer: whoever asks for a machine's status does not wait long either.
const statsTime = 2 * time.Second

// The balancer's backends: API nodes that pass the deep check, and, when none does, whoever takes connections.
const (
	backendAPI = "api"
	backendAny = "api-any"
)

// Served is what a balancer's haproxy says of the API nodes.
type Served struct {
	Up       []string       // who gets clients because they pass the deep check, sorted
	Sessions map[string]int // clients' connections that each has through this haproxy; one that has none is left out
}

// Serving asks a balancer's haproxy how it leads clients to the API nodes.
func Serving(ctx context.Context, socket string) (Served, error) {
	var none Served
	ctx, cancel := context.WithTimeout(ctx, statsTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return none, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return none, err
	}
	if _, err := io.WriteString(conn, "show stat\n"); err != nil {
		return none, err
	}
	return serving(conn)
}

// serving reads what haproxy says to "show stat".
func serving(stats io.Reader) (Served, error) {
	reader := csv.NewReader(stats)
	reader.FieldsPerRecord = -1 // later releases may add some
	rows, err := reader.ReadAll()
	if err != nil {
		return Served{}, fmt.Errorf("haproxy's statistics: %w", err)
	}
	if len(rows) == 0 {
		return Served{}, errors.New("haproxy's statistics are empty")
	}
	column := map[string]int{}
	for _, name := range []string{"# pxname", "svname", "status", "scur"} {
		at := slices.Index(rows[0], name)
		if at < 0 {
			return Served{}, fmt.Errorf("haproxy's statistics lack %s", name)
		}
		column[name] = at
	}
	served := Served{Up: []string{}, Sessions: map[string]int{}}
	for _, row := range rows[1:] {
		if len(row) < len(rows[0])-1 { // every line ends with a comma that the header need not have
			return Served{}, fmt.Errorf("haproxy's statistics are cut off at %q", row)
		}
		backend, server, status := row[column["# pxname"]], row[column["svname"]], row[column["status"]]
		if backend != backendAPI && backend != backendAny || server == "BACKEND" {
			continue
		}
		sessions, err := strconv.Atoi(row[column["scur"]])
		if err != nil {
			return Served{}, fmt.Errorf("haproxy's statistics: sessions of %s: %w", server, err)
		}
		if sessions > 0 {
			served.Sessions[server] += sessions
		}
		// "UP 1/2" failed its last check, and gets clients until it fails the next.
		if backend == backendAPI && (status == "UP" || strings.HasPrefix(status, "UP ")) {
			served.Up = append(served.Up, server)
		}
	}
	slices.Sort(served.Up)
	return served, nil
}
