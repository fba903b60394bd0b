//go:build !linux

package machine

import (
	"context"
	"errors"
	"fmt"
)

// errElsewhere is what every system but Linux answers. The package still builds there, so the whole command does: its
// other parts need no Linux.
var errElsewhere = fmt.Errorf("machines need the namespaces of a Linux kernel: %w", errors.ErrUnsupported)

func inNetwork(string, func() error) error      { return errElsewhere }
func keepNewNetwork(string, func() error) error { return errElsewhere }
func isNetwork(string) (bool, error)            { return false, errElsewhere }
func unmount(string) error                      { return errElsewhere }
func attachLoop(string) (string, error)         { return "", errElsewhere }
func detachLoop(string) error                   { return errElsewhere }

// TryOverlay tells that no overlay can be mounted.
func TryOverlay(string) error { return errElsewhere }

// Unpack unpacks an image.
func Unpack(context.Context, string, string, string) error { return errElsewhere }

// UnpackInto needs Linux.
func UnpackInto(context.Context, string, string, string) error { return errElsewhere }

func (m Machine) launch(context.Context, Host, []string) (launched, error) {
	return launched{}, errElsewhere
}
