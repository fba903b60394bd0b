package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// makeDisk makes a blank disk of that many bytes, unless there is one: a file with nothing in it takes no room.
func makeDisk(file string, bytes int64) error {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partial := file + ".partial"
	if err := os.WriteFile(partial, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(partial, bytes); err != nil {
		return err
	}
	return os.Rename(partial, file)
}

// attachDisk returns the block device that shows the file's content, and makes it one if none does.
func attachDisk(file string) (device string, err error) {
	if devices, err := devicesOf(file); err != nil || len(devices) > 0 {
		return strings.Join(devices, " "), err
	}
	return attachLoop(file)
}

// detachDisk ends every block device that shows the file's content.
func detachDisk(file string) error {
	devices, err := devicesOf(file)
	if err != nil {
		return err
	}
	for _, device := range devices {
		if err := detachLoop(device); err != nil {
			return fmt.Errorf("detaching %s from %s: %w", file, device, err)
		}
	}
	return nil
}

// devicesOf returns the block devices that show the file's content: one, or none. The kernel is asked, so devices are
// found whoever attached them.
func devicesOf(file string) ([]string, error) {
	disk, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	backings, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	var devices []string
	for _, path := range backings {
		shown, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // detached meanwhile
		}
		if err != nil {
			return nil, err
		}
		// The kernel's path may go another way than ours: links are followed on one of them.
		if backing, err := os.Stat(strings.TrimSuffix(string(shown), "\n")); err == nil && os.SameFile(backing, disk) { //nolint:gosec // the kernel wrote it
			devices = append(devices, "/dev/"+filepath.Base(filepath.Dir(filepath.Dir(path))))
		}
	}
	if len(devices) > 1 {
		return devices, fmt.Errorf("%s is attached more than once, which would tear it: %s", file, strings.Join(devices, ", "))
	}
	return devices, nil
}
