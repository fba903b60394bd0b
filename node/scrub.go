package node

import (
	"context"

	"github.com/cincbake/cincbake/step"
)

// scrub is what happens once cloud-init is through: its copies of the secrets go, and it is switched off. The machine has
// everything it needs in two files, and never changes who it is: a changed spec is another machine. Switched off, it also
// can't mistake a boot without seed for a new instance, which would cost the machine its network and its host keys.
func scrub() step.Plan {
	plan := step.Plan{{
		Title:  "Switch cloud-init off",
		Reason: "this machine is who it is; later boots need no seed",
		Action: step.File{Path: "/etc/cloud/cloud-init.disabled", Mode: 0o644},
	}}
	for _, path := range []string{
		"/var/lib/cloud/seed",
		"/var/lib/cloud/instance",
		"/var/lib/cloud/instances",
		"/run/cloud-init/instance-data-sensitive.json",
		"/run/cloud-init/combined-cloud-config.json",
	} {
		plan = append(plan, step.Step{
			Title: "Remove " + path, Reason: "it holds the machine's secrets a second time", Action: step.Absent{Path: path},
		})
	}
	return plan
}

// Scrub removes cloud-init's copies of the machine's secrets. It does nothing before the machine's own are whole.
func (a Agent) Scrub(ctx context.Context) error {
	if _, err := Load(a.Host); err != nil {
		return err
	}
	_, err := scrub().Apply(ctx, a.Host, nil)
	return err
}
