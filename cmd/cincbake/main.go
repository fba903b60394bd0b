// Command cincbake bakes the images of a redundant Cinc Server cluster, renders what its machines need at boot, runs a
// whole cluster on one machine, and asks running clusters how they are.
//
// The command line holds no logic of its own: each command reads its flags, calls the package that does the work, and
// prints what came back.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(int(code))
}
