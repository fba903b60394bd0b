package node

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// What the doctor calls ill.
const (
	leastFree  = 5 // per cent of a file system
	mostOffset = 5 * time.Second
)

// probeTime bounds each probe of the doctor's: what is well answers within milliseconds.
const probeTime = 10 * time.Second

// Doctor looks the machine over, without changing anything about it.
func (a Agent) Doctor(ctx context.Context) ([]cluster.Finding, error) {
	machine, err := a.load(ctx)
	if err != nil {
		return nil, err
	}
	facts, err := gather(a.Host)
	if err != nil {
		return nil, err
	}
	d := doctor{host: a.Host, machine: machine, in: machine.inputs(facts), now: time.Now(), free: freePercent}
	return d.examine(ctx)
}

// doctor is one examination.
type doctor struct {
	host    step.Host
	machine Machine
	in      role.Inputs
	now     time.Time
	free    func(dir string) (percent int, err error)
}

// examine makes every check, in the order in which a person would look.
func (d doctor) examine(ctx context.Context) ([]cluster.Finding, error) {
	var err error
	if d.in, err = discover(ctx, d.machine.discovery(), d.in); err != nil {
		return nil, err
	}
	if d.in.Peers, err = askPeers(ctx, d.in); err != nil {
		return nil, err
	}
	status, err := ReadStatus(d.host, d.in.Facts.BootID)
	if err != nil {
		return nil, err
	}
	findings := []cluster.Finding{bootEnded(status), refreshed(status), d.address()}
	for _, dir := range []string{"/", role.DataDir} {
		findings = append(findings, d.space(dir))
	}
	clock, err := d.clock(ctx)
	if err != nil {
		return nil, err
	}
	findings = append(findings, clock, d.certificate(), d.units(ctx), d.digest())
	return append(findings, d.probes(ctx, status)...), nil
}

func bootEnded(s cluster.Status) cluster.Finding {
	f := cluster.Finding{Check: "boot", OK: s.Result == cluster.ResultReady, Detail: fmt.Sprintf("%s in phase %s", s.Result, s.Phase), Hint: s.Hint}
	if f.OK {
		f.Detail = "ready"
	}
	if s.Reason != "" {
		f.Detail += ": " + s.Reason
	}
	return f
}

func refreshed(s cluster.Status) cluster.Finding {
	if s.Refresh == "" {
		return cluster.Finding{Check: "refresh", OK: true, Detail: "nothing to tell"}
	}
	return cluster.Finding{Check: "refresh", Detail: s.Refresh, Hint: "journalctl -u " + role.UnitRefresh}
}

func (d doctor) address() cluster.Finding {
	own := d.in.Self.Address
	f := cluster.Finding{
		Check: "address", OK: slices.Contains(d.in.Facts.Addresses, own), Detail: fmt.Sprintf("%s; this machine has %s", own, addressList(d.in.Facts.Addresses)),
	}
	return withHint(f, "is network.interface the name of its network card? see: networkctl")
}

func addressList(list []netip.Addr) string {
	var names []string
	for _, a := range list {
		names = append(names, a.String())
	}
	return strings.Join(names, ", ")
}

// space counts what a program without root's privileges may still write.
func (d doctor) space(dir string) cluster.Finding {
	f := cluster.Finding{Check: "space on " + dir}
	free, err := d.free(dir)
	if err != nil {
		f.Detail = err.Error()
	} else {
		f.OK, f.Detail = free >= leastFree, fmt.Sprintf("%d %% free", free)
	}
	return withHint(f, "find what fills it (du -x "+dir+"), or give the machine a larger disk: a full one stops the database")
}

func freePercent(dir string) (int, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("%s: %w", dir, err)
	}
	if s.Blocks == 0 {
		return 100, nil // a file system without blocks of its own has no end
	}
	return int(s.Bavail * 100 / s.Blocks), nil //nolint:gosec // at most 100
}

// clock compares this machine's clock with those that its peers' agents answer with, to the second that HTTP tells.
func (d doctor) clock(ctx context.Context) (cluster.Finding, error) {
	heard, err := d.clocks(ctx)
	return heard.judge(), err
}

// clocks are what a machine hears when it asks its peers for the time.
type clocks struct {
	asked    int
	ahead    map[string]time.Duration // by how much those that answered are
	untimely map[string]error         // whose certificates do not hold at this machine's time, so that nothing else is heard
}

func (c clocks) judge() cluster.Finding {
	f := cluster.Finding{Check: "clock", OK: len(c.untimely) == 0}
	var told []string
	for name, err := range c.untimely {
		told = append(told, fmt.Sprintf("it is wrong, or the certificate of %s has ended: %v", name, err))
	}
	for name, ahead := range c.ahead {
		told = append(told, fmt.Sprintf("%s is ahead by %+.0f s", name, ahead.Seconds()))
		f.OK = f.OK && ahead.Abs() <= mostOffset
	}
	slices.Sort(told)
	f.Detail = strings.Join(told, "; ")
	if len(told) == 0 {
		f.Detail = fmt.Sprintf("none of %d peers answered, so it is not compared", c.asked)
	}
	if !f.OK || len(told) == 0 && c.asked > 1 { // one peer may be off; several that are silent may be right
		f.Hint = "chronyc tracking; are the servers of network.ntp reached? one that is far from all peers is itself wrong"
	}
	return f
}

// clocks asks every peer at once. One that does not answer has no clock; why it does not is another check's business.
func (d doctor) clocks(ctx context.Context) (clocks, error) {
	own, err := d.in.Secrets.ClientTLS()
	if err != nil {
		return clocks{}, err
	}
	var asking sync.WaitGroup
	var mu sync.Mutex
	heard := clocks{ahead: map[string]time.Duration{}, untimely: map[string]error{}}
	for _, n := range d.in.Cluster.Nodes {
		if n.Name == d.in.Self.Name || !n.Address.IsValid() {
			continue
		}
		heard.asked++
		asking.Go(func() {
			ahead, err := offset(ctx, clientFor(n, own), n)
			mu.Lock()
			defer mu.Unlock()
			var invalid x509.CertificateInvalidError
			switch {
			case err == nil:
				heard.ahead[n.Name] = ahead
			case errors.As(err, &invalid) && invalid.Reason == x509.Expired: // also one that is not valid yet
				heard.untimely[n.Name] = invalid
			}
		})
	}
	asking.Wait()
	return heard, nil
}

func offset(ctx context.Context, client *http.Client, n cluster.Node) (time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, observationURL(n), nil)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_ = response.Body.Close()
	took := time.Since(began)
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return 0, err
	}
	// The header drops the fraction: on average half a second.
	return date.Add(500 * time.Millisecond).Sub(began.Add(took / 2)).Round(time.Second), nil
}

func (d doctor) certificate() cluster.Finding {
	certificate, err := d.in.Secrets.Leaf.X509()
	if err != nil {
		return cluster.Finding{Check: "certificate", Detail: err.Error(), Hint: "render the machine's seed again"}
	}
	return cluster.JudgeCertificate(certificate.NotAfter, d.now)
}

// units asks systemd for what failed.
func (d doctor) units(ctx context.Context) cluster.Finding {
	f := cluster.Finding{Check: "units"}
	out, err := d.host.Run(ctx, step.Command{Argv: []string{"systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--full"}})
	if err != nil {
		f.Detail = err.Error()
		return withHint(f, "systemctl status")
	}
	var failed []string
	for row := range strings.Lines(string(out.Stdout)) {
		if name, _, _ := strings.Cut(strings.TrimSpace(row), " "); name != "" {
			failed = append(failed, name)
		}
	}
	if len(failed) == 0 {
		f.OK, f.Detail = true, "none failed"
		return f
	}
	f.Detail = "failed: " + strings.Join(failed, ", ")
	return withHint(f, "journalctl -u "+failed[0])
}

// digest looks for what tells which image this is.
func (d doctor) digest() cluster.Finding {
	f := cluster.Finding{Check: "image"}
	text, err := read(d.host, role.ContentDigestFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Detail = role.ContentDigestFile + " is missing"
	case err != nil:
		f.Detail = err.Error()
	default:
		f.OK, f.Detail = true, strings.TrimSpace(string(text))
	}
	return withHint(f, "the image was never sealed: replace the machine by one of cincbake bake")
}

// probes runs the role's readiness probes, each once. Before the boot is through with them the first one to fail ends them,
// and before it has come to them none is tried: a probe may rest on those before it, and the spec's own program, which is
// the last one, must not run early.
func (d doctor) probes(ctx context.Context, status cluster.Status) []cluster.Finding {
	if status.Result != cluster.ResultReady && status.Phase != "ready" {
		return nil
	}
	var findings []cluster.Finding
	for _, probe := range d.machine.Role.Ready(d.in) {
		if probe.Acts { // the boot may be at it
			continue
		}
		f := cluster.Finding{Check: probe.Title, OK: true, Detail: "holds"}
		if err := d.once(ctx, probe); err != nil {
			f.OK, f.Detail, f.Hint = false, err.Error(), probe.Hint
			var notYet *role.NotYet
			var refusal *role.Refusal
			switch {
			case errors.As(err, &notYet):
				f.Hint = notYet.Hint
			case errors.As(err, &refusal):
				f.Hint = refusal.Hint
			}
		}
		findings = append(findings, f)
		if !f.OK && status.Result != cluster.ResultReady {
			break
		}
	}
	return findings
}

func (d doctor) once(ctx context.Context, probe role.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return probe.Run(ctx, d.host)
}

// withHint adds the hint to what is not well.
func withHint(f cluster.Finding, hint string) cluster.Finding {
	if !f.OK {
		f.Hint = hint
	}
	return f
}

// doctor is GET /v1/doctor.
func (e *endpoint) doctor(r *http.Request) (any, error) {
	facts, err := gather(e.host)
	if err != nil {
		return nil, err
	}
	in := e.in
	in.Facts = facts
	d := doctor{host: e.host, machine: e.machine, in: in, now: time.Now(), free: freePercent}
	return d.examine(r.Context())
}
