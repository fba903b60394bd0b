package aws

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// identity is who this machine is to AWS.
type identity struct {
	instance, region string
	address          netip.Addr
	launched         time.Time
	tags             map[string]string // those of cincbake's that it has, and tagGroup
}

// tagGroup is the tag that autoscaling gives to what it launches.
const tagGroup = "aws:autoscaling:groupName"

// identifyTime is how long the metadata service may take until it answers: it may be later than the network.
const identifyTime = 2 * time.Minute

// identify asks the metadata service, and waits for it.
func (p *Platform) identify(ctx context.Context) (identity, error) {
	ctx, cancel := context.WithTimeout(ctx, identifyTime)
	defer cancel()
	for {
		self, err := p.ask(ctx)
		if err == nil {
			return self, nil
		}
		if pauseErr := role.Pause(ctx, p.pause); pauseErr != nil {
			return identity{}, fmt.Errorf("the instance metadata service does not tell who this machine is: %w (%w)", err, pauseErr)
		}
	}
}

func (p *Platform) ask(ctx context.Context) (identity, error) {
	self := identity{tags: map[string]string{}}
	var err error
	if self.instance, err = p.read(ctx, "instance-id"); err != nil {
		return self, err
	}
	document, err := p.metadata.GetInstanceIdentityDocument(ctx, &imds.GetInstanceIdentityDocumentInput{})
	if err != nil {
		return self, err
	}
	self.region, self.launched = document.Region, document.PendingTime
	address, err := p.read(ctx, "local-ipv4")
	if err != nil {
		return self, err
	}
	if self.address, err = netip.ParseAddr(address); err != nil {
		return self, fmt.Errorf("local-ipv4: %w", err)
	}
	for _, tag := range []string{cluster.TagCluster, cluster.TagRole, cluster.TagNode, cluster.TagContent, tagGroup} {
		value, err := p.read(ctx, "tags/instance/"+tag)
		if absent(err) {
			continue
		}
		if err != nil {
			return self, err
		}
		self.tags[tag] = value
	}
	return self, nil
}

func (p *Platform) read(ctx context.Context, path string) (string, error) {
	out, err := p.metadata.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
	if err != nil {
		return "", err
	}
	defer out.Content.Close() //nolint:errcheck // read only
	const most = 64 << 10
	text, err := io.ReadAll(io.LimitReader(out.Content, most))
	return strings.TrimSpace(string(text)), err
}
