package cinc

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// reportTime is how long a report waits for Cinc Server: whoever asked wants all of the machine's status soon.
const reportTime = 2 * time.Second

// Report returns what this machine's Cinc Server says of itself, asked as the balancer asks; nil: it was never configured.
func Report(ctx context.Context, files step.Files, in role.Inputs) *cluster.Service {
	if _, err := files.Read(runningFile); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	service := &cluster.Service{Status: "fail", Version: in.Cluster.Cinc.Version}
	service.Drained, _ = Drained(files) // what can't be read is an error of the next drain
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	if _, health, err := loopback(in).health(ctx); err == nil {
		service.Status, service.Failing = health.Status, health.failing()
	}
	return service
}
