//go:build e2e

package e2e

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// balancer stands for the network load balancer in front of the API pool. It leads connections to the targets of a group that
// are healthy by the account's word. What a group ends loses new connections first, and its machine when those that it has are
// over, or after drainLimit: autoscaling waits as long as the target group's deregistration delay.
type balancer struct {
	cloud   *cloud
	address string // within the network

	mu      sync.Mutex
	targets []string // ids
	open    map[string]int
	drained map[string]bool
	led     int
}

const drainLimit = time.Minute

// newBalancer leads connections to a target group until the test ends.
func newBalancer(t *testing.T, c *cloud, group string) *balancer {
	t.Helper()
	listener := c.vpc.listen(t, net.JoinHostPort(vpcPrefix().Addr().String(), "0"))
	b := &balancer{cloud: c, address: listener.Addr().String(), open: map[string]int{}, drained: map[string]bool{}}
	ctx := t.Context()
	c.vpc.work.Go(func() { b.look(ctx, group) })
	c.vpc.work.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go b.serve(from)
		}
	})
	return b
}

// look finds out which targets are healthy.
func (b *balancer) look(ctx context.Context, group string) {
	client := elasticloadbalancingv2.New(elasticloadbalancingv2.Options{Region: cloudRegion, BaseEndpoint: &b.cloud.aws.URL, Credentials: b.cloud.credentials()})
	for ctx.Err() == nil {
		out, err := client.DescribeTargetHealth(ctx, &elasticloadbalancingv2.DescribeTargetHealthInput{TargetGroupArn: &group})
		if err == nil {
			var healthy []string
			for _, d := range out.TargetHealthDescriptions {
				if d.TargetHealth.State == types.TargetHealthStateEnumHealthy {
					healthy = append(healthy, aws.ToString(d.Target.Id))
				}
			}
			b.mu.Lock()
			b.targets = healthy
			b.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// choose takes the next target's turn; "": there is none.
func (b *balancer) choose() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.targets {
		b.led++
		if id := b.targets[b.led%len(b.targets)]; !b.drained[id] {
			b.open[id]++
			return id
		}
	}
	return ""
}

// serve leads a client to the next target.
func (b *balancer) serve(from net.Conn) {
	defer from.Close()
	id := b.choose()
	if id == "" {
		return
	}
	defer func() {
		b.mu.Lock()
		b.open[id]--
		b.mu.Unlock()
	}()
	m := b.cloud.instance(id)
	if m == nil {
		return
	}
	to, err := b.cloud.vpc.dial(context.Background(), net.JoinHostPort(m.card.Address.String(), "443"))
	if err != nil {
		return
	}
	lead(from, to)
}

// drain keeps new connections from a machine, and waits until those that it has are over.
func (b *balancer) drain(id string) {
	b.mu.Lock()
	b.drained[id] = true
	b.mu.Unlock()
	for limit := time.Now().Add(drainLimit); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		b.mu.Lock()
		open := b.open[id]
		b.mu.Unlock()
		if open == 0 {
			return
		}
	}
}
