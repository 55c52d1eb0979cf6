package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"vda.internal/shadow/rfb"
)

// inspecting is a relay that passes on what both ends send as it is, and on
// the way looks at every message of the viewer: what type it has, and where it
// ends. It lets five types through, ends the session at any other and knows no
// limit: it is there to measure what looking at small messages costs. The view-only relay does more,
// and takes no more than 200 messages a second on purpose.
type inspecting struct{}

// Run implements wsproxy.Relay.
func (inspecting) Run(_ context.Context, viewer, target net.Conn) error {
	up := make(chan error, 1)
	go func() {
		up <- passMessages(target, viewer)
		target.Close()
	}()
	_, err := io.Copy(viewer, target)
	_ = viewer.SetReadDeadline(time.Unix(1, 0))
	return errors.Join(err, <-up)
}

// viewerHandshake is how many bytes a viewer of RFB 3.8 without authentication
// sends before its messages: version, security type, ClientInit.
const viewerHandshake = 12 + 1 + 1

// passMessages looks at the viewer's messages and passes them on until it ends.
func passMessages(target io.Writer, viewer io.Reader) error {
	if _, err := io.CopyN(target, viewer, viewerHandshake); err != nil {
		return err
	}
	_, err := io.Copy(&inspector{target: target}, viewer)
	return err
}

// An inspector passes on the messages that are written to it, however they are
// cut.
type inspector struct {
	target io.Writer
	rest   int    // bytes that are missing of a message
	head   []byte // of a message whose length isn't known yet
}

func (i *inspector) Write(p []byte) (int, error) {
	taken := len(p)
	if len(i.head) > 0 {
		p, i.head = append(i.head, p...), nil
	}
	n := i.rest
	for n < len(p) {
		size, err := messageSize(p[n:])
		if err != nil {
			return 0, err
		}
		if size == 0 {
			i.head = bytes.Clone(p[n:])
			p = p[:n]
			break
		}
		n += size
	}
	i.rest = n - len(p)
	if _, err := i.target.Write(p); err != nil {
		return 0, err
	}
	return taken, nil
}

// messageSize is how long the message is that p begins with (RFC 6143, section
// 7.5); 0 means that p doesn't tell.
func messageSize(p []byte) (int, error) {
	switch kind := rfb.ClientMessageType(p[0]); kind {
	case rfb.ClientFramebufferUpdateRequest:
		return 10, nil
	case rfb.ClientKeyEvent:
		return 8, nil
	case rfb.ClientPointerEvent:
		return 6, nil
	case rfb.ClientSetPixelFormat:
		return 20, nil
	case rfb.ClientSetEncodings:
		if len(p) < 4 {
			return 0, nil
		}
		return 4 + 4*int(binary.BigEndian.Uint16(p[2:])), nil
	default:
		return 0, fmt.Errorf("%w: %v is not let through", rfb.ErrForbidden, kind)
	}
}
