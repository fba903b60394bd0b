package trial

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cincbake/cincbake/lab/machine"
)

// What a machine on trial writes about itself, and the unit that has it do so. They are put on its own layer.
const (
	reportDir = "var/lib/cincbake-trial"
	unitName  = "cincbake-trial.service"
	unitPath  = "etc/systemd/system/" + unitName
	wantsPath = "etc/systemd/system/multi-user.target.d/" + unitName + ".conf"
	wants     = "[Unit]\nWants=" + unitName + "\n"
)

// unit runs when everything that starts by itself has started. Without default dependencies it may be ordered after the
// target that wants it.
const unit = `[Unit]
Description=cincbake: tell what this machine is
DefaultDependencies=no
After=multi-user.target

[Service]
Type=exec
ExecStart=/bin/sh /` + reportDir + `/tell
`

// tell writes the files that report is read from, the last one when all are there. It asks no package for anything that an
// image may lack.
const tell = `cd /` + reportDir + ` || exit
timeout 60 systemctl is-system-running --wait > state
systemctl list-units --state=failed --no-legend --plain --no-pager > failed
cat /proc/net/tcp > tcp; cat /proc/net/tcp6 > tcp6; cat /proc/net/udp > udp; cat /proc/net/udp6 > udp6
cat /etc/machine-id > machine-id
cat /etc/ssh/ssh_host_*_key.pub > host-keys
: > done
`

// settled is how long a machine may take to start everything. It takes some seconds.
const settled = 2 * time.Minute

// bootOnce boots a machine, waits for what it says of itself, and takes it away.
func bootOnce(ctx context.Context, host machine.Host, m machine.Machine, address string) (said report, err error) {
	if err := m.Prepare(func(dir string) error { return writeSeed(dir, m, address) }); err != nil {
		return said, err
	}
	for _, file := range []struct{ path, text string }{{unitPath, unit}, {wantsPath, wants}, {reportDir + "/tell", tell}} {
		if err := m.Put(file.path, []byte(file.text), 0o644); err != nil {
			return said, err
		}
	}
	if err := m.Start(ctx, host); err != nil {
		return said, err
	}
	defer func() { // also when it was stopped
		err = errors.Join(err, m.PowerOff(context.WithoutCancel(ctx), host), m.Remove())
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, settled, fmt.Errorf("the machine did not settle within %s", settled))
	defer cancel()
	for {
		_, err := m.Read(reportDir + "/done")
		if err == nil {
			return readReport(func(name string) ([]byte, error) { return m.Read(reportDir + "/" + name) })
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return said, err
		}
		if running, err := m.Running(host); err != nil || !running {
			return said, errors.Join(err, fmt.Errorf("the machine stopped by itself; its console ends with\n%s", lastOf(m.Console())))
		}
		select {
		case <-ctx.Done():
			return said, fmt.Errorf("%w; its console ends with\n%s", context.Cause(ctx), lastOf(m.Console()))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// writeSeed makes a seed with an address and nothing to do: without a seed cloud-init would wait for one.
func writeSeed(dir string, m machine.Machine, address string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"meta-data":      "instance-id: " + m.Unit + "\nlocal-hostname: trial\n",
		"user-data":      "#cloud-config\n{}\n",
		"network-config": fmt.Sprintf("version: 2\nethernets:\n  eth0:\n    addresses: [%s]\n", address),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// lastOf returns the end of a console's output.
func lastOf(console string) string {
	const most = 1500
	text, err := os.ReadFile(console)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
