package main

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"vda.internal/shadow/rfb"
)

// inspecting is a relay that passes on what both ends send as it is, and on
// the way has every message of the viewer read by rfb. It lets everything
// through and knows no limit: it is there to measure what looking at small
// messages costs. The view-only relay does more, and takes no more than 200
// messages a second on purpose.
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

// passMessages reads the viewer's messages and passes on what is complete of
// each read, in one write.
func passMessages(target io.Writer, viewer io.Reader) error {
	if _, err := io.CopyN(target, viewer, viewerHandshake); err != nil {
		return err
	}
	var m messages
	buf := make([]byte, 256<<10)
	held := 0 // bytes of an unfinished message, at the beginning of buf
	for {
		n, err := viewer.Read(buf[held:])
		if err != nil {
			return err
		}
		p := buf[:held+n]
		used, err := m.read(p)
		if err != nil {
			return err
		}
		if _, err := target.Write(p[:used]); err != nil {
			return err
		}
		held = copy(buf, p[used:])
	}
}

// messages are the messages that a viewer sends all the time. One value of each
// is kept: rfb.ParseClientMessage makes a new one each time, which takes three
// times as long.
type messages struct {
	request rfb.FramebufferUpdateRequest
	key     rfb.KeyEvent
	pointer rfb.PointerEvent
}

// read reads the messages in p and returns how many bytes the complete ones
// have.
func (m *messages) read(p []byte) (n int, err error) {
	for n < len(p) {
		size, err := m.one(p[n:])
		if errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return n, err
		}
		n += size
	}
	return n, nil
}

// one reads the message that p begins with.
func (m *messages) one(p []byte) (size int, err error) {
	switch kind := rfb.ClientMessageType(p[0]); {
	case kind == rfb.ClientFramebufferUpdateRequest && len(p) >= 10:
		return 10, m.request.UnmarshalBinary(p[:10])
	case kind == rfb.ClientKeyEvent && len(p) >= 8:
		return 8, m.key.UnmarshalBinary(p[:8])
	case kind == rfb.ClientPointerEvent && len(p) >= 6:
		return 6, m.pointer.UnmarshalBinary(p[:6])
	}
	_, size, err = rfb.ParseClientMessage(p)
	return size, err
}
