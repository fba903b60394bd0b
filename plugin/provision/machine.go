package provision

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

// cleanWithin is how long taking away our own files may take.
const cleanWithin = 30 * time.Second

// waitForCloudInit waits where cloud-init runs: on a booted machine that has it. Its status is 2 when it ended with warnings.
const waitForCloudInit = `if [ -d /run/systemd/system ] && command -v cloud-init >/dev/null; then
	timeout 600 cloud-init status --wait || [ $? -eq 2 ]
fi`

// machine is the machine that is provisioned, over whatever communicator Packer has to it.
type machine struct {
	comm packersdk.Communicator
	ui   packersdk.Ui
	sudo bool
}

// run runs a program as root and passes on what it prints.
func (m machine) run(ctx context.Context, argv ...string) error {
	quoted := make([]string, len(argv))
	for i, word := range argv {
		quoted[i] = quote(word)
	}
	command := strings.Join(quoted, " ")
	if m.sudo {
		command = "sudo -n -- " + command // a password cannot be asked for
	}
	return m.shell(ctx, command)
}

// shell runs a line of shell as Packer's user.
func (m machine) shell(ctx context.Context, line string) error {
	command := &packersdk.RemoteCmd{Command: line}
	if err := command.RunWithUi(ctx, m.comm, m.ui); err != nil {
		return err
	}
	if status := command.ExitStatus(); status != 0 {
		return fmt.Errorf("exit status %d of %s", status, line)
	}
	return nil
}

func (m machine) upload(name string, content []byte) error {
	if err := m.comm.Upload(name, bytes.NewReader(content), nil); err != nil {
		return fmt.Errorf("upload %s: %w", name, err)
	}
	return nil
}

func (m machine) download(name string) ([]byte, error) {
	var content bytes.Buffer
	err := m.comm.Download(name, &content)
	return content.Bytes(), err
}

// quote makes a word that the shell leaves as it is.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
