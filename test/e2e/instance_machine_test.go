//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/lab/machine"
	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/imds"
)

// cloudMachine is an instance that boots from the tree of its AMI: a machine as the lab has them, but for its network card,
// which comes alone and learns its address by DHCP, and for what tells cloud-init that this is AWS. That takes a private
// network of systemd-nspawn's own, since only then something can be mounted below its /sys.
type cloudMachine struct {
	machine.Machine
	instance fakeaws.Instance
	card     imds.Card
	disk     string // the device of its data volume here; empty: it has none
	volume   string // which that is
	began    time.Time
}

// hypervisorUUID makes cloud-init take a container for an instance: it reads no DMI there.
const hypervisorUUID = "ec2e1916-9099-7caf-fd21-012345abcdef\n"

// nitroPath is where udev on an instance names a volume.
func nitroPath(volume string) string {
	return "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_" + strings.Replace(volume, "-", "", 1)
}

// bootScript starts a machine in namespaces and cgroups of its own. /sys must be read-only, or systemd-nspawn waits for a
// udev that is not there to name the card.
const bootScript = `set -e
for group in "$UNIFIED" "$NAMED"; do
	if [ -n "$group" ]; then
		mkdir -p "$group"
		echo $$ > "$group/cgroup.procs"
	fi
done
exec unshare --mount --propagation slave --net sh -ec '
	mount -t overlay overlay -o "lowerdir=$TREE,upperdir=$LAYER/upper,workdir=$LAYER/work" "$LAYER/root"
	ip link set lo up
	ip link add ens5 address "$MAC" type veth peer name "$PORT" netns "$NETWORK"
	nsenter --net="$NETWORK" ip link set "$PORT" master br0 up
	mount -o remount,bind,ro /sys
	exec "$@"
' sh "$@"`

// withheld are the capabilities by which a machine could reach the host.
const withheld = "CAP_SYS_TIME,CAP_SYS_MODULE,CAP_SYS_RAWIO,CAP_MKNOD"

// start boots the machine, whose layer is laid out, and returns when its init runs.
func (m *cloudMachine) start(ctx context.Context, host machine.Host, network string) error {
	if err := m.PowerOff(ctx, host); err != nil { // one of a run that was killed
		return err
	}
	uuid := filepath.Join(m.Dir, "hv-uuid")
	console, err := os.OpenFile(m.Console(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	if err := os.WriteFile(uuid, []byte(hypervisorUUID), 0o444); err != nil {
		return err
	}
	layer := filepath.Join(m.Dir, "layer") // as machine.Prepare lays it out
	nspawn := []string{
		"systemd-nspawn", "--quiet", "--boot", "--settings=no", "--machine=" + m.Unit, "--hostname=localhost", "--directory=" + filepath.Join(layer, "root"),
		"--keep-unit", "--register=no", "--network-interface=ens5", "--drop-capability=" + withheld,
		"--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe", "--bind-ro=" + uuid + ":/sys/hypervisor/uuid",
	}
	if m.disk != "" {
		nspawn = append(nspawn, "--bind="+m.disk+":"+nitroPath(m.volume))
	}
	argv := append([]string{"sh", "-c", bootScript, "sh"}, nspawn...)
	var unified, named string
	if host.Systemd { // where the lab's machines are, too
		argv = append([]string{"systemd-run", "--scope", "--quiet", "--collect", "--unit=" + m.Unit, "--slice=cincbake-lab.slice", "--property=Delegate=yes", "--"}, argv...)
	} else {
		unified = filepath.Join(host.Unified, m.Unit)
		if host.Named != "" {
			named = filepath.Join(host.Named, m.Unit)
		}
	}
	command := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...)
	command.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", "SYSTEMD_NSPAWN_LOCK=0", "UNIFIED="+unified, "NAMED="+named,
		"TREE="+m.Tree, "LAYER="+layer, "MAC="+m.card.MAC.String(), "NETWORK="+network, "PORT=v"+m.instance.ID[len(m.instance.ID)-8:])
	command.Dir, command.Stdout, command.Stderr = "/", console, console
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	m.began = time.Now()
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		processes, err := m.Processes(host)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(processes, func(p machine.Process) bool { return p.Inside == 1 }) {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("it ended at once: %w\n%s", err, tail(m.Console()))
		default:
		}
		if time.Now().After(limit) {
			return errors.Join(errors.New("its init does not start:\n"+tail(m.Console())), command.Process.Kill())
		}
	}
}

// run runs a program in the machine and returns what it printed.
func (m *cloudMachine) run(ctx context.Context, host machine.Host, argv ...string) (string, error) {
	var out bytes.Buffer
	err := m.Exec(ctx, host, machine.Program{Argv: argv, Stdout: &out})
	return strings.TrimSpace(out.String()), err
}

// must is run of what must succeed.
func (m *cloudMachine) must(t *testing.T, host machine.Host, argv ...string) string {
	t.Helper()
	said, err := m.run(t.Context(), host, argv...)
	if err != nil {
		t.Fatalf("%s: %v: %v\n%s", m.name(), argv, err, said)
	}
	return said
}

// name is what the account calls the machine.
func (m *cloudMachine) name() string {
	if node := m.instance.Tags[cluster.TagNode]; node != "" {
		return node
	}
	return m.instance.Tags[cluster.TagRole] + "/" + m.instance.ID
}

// cloudInit is what the machine's cloud-init came to.
type cloudInit struct {
	Datasource string
	Problems   []string // errors of all stages, and what it warned of
}

// cloudInit waits until cloud-init is through. What it wrote down then stays, also when the agent has switched it off.
func (m *cloudMachine) cloudInit(t *testing.T, host machine.Host) cloudInit {
	t.Helper()
	var result struct{ V1 struct{ Datasource string } }
	for limit := time.Now().Add(time.Minute); ; time.Sleep(250 * time.Millisecond) {
		said, err := m.run(t.Context(), host, "cat", "/run/cloud-init/result.json")
		if err == nil {
			result = decode[struct{ V1 struct{ Datasource string } }](t, said)
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("%s: cloud-init is not through\n%s", m.name(), m.diagnosis(host))
		}
	}
	seen := cloudInit{Datasource: result.V1.Datasource}
	stages := decode[struct{ V1 map[string]json.RawMessage }](t, m.must(t, host, "cat", "/run/cloud-init/status.json")).V1
	for _, stage := range []string{"init-local", "init", "modules-config", "modules-final"} {
		var found struct {
			Errors      []string
			Recoverable map[string][]string `json:"recoverable_errors"`
			Finished    *float64
		}
		if err := json.Unmarshal(stages[stage], &found); err != nil || found.Finished == nil {
			t.Errorf("%s: cloud-init's stage %s: %s, %v", m.name(), stage, stages[stage], err)
		}
		for _, text := range found.Errors {
			seen.Problems = append(seen.Problems, "error: "+text)
		}
		for kind, texts := range found.Recoverable {
			for _, text := range texts {
				seen.Problems = append(seen.Problems, strings.ToLower(kind)+": "+text)
			}
		}
	}
	slices.Sort(seen.Problems) // a stage repeats those of the ones before
	seen.Problems = slices.Compact(seen.Problems)
	return seen
}

// status is what the machine's agent says of its boot.
func (m *cloudMachine) status(ctx context.Context, host machine.Host) (cluster.Status, error) {
	said, err := m.run(ctx, host, "cincbake-node", "status")
	if err != nil {
		return cluster.Status{}, err
	}
	var status cluster.Status
	return status, json.Unmarshal([]byte(said), &status)
}

// diagnosis is what may tell why the machine does not get on.
func (m *cloudMachine) diagnosis(host machine.Host) string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // the test is about to end
	defer cancel()
	var text strings.Builder
	fmt.Fprintf(&text, "=== %s, %.1f s after it was switched on\nconsole:\n%s\n", m.name(), time.Since(m.began).Seconds(), tail(m.Console()))
	for _, argv := range [][]string{
		{"cincbake-node", "status"},
		{"cloud-init", "status", "--long"},
		{"networkctl", "--no-pager", "status", "ens5"},
		{"journalctl", "--no-pager", "--lines=60", "--unit=cincbake-boot.service"},
		{"journalctl", "--no-pager", "--lines=60", "--unit=patroni.service"},
		{"tail", "--lines=40", "/var/log/cloud-init.log"},
	} {
		said, err := m.run(ctx, host, argv...)
		fmt.Fprintf(&text, "--- %s: %v\n%s\n", strings.Join(argv, " "), err, said)
	}
	return text.String()
}

// tail is the end of a file.
func tail(path string) string {
	const most = 3000
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
