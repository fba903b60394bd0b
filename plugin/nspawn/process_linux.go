package nspawn

import "syscall"

// attributes are how a container's process is started. A terminal's Ctrl-C goes to a whole process group, but a container
// must end when we say so, not before; and it must not outlive us, however we end.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
