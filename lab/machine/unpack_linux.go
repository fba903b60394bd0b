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

// Unpack unpacks an image into a folder that does not exist yet: whole, or not at all. The file must have that SHA-256, in
// hexadecimal.
func Unpack(ctx context.Context, file, sum, folder string) error {
	packed, err := os.Open(file)
	if err != nil {
		return err
	}
	defer packed.Close()
	err = buildBeside(folder, 0o755, func(dir string) error {
		read := sha256.New()
		tee := io.TeeReader(packed, read)
		if err := archive.Unpack(ctx, tee, dir); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, tee); err != nil { // what follows the archive counts too
			return err
		}
		if got := hex.EncodeToString(read.Sum(nil)); got != sum {
			return fmt.Errorf("%s has the SHA-256 %s, its record says %s: bake it again", file, got, sum)
		}
		return syncFileSystem(dir)
	})
	if err != nil {
		return fmt.Errorf("unpacking an image: %w", err)
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
