package rfb

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"net"
	"time"
)

// A Server performs the server's half of handshakes. The zero Server shows a
// desktop without a size, so Init must be set.
type Server struct {
	Init ServerInit // what viewers are told about the desktop

	// Open gives what a viewer is told in Init's place, when it has proved that it may have it.
	// Its error ends the handshake, and is Accept's. Nil: Init is told.
	Open func(context.Context) (ServerInit, error)

	// Password makes viewers prove by VNC authentication that they know it, or
	// its first eight bytes. Empty: no authentication.
	Password string

	Rand io.Reader // of challenges; nil: crypto/rand's
}

// A ViewerConn is a viewer's connection whose handshake is done; see
// [Server.Accept].
type ViewerConn struct {
	net.Conn
	Version ProtocolVersion // that is spoken: 3.3, 3.7 or 3.8
	Shared  bool            // whether the viewer leaves other viewers alone

	read int64 // bytes of the handshake that the viewer sent
}

// Accept performs the server's half of the handshake over viewer. It speaks
// 3.8, 3.7 or 3.3, as the viewer does, and no other version: what libvncserver
// makes of others is a way around an inspection.
//
// It gives the viewer 10 s in all and 5 s for each message, and stops when ctx
// ends. The error is [context.Cause] of ctx, a [*ProtocolError], or a
// [*ConnError]; a viewer with a wrong password gives [ErrSecurity]. Accept
// never closes the connection.
func (s *Server) Accept(ctx context.Context, viewer net.Conn) (*ViewerConn, error) {
	c := &ViewerConn{Conn: viewer}
	read, err := shake(ctx, viewer, FromViewer, func(ctx context.Context, h *handshake) (err error) {
		if c.Version, err = h.greetViewer(ctx); err != nil {
			return err
		}
		if err := h.secure(ctx, s, c.Version); err != nil {
			return err
		}
		return h.begin(ctx, s, c)
	})
	if err != nil {
		return nil, err
	}
	c.read = read
	return c, nil
}

// begin is the end of a handshake, once a viewer may have the session.
func (h *handshake) begin(ctx context.Context, s *Server, c *ViewerConn) error {
	var shared [1]byte
	if err := h.receive(ctx, "ClientInit", shared[:]); err != nil {
		return err
	}
	c.Shared = shared[0] != 0
	init := s.Init
	if s.Open != nil {
		var err error
		if init, err = s.Open(ctx); err != nil {
			return err
		}
	}
	b, _ := init.AppendBinary(nil)
	return h.send(ctx, "ServerInit", b)
}

// A login is a handshake with a viewer whose user is asked for a server's
// password: the server's challenge is put to the viewer, and its response is
// the server's to judge.
type login struct {
	conn    net.Conn
	version ProtocolVersion
	read    int64
	asked   bool
}

// answer asks.
func (a *login) answer(ctx context.Context, challenge [challengeLen]byte) (response [challengeLen]byte, err error) {
	a.asked = true
	a.read, err = shake(ctx, a.conn, FromViewer, func(ctx context.Context, h *handshake) (err error) {
		if a.version, err = h.greetViewer(ctx); err != nil {
			return err
		}
		if err := h.offer(ctx, SecurityVNCAuth, a.version); err != nil {
			return err
		}
		if err := h.send(ctx, "challenge", challenge[:]); err != nil {
			return err
		}
		h.step, h.end = askTimeout, time.Now().Add(askTimeout)
		return h.receive(ctx, "response", response[:])
	})
	return response, err
}

// refuse tells the viewer that the server didn't like its response.
func (a *login) refuse(ctx context.Context, reason string) {
	_, _ = shake(ctx, a.conn, FromViewer, func(ctx context.Context, h *handshake) error {
		h.fail(ctx, a.version, reason)
		return nil
	})
}

// accept ends the handshake of a viewer whose response the server liked.
func (a *login) accept(ctx context.Context, s *Server) (*ViewerConn, error) {
	c := &ViewerConn{Conn: a.conn, Version: a.version}
	read, err := shake(ctx, a.conn, FromViewer, func(ctx context.Context, h *handshake) error {
		if err := h.send(ctx, "SecurityResult", u32bytes(resultOK)); err != nil {
			return err
		}
		return h.begin(ctx, s, c)
	})
	c.read = a.read + read
	return c, err
}

// Refuse tells a viewer why it can't have a session: it answers the viewer's
// version with no security types and the reason, which noVNC and others show
// to the person in front of it. The reason is cut to 1 KiB and cleaned of what
// can't be printed. Refuse gives the viewer 10 s in all, stops when ctx ends,
// and never closes the connection.
func Refuse(ctx context.Context, viewer net.Conn, reason string) error {
	_, err := shake(ctx, viewer, FromViewer, func(ctx context.Context, h *handshake) error {
		v, err := h.greetViewer(ctx)
		if err != nil {
			return err
		}
		b := []byte{byte(SecurityInvalid)}
		if v == version33 {
			b = u32bytes(uint32(SecurityInvalid))
		}
		return h.send(ctx, "failure reason", appendReason(b, reason))
	})
	return err
}

// greetViewer exchanges versions. The three published versions are spoken;
// any other would leave the length of what follows to guesswork.
func (h *handshake) greetViewer(ctx context.Context) (ProtocolVersion, error) {
	if err := h.send(ctx, "ProtocolVersion", version38.message()); err != nil {
		return ProtocolVersion{}, err
	}
	v, err := h.receiveVersion(ctx)
	if err != nil {
		return v, err
	}
	if v != version33 && v != version37 && v != version38 {
		return v, h.violation(fmt.Errorf("%w: viewer speaks %v, only 003.003, 003.007 and 003.008 are known", ErrMalformed, v))
	}
	return v, nil
}

// secure offers one security type, makes sure that it is chosen, performs it,
// and confirms it, each in the way of the version.
func (h *handshake) secure(ctx context.Context, s *Server, v ProtocolVersion) error {
	t := SecurityNone
	if s.Password != "" {
		t = SecurityVNCAuth
	}
	if err := h.offer(ctx, t, v); err != nil {
		return err
	}
	if t == SecurityVNCAuth {
		if err := h.challenge(ctx, s, v); err != nil {
			return err
		}
	} else if v != version38 {
		return nil
	}
	return h.send(ctx, "SecurityResult", u32bytes(resultOK))
}

// offer offers one security type; a viewer must not choose another.
func (h *handshake) offer(ctx context.Context, t SecurityType, v ProtocolVersion) error {
	if v == version33 {
		return h.send(ctx, "security type", u32bytes(uint32(t)))
	}
	if err := h.send(ctx, "security types", []byte{1, byte(t)}); err != nil {
		return err
	}
	var choice [1]byte
	if err := h.receive(ctx, "security type", choice[:]); err != nil {
		return err
	}
	if SecurityType(choice[0]) == t {
		return nil
	}
	err := h.violation(fmt.Errorf("%w: viewer chose security type %v, which was not offered", ErrMalformed, SecurityType(choice[0])))
	h.fail(ctx, v, "this security type was not offered")
	return err
}

// challenge has the viewer prove that it knows the password.
func (h *handshake) challenge(ctx context.Context, s *Server, v ProtocolVersion) error {
	var challenge, response [challengeLen]byte
	random := s.Rand
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, challenge[:]); err != nil {
		return pkg.Errorf("making a challenge: %w", err)
	}
	if err := h.send(ctx, "challenge", challenge[:]); err != nil {
		return err
	}
	if err := h.receive(ctx, "response", response[:]); err != nil {
		return err
	}
	want := vncResponse(challenge, s.Password)
	if subtle.ConstantTimeCompare(want[:], response[:]) == 1 {
		return nil
	}
	err := h.violation(fmt.Errorf("%w: the viewer doesn't know the password", ErrSecurity))
	h.fail(ctx, v, "wrong password")
	return err
}

// fail sends a SecurityResult that ends the handshake.
func (h *handshake) fail(ctx context.Context, v ProtocolVersion, reason string) {
	b := u32bytes(resultFailed)
	if v == version38 {
		b = appendReason(b, reason)
	}
	_ = h.send(ctx, "SecurityResult", b)
}
