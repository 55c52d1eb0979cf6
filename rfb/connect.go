package rfb

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
)

// A ServerConn is a connection to an RFB server whose handshake is done; see
// [Connect].
type ServerConn struct {
	net.Conn
	Init ServerInit // what the server said about its desktop

	read int64 // bytes of the handshake that the server sent
}

// Connect performs the client's half of the handshake over conn: version 3.8,
// no authentication, sharing the desktop with whoever else is there. It sends
// its ProtocolVersion first, without waiting for the server's: libvncserver
// then needn't find out whether it is talking to a browser, which takes it
// 100 ms.
//
// It gives the server 10 s in all and 5 s for each message, and stops when ctx
// ends. The error is [context.Cause] of ctx, a [*ProtocolError] or a
// [*ConnError]; a server that wants a password gives [ErrSecurity], one that
// refuses [ErrRefused] with the server's reason. Connect never closes conn.
//
// A ServerConn given to [Relay.Run] is not greeted again.
func Connect(ctx context.Context, conn net.Conn) (*ServerConn, error) {
	c := &ServerConn{Conn: conn}
	read, err := shake(ctx, conn, FromServer, func(ctx context.Context, h *handshake) error {
		return h.asClient(ctx, &c.Init)
	})
	if err != nil {
		return nil, err
	}
	c.read = read
	return c, nil
}

func (h *handshake) asClient(ctx context.Context, init *ServerInit) error {
	if err := h.send(ctx, "ProtocolVersion", version38.message()); err != nil {
		return err
	}
	v, err := h.receiveVersion(ctx)
	if err != nil {
		return err
	}
	if v.Major != 3 || v.Minor < 8 {
		return h.violation(fmt.Errorf("%w: server speaks %v, RFB 003.008 is needed", ErrMalformed, v))
	}
	if err := h.chooseNone(ctx); err != nil {
		return err
	}
	result, err := h.receive32(ctx, "SecurityResult")
	if err != nil {
		return err
	}
	if result != resultOK {
		return h.refused(ctx)
	}
	if err := h.send(ctx, "ClientInit", []byte{1}); err != nil {
		return err
	}
	return h.receiveServerInit(ctx, init)
}

// chooseNone reads the security types and answers with None.
func (h *handshake) chooseNone(ctx context.Context) error {
	var n [1]byte
	if err := h.receive(ctx, "security types", n[:]); err != nil {
		return err
	}
	if n[0] == 0 {
		return h.refused(ctx)
	}
	types := make([]byte, n[0])
	if err := h.receive(ctx, "security types", types); err != nil {
		return err
	}
	if !slices.Contains(types, byte(SecurityNone)) {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = SecurityType(t).String()
		}
		return h.violation(fmt.Errorf("%w: the server offers %s; let it allow None on this connection",
			ErrSecurity, strings.Join(names, ", ")))
	}
	return h.send(ctx, "security type", []byte{byte(SecurityNone)})
}

// refused reads the server's reason and makes an error of it.
func (h *handshake) refused(ctx context.Context) error {
	n, err := h.receive32(ctx, "failure reason")
	if err != nil {
		return err
	}
	if n > maxReason {
		return h.violation(fmt.Errorf("%w: failure reason of %d bytes", ErrLimit, n))
	}
	reason := make([]byte, n)
	if err := h.receive(ctx, "failure reason", reason); err != nil {
		return err
	}
	return h.violation(fmt.Errorf("%w: %s", ErrRefused, cleanText(string(reason), maxReason)))
}

func (h *handshake) receiveServerInit(ctx context.Context, init *ServerInit) error {
	b := make([]byte, serverInitLen)
	if err := h.receive(ctx, "ServerInit", b); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(b[serverInitLen-4:])
	if n > maxName {
		return h.violation(fmt.Errorf("%w: desktop name of %d bytes", ErrLimit, n))
	}
	b = append(b, make([]byte, n)...)
	if err := h.receive(ctx, "desktop name", b[serverInitLen:]); err != nil {
		return err
	}
	err := init.UnmarshalBinary(b)
	if err == nil {
		err = checkSize(init.Width, init.Height)
	}
	if err != nil {
		return h.violation(err)
	}
	return nil
}
