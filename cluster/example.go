package cluster

import (
	_ "embed" // the example's text
	"fmt"
)

//go:embed example/self-hosted-onprem.yaml
var selfHostedOnPrem string

// Example returns the commented spec that "cincbake init" writes for a topology and a platform.
func Example(topology Topology, platform Platform) (string, error) {
	switch topology {
	case SelfHosted:
	case Managed, Standalone:
		return "", fmt.Errorf("topology %s: this release builds only the database tier of %s clusters (use --topology %s)", topology, SelfHosted, SelfHosted)
	default:
		return "", fmt.Errorf("topology %s: there is no such topology (use --topology %s)", show(string(topology)), SelfHosted)
	}
	switch platform {
	case OnPrem:
		return selfHostedOnPrem, nil
	case AWS:
		return "", fmt.Errorf("platform aws: this release does not build clusters on AWS yet (use --platform %s)", OnPrem)
	default:
		return "", fmt.Errorf("platform %s: there is no such platform (use --platform %s)", show(string(platform)), OnPrem)
	}
}
