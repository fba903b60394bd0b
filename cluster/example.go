package cluster

import (
	_ "embed" // the example's text
	"fmt"
)

// The topologies of the product: which tiers a cluster runs itself.
const (
	SelfHosted = "self-hosted"
	Managed    = "managed"
	Standalone = "standalone"
)

//go:embed example/self-hosted-onprem.yaml
var selfHostedOnPrem string

// Example returns the commented spec that "cincbake init" writes for a topology and a platform.
func Example(topology, platform string) (string, error) {
	switch topology {
	case SelfHosted:
	case Managed, Standalone:
		return "", fmt.Errorf("topology %s: this release builds only the database tier of %s clusters (use --topology %s)", topology, SelfHosted, SelfHosted)
	default:
		return "", fmt.Errorf("topology %s: there is no such topology (use --topology %s)", show(topology), SelfHosted)
	}
	switch platform {
	case string(OnPrem):
		return selfHostedOnPrem, nil
	case "aws":
		return "", fmt.Errorf("platform aws: this release does not build clusters on AWS yet (use --platform %s)", OnPrem)
	default:
		return "", fmt.Errorf("platform %s: there is no such platform (use --platform %s)", show(platform), OnPrem)
	}
}
