package rfb

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/rfb/internal/proto"
)

// pkg is the name of this package's errors.
const pkg = named.Package("rfb")

// What a peer can do wrong. A [ProtocolError] wraps one of these.
var (
	ErrMalformed = proto.ErrMalformed                       // unknown or impossible by the specification
	ErrForbidden = errors.New("forbidden by the policy")    // well-formed, and not allowed here
	ErrLimit     = proto.ErrLimit                           // too long, too big, too often or too slow
	ErrSecurity  = errors.New("no usable security type")    // the server offers none, or the viewer has a wrong password
	ErrRefused   = errors.New("the server refuses clients") // the server ended the handshake with a reason
)

// What went wrong more closely, for those who ask again or later.
var (
	ErrPassword = fmt.Errorf("%w: wrong password", ErrRefused) // or user
	ErrTimeout  = fmt.Errorf("%w: too late", ErrLimit)         // a peer didn't say in time what it had to
)

// A Direction says which peer sent something, and so whose connection it is.
type Direction uint8

// The directions.
const (
	FromViewer Direction = iota + 1 // client to server
	FromServer                      // server to client
)

// String is "viewer" or "server".
func (d Direction) String() string {
	switch d {
	case FromViewer:
		return "viewer"
	case FromServer:
		return "server"
	}
	return fmt.Sprintf("Direction(%d)", uint8(d))
}

// A ProtocolError says that a peer broke the rules. The session can't go on:
// RFB has no way to skip what isn't understood. The one that [Relay.Run] returns
// tells names, lengths and places, and nothing that was typed: it can be logged.
type ProtocolError struct {
	Direction Direction // who broke them
	Offset    int64     // how many bytes that peer had sent, handshake included, when it was noticed
	Err       error     // wraps ErrMalformed, ErrForbidden, ErrLimit, ErrSecurity or ErrRefused
}

// Error implements error.
func (e *ProtocolError) Error() string {
	return string(pkg) + ": " + e.Text()
}

// Text is the error without this package's name.
func (e *ProtocolError) Text() string {
	return fmt.Sprintf("%s: byte %d: %s", e.Direction, e.Offset, named.Text(e.Err))
}

// Unwrap returns what went wrong.
func (e *ProtocolError) Unwrap() error { return e.Err }

// CloseCode is the WebSocket status (RFC 6455 §7.4.1) that tells a viewer the
// same: 1002 malformed, 1008 forbidden, 1009 over a limit; 1011 for whatever
// the server did wrong.
func (e *ProtocolError) CloseCode() int {
	switch {
	case e.Direction == FromServer:
		return 1011
	case errors.Is(e.Err, ErrForbidden):
		return 1008
	case errors.Is(e.Err, ErrLimit):
		return 1009
	}
	return 1002
}

// A ConnError says that a connection failed or was closed.
type ConnError struct {
	Direction Direction // whose connection
	Err       error     // io.EOF if the peer closed it
}

// Error implements error.
func (e *ConnError) Error() string {
	return string(pkg) + ": " + e.Text()
}

// Text is the error without this package's name.
func (e *ConnError) Text() string {
	return fmt.Sprintf("%s's connection: %s", e.Direction, named.Text(e.Err))
}

// connError is a ConnError for what a connection reported. The ways to say
// that the peer has closed it become one: io.EOF.
func connError(d Direction, err error) error {
	for _, closed := range []error{io.ErrUnexpectedEOF, io.ErrClosedPipe, syscall.EPIPE} {
		if errors.Is(err, closed) {
			err = io.EOF
		}
	}
	return &ConnError{d, err}
}

// Unwrap returns what the connection reported.
func (e *ConnError) Unwrap() error { return e.Err }

// A PanicError is a mistake in this package, or in a hook, that ended a
// session instead of the program.
type PanicError struct {
	Value any    // of the panic
	Stack []byte // of the goroutine
}

// Error implements error. It leaves the stack out.
func (e *PanicError) Error() string { return string(pkg) + ": " + e.Text() }

// Text is the error without this package's name.
func (e *PanicError) Text() string { return fmt.Sprintf("internal error: %v", e.Value) }
