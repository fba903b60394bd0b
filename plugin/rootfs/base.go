package rootfs

import (
	"context"
	"path/filepath"

	"github.com/cincbake/cincbake/plugin/basetree"
)

// takeBase finds the base system or makes it.
func (b *build) takeBase(ctx context.Context) (err error) {
	c := b.config
	recipe := basetree.For(c.system, c.job.Recipe.Arch, c.boots())
	if c.BaseTarball != "" {
		recipe = basetree.FromTarball(c.system, c.job.Recipe.Arch, c.boots(), c.BaseTarballSHA256)
	}
	store := basetree.Store{Dir: filepath.Join(c.CacheDir, "base"), Say: b.say}
	b.base, err = store.Take(ctx, basetree.Wanted{Recipe: recipe, Site: c.job.Site, Tarball: c.BaseTarball, MaxAge: c.maxAge})
	return err
}

// leaveBase lets others remove the base system.
func (b *build) leaveBase() error {
	if b.base == nil {
		return nil
	}
	return b.base.Leave()
}
