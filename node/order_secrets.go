package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// deliveredFile names the secrets that the operator delivered after the seed's, by digest: the document, which names the
// seed's, never changes. It has two lines, the ones before and the ones now, so that a machine whose power fails between
// the writing of the two files knows either.
const deliveredFile = "/etc/cincbake/secrets.digest"

// mostSecrets is the most that a machine's secrets may have.
const mostSecrets = 256 << 10

// delivered tells whether the operator delivered the secrets of this digest.
func delivered(files step.Files, digest string) (bool, error) {
	text, err := read(files, deliveredFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == digest {
			return true, nil
		}
	}
	return false, err
}

// held is which secrets the machine runs with, by digests.
type held struct {
	Digest  string `json:"digest"`
	Lasting string `json:"lasting"` // see secrets.Scoped.LastingDigest
}

func (e *endpoint) held(*http.Request) (any, error) {
	encoded, err := e.machine.Secrets.Encode()
	if err != nil {
		return nil, err
	}
	lasting, err := e.machine.Secrets.LastingDigest()
	return held{secrets.Digest(encoded), lasting}, err
}

// taken is how a delivery answers: which secrets are new to the machine, and when it last wrote its status before it began
// to use them.
type taken struct {
	Changed []string  `json:"changed"`
	Since   time.Time `json:"since"`
}

// deliver takes over new secrets: those of this machine, as its seed would have them. With ?check it only says whether it
// would. The boot runs again with them: it writes what changed and lets programs read it, and the status says how that ends.
func (e *endpoint) deliver(r *http.Request) (any, error) {
	text, err := io.ReadAll(io.LimitReader(r.Body, mostSecrets))
	if err != nil {
		return nil, err
	}
	answer, err := e.succeed(r.Context(), text, r.URL.Query().Has("check"))
	if err == nil && len(answer.Changed) > 0 && !r.URL.Query().Has("check") {
		e.renew()
	}
	return answer, err
}

// Take is a delivery by root on the machine itself: once certificates have ended, no operator gets through to the endpoint.
// It reads the secrets, and nothing else, of a seed's user-data.
func (a Agent) Take(ctx context.Context, userData []byte) error {
	text, err := cloudinit.SecretsIn(userData)
	if err != nil {
		return &role.Refusal{Reason: err.Error(), Hint: "name the user-data of this machine's seed: cincbake render --node NAME --out seeds"}
	}
	e, err := a.endpoint(ctx)
	if err != nil {
		return err
	}
	answer, err := e.succeed(ctx, text, false)
	if err != nil {
		return err
	}
	out := newReporter(a.Host, a.Out)
	if len(answer.Changed) == 0 {
		out.say("this machine has these secrets already")
		return nil
	}
	out.say("taken over: %s; the boot goes on with them, cincbake-node status says how it ends", strings.Join(answer.Changed, ", "))
	// The endpoint that runs is another process.
	_, err = a.Host.Run(ctx, step.Command{Argv: []string{"systemctl", "try-restart", "--no-block", role.UnitAgent}})
	return err
}

// succeed lets the machine go on with other secrets, unless it is only to check whether it could.
func (e *endpoint) succeed(ctx context.Context, text []byte, check bool) (taken, error) {
	e.delivering.Lock()
	defer e.delivering.Unlock()
	next, err := secrets.DecodeScoped(text)
	if err != nil {
		return taken{}, &role.Refusal{Reason: err.Error(), Hint: "use the release of cincbake that the machine's image was baked with"}
	}
	answer, err := e.admissible(next)
	if err != nil || len(answer.Changed) == 0 || check {
		return answer, err
	}
	return answer, e.take(ctx, next)
}

// admissible tells what is new in next, and refuses what this machine cannot go on with.
func (e *endpoint) admissible(next secrets.Scoped) (taken, error) {
	var answer taken
	if store := e.machine.Document.SecretStore; store != nil {
		return answer, &role.Refusal{Reason: "this machine fetches its secrets from " + store.Name, Hint: "put the new ones there"}
	}
	if err := e.machine.Secrets.Succeed(next, e.machine.Self.Address, time.Now()); err != nil {
		return answer, &role.Refusal{Reason: err.Error(), Hint: "deliver the bundle of this cluster, and no step of the CA's replacement before every machine has the one before"}
	}
	answer.Changed = []string{}
	var offline []string
	for _, name := range e.machine.Secrets.Changed(next) {
		answer.Changed = append(answer.Changed, name)
		if !secrets.Online(name) {
			offline = append(offline, name)
		}
	}
	if len(offline) > 0 {
		row, _ := secrets.RotationOf(offline[0])
		return answer, &role.Refusal{
			Reason: "these include what a running machine does not take over: " + strings.Join(offline, ", "),
			Hint:   fmt.Sprintf("%s: %s", offline[0], row.How),
		}
	}
	status, err := ReadStatus(e.host, e.in.Facts.BootID)
	if err != nil {
		return answer, err
	}
	answer.Since = status.Updated
	if len(answer.Changed) > 0 && status.Result != cluster.ResultReady && !e.ended() {
		return answer, &role.Refusal{
			Reason: fmt.Sprintf("this machine is %s in phase %s, and takes over nothing while it is not ready", status.Result, status.Phase),
			Hint:   "cincbake status says what it lacks",
		}
	}
	return answer, nil
}

// ended tells whether the machine's certificate has: then it is what a boot waits for, since nobody answers this machine.
func (e *endpoint) ended() bool {
	certificate, err := e.machine.Secrets.Leaf.X509()
	return err == nil && time.Now().After(certificate.NotAfter)
}

// take writes the secrets down and has the boot go on with them.
func (e *endpoint) take(ctx context.Context, next secrets.Scoped) error {
	present, err := e.host.Read(cloudinit.SecretsPath)
	if err != nil {
		return err
	}
	encoded, err := next.Encode()
	if err != nil {
		return err
	}
	known := strings.Join([]string{secrets.Digest(present.Content), secrets.Digest(encoded), ""}, "\n")
	for _, file := range []struct {
		path    string
		content []byte
	}{
		{deliveredFile, []byte(known)}, // first: secrets that nothing vouches for are refused
		{cloudinit.SecretsPath, encoded},
	} {
		entry := step.Entry{Kind: step.KindFile, Mode: 0o600, Owner: "root", Group: "root", Content: file.content}
		if err := e.host.Put(file.path, entry); err != nil {
			return err
		}
	}
	if _, err := Load(e.host); err != nil {
		return errors.Join(fmt.Errorf("the new secrets cannot be read back, the present ones stay: %w", err), e.host.Put(cloudinit.SecretsPath, present))
	}
	_, err = e.host.Run(ctx, step.Command{Argv: []string{"systemctl", "restart", "--no-block", role.UnitBoot}})
	return err
}
