//go:build !aws

package main

import (
	"github.com/cincbake/cincbake/node"
	"github.com/cincbake/cincbake/step"
)

// platformOf returns none: a machine's document and seed say all that there is.
func platformOf(step.Runner) node.Platform { return nil }
