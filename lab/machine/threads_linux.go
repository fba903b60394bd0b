package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// onThread runs f on an operating-system thread that ends with it, so the namespaces that f enters end there too and no
// other goroutine ever runs in them. What f starts inherits them.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: that is what ends the thread
		if unix.Gettid() == unix.Getpid() {
			// The first thread stands for the whole process in /proc and can't end. Hold it, so that the next is another.
			defer runtime.UnlockOSThread()
			done <- onThread(f)
			return
		}
		done <- f()
	}()
	return <-done
}

// inNetwork runs f with the network namespace at path.
func inNetwork(path string, f func() error) error {
	return onThread(func() error {
		namespace, err := os.Open(path)
		if err != nil {
			return err
		}
		defer namespace.Close()
		err = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
		if errors.Is(err, unix.EINVAL) { // a plain file
			return fmt.Errorf("%s is not mounted, as after a restart of this host: cincbake lab up mounts it again", path)
		}
		if err != nil {
			return fmt.Errorf("entering the network namespace %s: %w", path, err)
		}
		return f()
	})
}

// inNewNamespaces runs f with a mount namespace and a network namespace of its own. They last as long as something
// that f started, and take their mounts and links with them: nothing is left over, however that ends.
func inNewNamespaces(f func() error) error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making namespaces: %w", err)
		}
		// Slave, not private: what the host unmounts later goes away here too, so no machine keeps a host's disk busy.
		if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("separating mounts from the host's: %w", err)
		}
		return f()
	})
}

// keepNewNetwork makes a network namespace, lets build furnish it, and keeps it by mounting it at path, a file.
func keepNewNetwork(path string, build func() error) error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
		if err := build(); err != nil {
			return err
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting a network namespace at %s: %w", path, err)
		}
		return nil
	})
}

// isNetwork tells whether a network namespace is kept at path.
func isNetwork(path string) (bool, error) {
	var at unix.Statfs_t
	err := unix.Statfs(path, &at)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return at.Type == unix.NSFS_MAGIC, err
}

// unmount takes away what is mounted at path.
func unmount(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting %s: %w", path, err)
	}
	return nil
}

// mountOverlay mounts upper over lower at target.
func mountOverlay(lower, upper, work, target string) error {
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
	if err := unix.Mount("overlay", target, "overlay", 0, options); err != nil {
		return fmt.Errorf("mounting %s over %s: %w", upper, lower, err)
	}
	return nil
}

// TryOverlay tells why no overlay can be mounted on folder, if none can. It makes the folder, and leaves no mount.
func TryOverlay(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	trial, err := os.MkdirTemp(folder, ".overlay-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(trial)
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(trial, name), 0o700); err != nil {
			return err
		}
	}
	return inNewNamespaces(func() error {
		at := func(name string) string { return filepath.Join(trial, name) }
		return mountOverlay(at("lower"), at("upper"), at("work"), at("merged"))
	})
}
