package provision

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

// cleanWithin is how long taking away our own files may take.
const cleanWithin = 30 * time.Second

// shownRows is how many of its last lines a failed command's error shows.
const shownRows = 12

// machine is the machine that is provisioned, over whatever communicator Packer has to it.
type machine struct {
	comm packersdk.Communicator
	ui   packersdk.Ui
	sudo bool
}

// root runs a program as root and passes on what it prints.
func (m machine) root(ctx context.Context, argv ...string) error {
	command := quoted(argv)
	if m.sudo {
		command = "sudo -n -- " + command // a password cannot be asked for
	}
	return m.shell(ctx, command)
}

// user runs a program as Packer's user, which may have lost its account by then.
func (m machine) user(ctx context.Context, argv ...string) error { return m.shell(ctx, quoted(argv)) }

// shell runs a line of shell as Packer's user. An error holds the last lines that it printed.
func (m machine) shell(ctx context.Context, line string) error {
	said := new(tail)
	command := &packersdk.RemoteCmd{Command: line, Stdout: said, Stderr: said}
	if err := command.RunWithUi(ctx, m.comm, m.ui); err != nil {
		return err
	}
	switch status := command.ExitStatus(); status {
	case 0:
		return nil
	case packersdk.CmdDisconnect:
		return fmt.Errorf("the connection broke while the machine ran it%s", said)
	default:
		return fmt.Errorf("exit status %d%s", status, said)
	}
}

// upload writes a file of the machine, as Packer's user. The size of a file is known beforehand, which spares Packer a copy.
func (m machine) upload(name string, content io.Reader) error {
	var known *os.FileInfo
	if file, ok := content.(*os.File); ok {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		known = &info
	}
	if err := m.comm.Upload(name, content, known); err != nil {
		return fmt.Errorf("upload %s: %w", name, err)
	}
	return nil
}

// read returns a file of the machine. It is not Packer's download: scp and sftp refuse a user whose account is gone, a
// command of an open connection does not. In base64 it survives a terminal, which Packer may have asked for, and what the
// server says first stands on lines of its own.
func (m machine) read(ctx context.Context, name string) ([]byte, error) {
	var out, complaints bytes.Buffer
	command := &packersdk.RemoteCmd{Command: quoted([]string{"base64", "-w0", name}), Stdout: &out, Stderr: &complaints}
	if err := m.comm.Start(ctx, command); err != nil {
		return nil, err
	}
	exited := make(chan int, 1)
	go func() { exited <- command.Wait() }()
	select {
	case <-ctx.Done(): // the buffers are the command's until it ends
		return nil, context.Cause(ctx)
	case status := <-exited:
		if status != 0 {
			return nil, fmt.Errorf("read %s: exit status %d: %s", name, status, strings.TrimSpace(complaints.String()))
		}
	}
	rows := strings.Fields(out.String())
	if len(rows) == 0 {
		return nil, fmt.Errorf("read %s: it is empty", name)
	}
	content, err := base64.StdEncoding.DecodeString(rows[len(rows)-1])
	if err != nil {
		return nil, fmt.Errorf("read %s: what came back is not the file: %w", name, err)
	}
	return content, nil
}

// tail keeps the last lines of what is written to it, from any goroutine.
type tail struct {
	mu   sync.Mutex
	rows []string
	rest string
}

func (t *tail) Write(piece []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := strings.Split(t.rest+string(piece), "\n")
	t.rest = rows[len(rows)-1]
	for _, row := range rows[:len(rows)-1] {
		if row = strings.TrimRight(row, "\r "); row != "" {
			t.rows = append(t.rows, row)
		}
	}
	if over := len(t.rows) - shownRows; over > 0 {
		t.rows = t.rows[over:]
	}
	return len(piece), nil
}

// String is the lines as the end of an error.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := t.rows
	if t.rest != "" {
		rows = append(rows[:len(rows):len(rows)], t.rest)
	}
	if len(rows) == 0 {
		return "; it printed nothing"
	}
	return "; its last lines:\n    | " + strings.Join(rows, "\n    | ")
}

// quoted is a command line of words that the shell leaves as they are.
func quoted(argv []string) string {
	words := make([]string, len(argv))
	for i, word := range argv {
		words[i] = quote(word)
	}
	return strings.Join(words, " ")
}

// quote makes a word that the shell leaves as it is.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
