package cinc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// apartUnit runs Cinc Server's control program with everything that it starts, so that all of it can be ended at once:
// when the lock on the databases is lost, nothing of it may go on. A process group would not do, since what a recipe runs
// leaves it.
const apartUnit = "cincbake-configure.service"

// apart is the control program in a unit of its own, which ends with the agent's and after a deadline.
func apart(verb string) step.Command {
	return step.Command{Argv: []string{
		"systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--unit=" + apartUnit,
		"--property=KillSignal=SIGKILL", "--property=BindsTo=" + role.UnitBoot,
		fmt.Sprintf("--property=RuntimeMaxSec=%d", int(reconfigureDeadline.Seconds())),
		// The license is Cinc Server's own word for "there is nothing to accept".
		"--setenv=CHEF_LICENSE=accept-no-persist", "--setenv=HOME=/root", "--setenv=LC_ALL=C.UTF-8",
		Ctl, verb,
	}}
}

// killTime bounds the end of what runs apart.
const killTime = 10 * time.Second

// runApart runs the control program apart. When the context ends, so does all of it.
func runApart(ctx context.Context, run *step.Run, verb string) (step.Output, error) {
	end := func() error {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTime)
		defer cancel()
		_, err := run.Run(late, step.Command{Argv: []string{"systemctl", "stop", apartUnit}})
		if step.ExitStatus(err) == notLoaded {
			return nil
		}
		return err
	}
	// An agent that was killed may have left one behind.
	if err := end(); err != nil {
		return step.Output{}, err
	}
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { ended <- end() })
	out, err := run.Run(ctx, apart(verb))
	if stop() {
		return out, err
	}
	return out, errors.Join(context.Cause(ctx), <-ended)
}

// notLoaded is what systemctl stop ends with for a unit that does not exist.
const notLoaded = 5
