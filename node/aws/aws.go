// Package aws is what a machine on AWS asks its surroundings: who it is, of the instance metadata service (version 2 alone);
// where its cluster's machines are, by tags; its secrets, of Secrets Manager; its slot's data volume. When it is ready, it says
// so to its autoscaling group.
//
// A tag authorises nobody, since others might set it: what is found by one has to show the certificate of who it is to be.
package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/sdk"
	"github.com/cincbake/cincbake/node"
	"github.com/cincbake/cincbake/secrets/awssm"
	"github.com/cincbake/cincbake/step"
)

// EC2 is what machines call of EC2.
type EC2 interface {
	DescribeInstances(context.Context, *ec2.DescribeInstancesInput, ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error)
	DescribeVolumes(context.Context, *ec2.DescribeVolumesInput, ...func(*ec2.Options)) (*ec2.DescribeVolumesOutput, error)
	AttachVolume(context.Context, *ec2.AttachVolumeInput, ...func(*ec2.Options)) (*ec2.AttachVolumeOutput, error)
	CreateTags(context.Context, *ec2.CreateTagsInput, ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error)
}

// AutoScaling is what machines call of autoscaling.
type AutoScaling interface {
	CompleteLifecycleAction(context.Context, *autoscaling.CompleteLifecycleActionInput, ...func(*autoscaling.Options)) (*autoscaling.CompleteLifecycleActionOutput, error)
	RecordLifecycleActionHeartbeat(context.Context, *autoscaling.RecordLifecycleActionHeartbeatInput, ...func(*autoscaling.Options)) (*autoscaling.RecordLifecycleActionHeartbeatOutput, error)
}

// Metadata is what machines ask of the instance metadata service.
type Metadata interface {
	GetMetadata(context.Context, *imds.GetMetadataInput, ...func(*imds.Options)) (*imds.GetMetadataOutput, error)
	GetInstanceIdentityDocument(context.Context, *imds.GetInstanceIdentityDocumentInput, ...func(*imds.Options)) (*imds.GetInstanceIdentityDocumentOutput, error)
}

// Platform is a machine's surroundings on AWS. It asks nothing before it has to.
type Platform struct {
	host     step.Runner
	metadata Metadata
	pause    time.Duration // about how long to wait before looking again
	counts   time.Duration // about how long what was found of the other machines counts

	mu       sync.Mutex
	known    *identity
	services services
}

type services struct {
	ec2     EC2
	scaling AutoScaling
	secrets awssm.Reader
}

var (
	_ node.Platform = (*Platform)(nil)
	_ EC2           = (*ec2.Client)(nil)
	_ AutoScaling   = (*autoscaling.Client)(nil)
	_ Metadata      = (*imds.Client)(nil)
)

// New returns the surroundings of this machine, whose devices host tells of. Credentials are the instance role's.
func New(host step.Runner) *Platform {
	return &Platform{host: host, metadata: imds.New(imds.Options{EnableFallback: aws.FalseTernary}), pause: time.Second, counts: 5 * time.Second}
}

const (
	// callTime bounds a call with all its retries: an API that throttles is waited for, one that is gone fails the boot,
	// which begins again by itself.
	callTime = 2 * time.Minute
	attempts = 12
	backoff  = 10 * time.Second
)

// connect finds out who the machine is, and makes clients for its region, once.
func (p *Platform) connect(ctx context.Context) (identity, services, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known != nil {
		return *p.known, p.services, nil
	}
	self, err := p.identify(ctx)
	if err != nil {
		return identity{}, services{}, err
	}
	loaded, err := sdk.Load(ctx, self.region, config.WithRetryer(func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { // its backoff has jitter
			o.MaxAttempts, o.MaxBackoff = attempts, backoff
			o.RateLimiter = ratelimit.None // at boot there is nothing else to spend the attempts on
		})
	}))
	if err != nil {
		return identity{}, services{}, err
	}
	p.known = &self
	p.services = services{ec2.NewFromConfig(loaded), autoscaling.NewFromConfig(loaded), secretsmanager.NewFromConfig(loaded)}
	return self, p.services, nil
}

// Secrets returns the text of the machine's secrets file from Secrets Manager.
func (p *Platform) Secrets(ctx context.Context, store cloudinit.SecretStore) ([]byte, error) {
	if store.Kind != cloudinit.AWSSecretsManager {
		return nil, fmt.Errorf("secrets are in %q, which this agent does not know", store.Kind)
	}
	_, s, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return awssm.Fetch(ctx, s.secrets, store.Name)
}

// Discovery finds the machines of the cluster by their tags.
func (p *Platform) Discovery(r *cluster.Resolved, self cluster.Node) node.Discovery {
	return &discovery{platform: p, cluster: r, self: self}
}

// absent tells that the metadata service has no such thing.
func absent(err error) bool {
	var answer *smithyhttp.ResponseError
	return errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusNotFound
}
