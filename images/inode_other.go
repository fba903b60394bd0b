//go:build !linux

package images

import (
	"errors"
	"fmt"
)

type inode struct {
	mode     uint32
	uid, gid uint32
	device   string
	mount    uint64
}

func lookAt(path string) (inode, error) {
	return inode{}, fmt.Errorf("%s: the content digest of an image needs Linux: %w", path, errors.ErrUnsupported)
}

func (n inode) kind() string { return "" }
