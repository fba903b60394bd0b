// Package exit gives an error the exit code that the command ends with, so that a script can tell what went wrong.
package exit

import (
	"context"
	"errors"
	"fmt"
)

// Code is the exit code of a command.
type Code int

// The exit codes, a promise to scripts.
const (
	Done     Code = 0
	Failed   Code = 1 // it was tried, and did not work
	Invalid  Code = 2 // the spec or the arguments are wrong; nothing was tried
	Missing  Code = 3 // a precondition is missing: a tool, a permission, an image
	TimedOut Code = 4
	Unsafe   Code = 5 // going on could lose data, so it was refused
)

// Error is an error with its exit code.
type Error struct {
	Code Code
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// As gives err a code. No error stays no error.
func As(code Code, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err}
}

// Errorf makes an error with a code; it formats and wraps as fmt.Errorf does.
func Errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// CodeOf returns the code that err carries: the outermost one where several were given. An error without a code is
// Failed, or TimedOut when it comes from a deadline.
func CodeOf(err error) Code {
	var coded *Error
	switch {
	case err == nil:
		return Done
	case errors.As(err, &coded):
		return coded.Code
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	default:
		return Failed
	}
}
