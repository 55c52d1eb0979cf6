package xconn

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// A RefusedError is an X server's No to the connection.
type RefusedError struct {
	Reason string // in the server's words
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the X server refuses the connection: %q", e.Reason)
}

// A CookieError is an X server's No to a connection for which no cookie was found.
type CookieError struct {
	Err     error         // why there is none
	Refused *RefusedError // the server's No
}

// Error implements error.
func (e *CookieError) Error() string { return "" + e.Err.Error() }

// Unwrap returns both.
func (e *CookieError) Unwrap() []error { return []error{e.Err, e.Refused} }

// A StrangerError is a socket with the name of an X server's that is somebody else's.
type StrangerError struct {
	Address string // of the socket; an abstract one begins with @
	Owner   uint32 // the user who listens there
	Own     uint32 // the user of this process, whose it could be, besides root's
}

// Error implements error.
func (e *StrangerError) Error() string {
	return fmt.Sprintf("the X server at %s is uid %d's, and only root's or uid %d's own would be trusted: another user may be pretending to be it", e.Address, e.Owner, e.Own)
}

// cause is an error in few words, without addresses and paths, which the text around it has.
func cause(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("it is silent")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it hung up")
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
