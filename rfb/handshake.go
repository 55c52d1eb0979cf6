package rfb

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"vda.internal/shadow/rfb/internal/proto"
)

// longAgo is a deadline that has passed: it makes a connection's calls return.
var longAgo = time.Unix(1, 0)

// A handshake is one end of the messages before a session. It reads exactly
// what it parses, so that the connection can be used as it is afterwards.
type handshake struct {
	conn net.Conn
	peer Direction
	end  time.Time     // by when it must be over
	step time.Duration // for one message; 0: stepTimeout
	read int64         // bytes the peer has sent

	avoid bool // VeNCrypt came to nothing before
	other bool // there is another type, if it does
}

// shake runs steps over conn, bounded by ctx and by the limits, and leaves the
// connection without a deadline. It returns how many bytes the peer sent.
func shake(ctx context.Context, conn net.Conn, peer Direction, steps func(context.Context, *handshake) error) (int64, error) {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = conn.SetDeadline(longAgo)
	})
	h := &handshake{conn: conn, peer: peer, end: time.Now().Add(handshakeTimeout)}
	err := steps(ctx, h)
	if !stop() {
		<-fired
		return h.read, context.Cause(ctx)
	}
	if e := conn.SetDeadline(time.Time{}); err == nil && e != nil {
		err = connError(peer, e)
	}
	return h.read, err
}

// arm gives the next step its time. The deadline is set before the context is
// looked at, so that the context's own deadline can't be lost.
func (h *handshake) arm(ctx context.Context) error {
	at := time.Now().Add(cmp.Or(h.step, stepTimeout))
	if at.After(h.end) {
		at = h.end
	}
	if err := h.conn.SetDeadline(at); err != nil {
		return connError(h.peer, err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// receive fills b with the message called what, or a part of it.
func (h *handshake) receive(ctx context.Context, what string, b []byte) error {
	if err := h.arm(ctx); err != nil {
		return err
	}
	n, err := io.ReadFull(h.conn, b)
	h.read += int64(n)
	return h.failed(ctx, what, err)
}

// receive32 reads a length, a type or a result.
func (h *handshake) receive32(ctx context.Context, what string) (uint32, error) {
	var b [4]byte
	err := h.receive(ctx, what, b[:])
	return be32(b[:]), err
}

// send writes b.
func (h *handshake) send(ctx context.Context, what string, b []byte) error {
	if err := h.arm(ctx); err != nil {
		return err
	}
	_, err := h.conn.Write(b)
	return h.failed(ctx, what, err)
}

// failed says what an error of the connection means.
func (h *handshake) failed(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return h.violation(fmt.Errorf("%w: no %s in time: %w", ErrTimeout, what, err))
	}
	return connError(h.peer, err)
}

// violation is err with where it happened.
func (h *handshake) violation(err error) error {
	return &ProtocolError{h.peer, h.read, err}
}

// receiveVersion reads a ProtocolVersion.
func (h *handshake) receiveVersion(ctx context.Context) (ProtocolVersion, error) {
	var b [versionLen]byte
	if err := h.receive(ctx, "ProtocolVersion", b[:]); err != nil {
		return ProtocolVersion{}, err
	}
	v, err := ParseVersion(b[:])
	if err != nil {
		return v, h.violation(err)
	}
	return v, nil
}

// u32bytes is a number as it goes over the wire.
func u32bytes(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// A plainLogin is what VeNCrypt's Plain and Tight's Unix login send.
type plainLogin struct{ user, password string }

func (m plainLogin) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.user)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.password)))
	return append(append(b, m.user...), m.password...)
}

// appendReason appends a text as U32 length and bytes.
func appendReason(b []byte, reason string) []byte {
	reason = proto.CleanText(reason, maxReason)
	b = binary.BigEndian.AppendUint32(b, uint32(len(reason)))
	return append(b, reason...)
}
