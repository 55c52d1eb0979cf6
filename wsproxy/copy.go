package wsproxy

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// copyBoth copies bytes between the two ends until one of them is done, which
// ends the other direction: like websockify it takes a half-closed target for
// a closed one. What the first to end had sent before has been passed on by
// then, unless the other end takes longer than [closeTimeout] over it.
// copyBoth returns nil if an end closed, else what failed. It leaves closing
// to the caller, and deadlines behind.
func copyBoth(viewer *conn, target net.Conn) error {
	up := make(chan error, 1)
	copyUp(viewer, target, up)

	_, readErr, err := viewer.downloadFrom(target).run()
	if readErr == nil { // the viewer takes no more: it is ending, and up meets its end
		t := time.Now().Add(closeTimeout)
		_ = target.SetWriteDeadline(t)
		_ = viewer.SetReadDeadline(t)
		<-up
		drain(target)
		return err
	}
	_ = viewer.SetReadDeadline(time.Unix(1, 0))
	_ = target.SetWriteDeadline(time.Unix(1, 0))
	upErr := <-up
	switch {
	case readErr == io.EOF:
		return nil
	case errors.Is(readErr, os.ErrDeadlineExceeded): // up had ended and set it
		return upErr
	}
	return readErr
}

// copyUp begins to pass on what the viewer sends. At the end it tells the
// target so and gives it [closeTimeout] for its own end.
func copyUp(viewer *conn, target net.Conn, done chan<- error) {
	viewer.in.drainTo(target, func(err error) {
		patience := time.Duration(0)
		if half, ok := target.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			patience = closeTimeout
		}
		_ = target.SetReadDeadline(time.Now().Add(patience))
		done <- err
	})
}

// drain reads what nobody wants any more from a target that was told the end,
// until it closes or its deadline: closing a connection with unread input
// resets it, which could cost the target what it hasn't read yet.
func drain(target net.Conn) { _, _ = io.Copy(io.Discard, target) }
