package machine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/images/archive"
)

// Unpack unpacks an image into a folder that does not exist yet: whole and on its disk, or not at all. The file must have
// that SHA-256, in hexadecimal.
func Unpack(ctx context.Context, file, sum, folder string) error {
	return buildBeside(folder, 0o755, func(dir string) error {
		if err := UnpackInto(ctx, file, sum, dir); err != nil {
			return err
		}
		return syncFileSystem(dir)
	})
}

// UnpackInto unpacks an image into an empty folder, for somebody who throws it away when anything goes wrong.
func UnpackInto(ctx context.Context, file, sum, dir string) error {
	packed, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("unpacking an image: %w", err)
	}
	defer packed.Close()
	read := sha256.New()
	tee := io.TeeReader(packed, read)
	if err := archive.Unpack(ctx, tee, dir); err != nil {
		return fmt.Errorf("unpacking an image: %w", err)
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // what follows the archive counts too
		return fmt.Errorf("unpacking an image: %w", err)
	}
	if got := hex.EncodeToString(read.Sum(nil)); got != sum {
		return fmt.Errorf("%s has the SHA-256 %s, its record says %s: bake it again", file, got, sum)
	}
	return nil
}

// syncFileSystem has all that was written to dir's file system on its disk, so that a host's power cut after the rename
// can't leave a tree with holes under a name that says it is whole.
func syncFileSystem(dir string) error {
	at, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer at.Close()
	return unix.Syncfs(int(at.Fd()))
}
