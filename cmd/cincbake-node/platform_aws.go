//go:build aws

package main

import (
	"github.com/cincbake/cincbake/node"
	"github.com/cincbake/cincbake/node/aws"
	"github.com/cincbake/cincbake/step"
)

// platformOf returns AWS, which knows where machines are and has their secrets.
func platformOf(host step.Runner) node.Platform { return aws.New(host) }
