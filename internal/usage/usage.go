// Package usage marks the errors of a command line, which a program reports beside a word on its help, and ends
// with [Status].
package usage

import "fmt"

// Status is the exit status of a program whose command line is wrong.
const Status = 2

// An Error is an error of the command line. Find it with [errors.AsType], whatever wraps it.
type Error struct{ Err error }

// Errorf returns an Error with a formatted text.
func Errorf(format string, args ...any) error { return &Error{fmt.Errorf(format, args...)} }

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error without the mark.
func (e *Error) Unwrap() error { return e.Err }
