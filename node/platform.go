package node

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Platform is what surrounds a machine where its document leaves out addresses and secrets: see node/aws.
type Platform interface {
	// Discovery finds the machines of the cluster that self is of.
	Discovery(r *cluster.Resolved, self cluster.Node) Discovery
	// Secrets returns the text of the machine's secrets file.
	Secrets(context.Context, cloudinit.SecretStore) ([]byte, error)
	// Disk brings the data disk that self keeps to this machine, and returns its device; "": self keeps none.
	Disk(ctx context.Context, r *cluster.Resolved, self cluster.Node) (device string, err error)
	Supervisor
}

// Supervisor is what replaces a machine that does not become ready in time.
type Supervisor interface {
	// Alive says that the machine is still on its way.
	Alive(ctx context.Context, r *cluster.Resolved, self cluster.Node) error
	// Ready says that the machine is ready, and which content its image has; "": the image does not say.
	Ready(ctx context.Context, r *cluster.Resolved, self cluster.Node, content string) error
}

// load reads what this machine was told about itself, and asks its platform for the rest.
func (a Agent) load(ctx context.Context) (Machine, error) {
	if err := a.fetchSecrets(ctx); err != nil {
		return Machine{}, err
	}
	m, err := Load(a.Host)
	if err != nil || a.Platform == nil {
		return m, err
	}
	m.found = a.Platform.Discovery(&m.Document.Cluster, m.Self)
	m.Self, err = m.found.Self(ctx)
	return m, err
}

// fetchSecrets gets the machine's secrets from the store that its document names, once in the machine's life: later boots
// need no store. Whether they are the right ones, Load tells.
func (a Agent) fetchSecrets(ctx context.Context) error {
	text, err := read(a.Host, cloudinit.DocumentPath)
	if err != nil {
		return err
	}
	document, err := cloudinit.DecodeDocument(text)
	if err != nil || document.SecretStore == nil {
		return nil //nolint:nilerr // Load says it, with what to do
	}
	if _, err := a.Host.Read(cloudinit.SecretsPath); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if a.Platform == nil {
		return &role.Refusal{
			Reason: "the secrets of this machine are in " + string(document.SecretStore.Kind) + ", and the agent of its image can't read them there",
			Hint:   "bake the image for platform " + string(document.Cluster.Platform),
		}
	}
	fetched, err := a.Platform.Secrets(ctx, *document.SecretStore)
	if err != nil {
		return err
	}
	if err := a.Host.Put(cloudinit.SecretsPath, step.Entry{Kind: step.KindFile, Mode: 0o600, Owner: "root", Group: "root", Content: fetched}); err != nil {
		return err
	}
	// A store that was slower than cloud-init's last stage let the scrubbing pass by, which waits for this file alone. It is
	// ordered after that stage all the same.
	_, err = a.Host.Run(ctx, step.Command{Argv: []string{"systemctl", "start", "--no-block", role.UnitScrub}})
	return err
}

// alivePause is how often a boot that goes on says so.
const alivePause = 5 * time.Minute

// stayAlive says that the boot goes on, until it ends. What a boot that failed before that time is worth, nobody hears.
func (b *boot) stayAlive(ctx context.Context, m Machine) {
	for role.Pause(ctx, alivePause) == nil {
		if err := b.platform.Alive(ctx, &m.Document.Cluster, m.Self); err != nil && ctx.Err() == nil {
			b.report.say("the platform was not told that the boot goes on: %v", err)
		}
	}
}

// disk brings the data disk to its place, from wherever the platform keeps it.
func (b *boot) disk(ctx context.Context) error {
	if b.platform != nil {
		device, err := b.platform.Disk(ctx, &b.machine.Document.Cluster, b.machine.Self)
		if err != nil {
			return err
		}
		b.machine.Self.Disk = device
	}
	if err := prepareDisk(ctx, b.host, b.machine); err != nil {
		return err
	}
	// Now that it is known whose it is. With the room that it had, the machine works as before; the refresh tries again.
	if err := growDisk(ctx, b.host); err != nil {
		b.report.say("%v", err)
	}
	return placeDisk(b.host)
}

// announce tells the platform that the machine is ready.
func (b *boot) announce(ctx context.Context) error {
	if b.platform == nil {
		return nil
	}
	content, err := read(b.host, role.ContentDigestFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return b.platform.Ready(ctx, &b.machine.Document.Cluster, b.machine.Self, strings.TrimSpace(string(content)))
}
