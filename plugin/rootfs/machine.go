package rootfs

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cincbake/cincbake/plugin/aptcache"
	"github.com/cincbake/cincbake/plugin/basetree"
	"github.com/cincbake/cincbake/plugin/nspawn"
)

// keepWithin is how long keeping packages may wait for other bakes that do.
const keepWithin = time.Minute

// packages is the cache of what apt has fetched.
func (b *build) packages() aptcache.Cache {
	return aptcache.Cache{Dir: filepath.Join(b.config.CacheDir, "apt", b.config.job.Recipe.OS+"-"+b.config.job.Recipe.Arch)}
}

// start makes the tree a machine that provisioners can talk to.
func (b *build) start(context.Context) error {
	b.machine = &nspawn.Machine{
		Root: b.work.root(),
		Name: "cincbake-" + b.config.Role + "-" + strings.ToLower(rand.Text()[:8]),
		Env:  []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(basetree.Epoch.Unix(), 10)},
		// After each command, because sealing throws away what apt has fetched. Lists count once the command that read them
		// has ended well. That a package cannot be kept is no reason to stop.
		After: func(status int) {
			ctx, cancel := context.WithTimeout(context.Background(), keepWithin)
			defer cancel()
			if err := b.packages().Keep(ctx, b.work.upper(), status == 0); err != nil {
				b.say("packages are not kept for the next bake: %v", err)
			}
		},
	}
	return nil
}

// stop ends what a cancelled provisioner left running.
func (b *build) stop() error {
	if b.machine != nil {
		b.machine.Stop()
	}
	return nil
}
