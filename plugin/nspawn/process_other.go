//go:build unix && !linux

package nspawn

import "syscall"

// attributes are how a container's process would be started; there are none but on Linux.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
