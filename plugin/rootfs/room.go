package rootfs

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// enough is how little room a file system may have left and still not be what a bake failed for.
const enough = 16 << 20

// room tells which of the bake's folders was full when it failed with err: programs speak of it in words of their own, or of
// something else.
func (c *Config) room(err error) error {
	const needs = "a bake needs 1 GB in cache_dir and up to 1 GB in images"
	for _, place := range []struct{ option, folder string }{{"cache_dir", c.CacheDir}, {"images", c.Images}} {
		if free, ok := freeBelow(place.folder); ok && free < enough {
			return fmt.Errorf("%s is full: %d MB are left in %s: free some, or set %s to a folder on another disk; %s",
				place.option, free>>20, place.folder, place.option, needs)
		}
	}
	// What was half written is gone already.
	if err != nil && strings.Contains(strings.ToLower(err.Error()), unix.ENOSPC.Error()) {
		return fmt.Errorf("a disk was full: free some on those of cache_dir (%s) and images (%s), or set them to folders on others; %s",
			c.CacheDir, c.Images, needs)
	}
	return nil
}

// freeBelow returns what is free where a folder is or would be.
func freeBelow(folder string) (int64, bool) {
	for {
		var stat unix.Statfs_t
		if unix.Statfs(folder, &stat) == nil {
			return int64(stat.Bavail) * int64(stat.Bsize), true //nolint:gosec // types differ by system, and no disk is that large
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return 0, false
		}
		folder = parent
	}
}
