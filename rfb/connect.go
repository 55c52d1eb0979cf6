package rfb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"vda.internal/shadow/rfb/internal/proto"
)

// A ServerConn is a connection to an RFB server whose handshake is done; see
// [Client.Connect].
type ServerConn struct {
	net.Conn
	Init     ServerInit      // what the server said about its desktop
	Version  ProtocolVersion // as the server announced it
	Security SecurityType    // what was agreed on
	Subtype  VeNCryptType    // if Security is VeNCrypt

	// FreshStreams says that the server obeys [EncodingFreshStreams]. It may be set before the connection is
	// used. A [Relay] asks for that after a pause, so that Tight goes on; without it, it goes without Tight then.
	FreshStreams bool

	read int64 // bytes of the handshake that the server sent
}

// A Client performs the client's half of handshakes. The zero Client has no
// password and uses None.
type Client struct {
	// Password is for VNC authentication, which uses its first eight bytes,
	// and for VeNCrypt's Plain. Empty: neither is used.
	Password string

	// Username makes Plain possible, which sends it and the password. Inside TLS
	// whoever only listens can't read them.
	Username string

	// TLS is how a server's certificate is verified, for VeNCrypt's X509 types, and
	// nothing else is then taken of what a server offers. It needs a ServerName. With
	// InsecureSkipVerify, and no function of its own that verifies, they are
	// preferred to all else. Nil: they aren't used.
	TLS *tls.Config

	// Redial connects to the same server again, if VeNCrypt was chosen and comes to
	// nothing (what it has can't be used, or its TLS without a certificate fails), and the server
	// offers another type that can: the next handshake is without VeNCrypt. The connection
	// before is closed by then. It is called once at most. Nil: there is no other
	// handshake.
	Redial func(context.Context) (net.Conn, error)

	// answer answers a challenge of VNC authentication in Password's place; nil:
	// nobody does. It may take its time.
	answer func(ctx context.Context, challenge [challengeLen]byte) ([challengeLen]byte, error)
}

// Connect is [Client.Connect] of the zero Client.
func Connect(ctx context.Context, conn net.Conn) (*ServerConn, error) {
	return new(Client).Connect(ctx, conn)
}

// Connect performs the client's half of the handshake over conn, sharing the
// desktop with whoever else is there. It speaks 3.8, 3.7 or 3.3, as the server
// does. It sends the beginning of its ProtocolVersion, which is the same for
// all three, without waiting for the server's: libvncserver then needn't find
// out whether it is talking to a browser, which takes it 100 ms.
//
// With c.TLS it takes VeNCrypt's X509None, X509Plain or X509Vnc, and nothing else: a
// man in the middle can make it fail, and no more. Without, nothing proves who the
// server is. It then takes VeNCrypt's TLSNone, TLSVnc or TLSPlain, TLS 1.2 with an
// anonymous key exchange, which keeps out who only listens; where a server hasn't
// got them None, VNC authentication or Plain in clear text. Inside TLS the
// ServerConn reads and writes what is inside. Types that encrypt the stream in other
// ways aren't spoken.
//
// It gives the server 10 s in all and 5 s for each message, and stops when ctx
// ends. The error is [context.Cause] of ctx, a [*ProtocolError] or a
// [*ConnError]; a server that offers nothing usable gives [ErrSecurity] with
// the names of what it offers, and one whose certificate isn't good does; one
// that refuses gives [ErrRefused] with the server's reason, and [ErrPassword],
// which is one of them, if it was the password; one that is too slow
// [ErrTimeout]. Connect never closes conn, unless c.Redial has another one.
//
// A ServerConn given to [Relay.Run] is not greeted again.
func (c *Client) Connect(ctx context.Context, conn net.Conn) (*ServerConn, error) {
	s := &ServerConn{Conn: conn}
	if err := c.greet(ctx, s, (*handshake).asClient); err != nil {
		return nil, err
	}
	return s, nil
}

// greet performs steps over s.Conn, or another in its place. That one is closed if they fail.
func (c *Client) greet(ctx context.Context, s *ServerConn, steps func(*handshake, context.Context, *Client, *ServerConn) error) (err error) {
	once := func(avoid bool) error {
		s.read, err = shake(ctx, s.Conn, FromServer, func(ctx context.Context, h *handshake) error {
			h.avoid = avoid
			return steps(h, ctx, c, s)
		})
		return err
	}
	end, ok := errors.AsType[deadEnd](once(false))
	switch {
	case !ok:
		return err
	case c.Redial == nil:
		return end.error
	}
	_ = s.Conn.Close()
	if s.Conn, err = c.Redial(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return connError(FromServer, err)
	}
	*s = ServerConn{Conn: s.Conn}
	if again := s.Conn; once(true) != nil {
		_ = again.Close()
	}
	return err
}

// Probe is Connect without its last step: the server has accepted the login, and the caller closes conn
// before ClientInit, with which a server counts somebody as a client of the desktop. So it reports whether
// Connect could work, and disturbs nobody; a server that counts failed logins forgets them by it, as after
// any good one. The error is as Connect's. What c.Redial has returned Probe closes itself.
func (c *Client) Probe(ctx context.Context, conn net.Conn) error {
	s := &ServerConn{Conn: conn}
	err := c.greet(ctx, s, (*handshake).logIn)
	if err == nil && s.Conn != conn {
		_ = s.Conn.Close()
	}
	return err
}

// versionCommon is how many bytes of the published versions' messages are the
// same.
const versionCommon = len("RFB 003.00")

func (h *handshake) asClient(ctx context.Context, c *Client, s *ServerConn) error {
	if err := h.logIn(ctx, c, s); err != nil {
		return err
	}
	s.Conn = h.conn
	if err := h.send(ctx, "ClientInit", []byte{1}); err != nil {
		return err
	}
	return h.receiveServerInit(ctx, &s.Init)
}

// logIn is the handshake up to the server's consent.
func (h *handshake) logIn(ctx context.Context, c *Client, s *ServerConn) error {
	v, err := h.greetServer(ctx)
	if err != nil {
		return err
	}
	framing, who, ok := v.Framing()
	if !ok {
		return h.violation(fmt.Errorf("%w: server speaks %v (%s), RFB 003.003, 003.007 or 003.008 is needed", ErrMalformed, v, who))
	}
	if err := h.send(ctx, "ProtocolVersion", framing.message()[versionCommon:]); err != nil {
		return err
	}
	s.Version = v
	if s.Security, err = h.chooseSecurity(ctx, c, framing); err != nil {
		return err
	}
	return h.authenticate(ctx, c, s, framing)
}

// greetServer says the beginning of a version while it reads the server's, for
// over a connection that keeps nothing, as net.Pipe's, neither can speak first.
func (h *handshake) greetServer(ctx context.Context) (ProtocolVersion, error) {
	if err := h.arm(ctx); err != nil {
		return ProtocolVersion{}, err
	}
	said := make(chan error, 1)
	go func() {
		_, err := h.conn.Write(version38.message()[:versionCommon])
		said <- err
	}()
	v, err := h.receiveVersion(ctx)
	if err != nil { // which counts; nobody need hear ours any more
		_ = h.conn.SetDeadline(longAgo)
		<-said
		return v, err
	}
	return v, h.failed(ctx, "ProtocolVersion", <-said)
}

// chooseSecurity reads the security types and answers with one. In 3.3 it is
// the server that chooses.
func (h *handshake) chooseSecurity(ctx context.Context, c *Client, framing ProtocolVersion) (SecurityType, error) {
	if framing == version33 {
		return h.toldSecurity(ctx, c)
	}
	var n [1]byte
	if err := h.receive(ctx, "security types", n[:]); err != nil {
		return 0, err
	}
	if n[0] == 0 {
		return 0, h.refused(ctx)
	}
	b := make([]byte, n[0])
	if err := h.receive(ctx, "security types", b); err != nil {
		return 0, err
	}
	offered := make([]SecurityType, len(b))
	for i, t := range b {
		offered[i] = SecurityType(t)
	}
	t, ok := h.choose(c, offered)
	if !ok {
		return 0, h.violation(c.unusable(described(offered)))
	}
	return t, h.send(ctx, "security type", []byte{byte(t)})
}

// toldSecurity reads the security type that a 3.3 server has chosen.
func (h *handshake) toldSecurity(ctx context.Context, c *Client) (SecurityType, error) {
	n, err := h.receive32(ctx, "security type")
	if err != nil {
		return 0, err
	}
	t := SecurityType(n)
	switch {
	case n == uint32(SecurityInvalid):
		return 0, h.refused(ctx)
	case n < 256 && slices.Contains(c.clearTypes(), t):
		return t, nil
	case n > 255:
		return 0, h.violation(c.unusable(largeType(n)))
	}
	return 0, h.violation(c.unusable(described([]SecurityType{t})))
}

// authenticate performs what a security type wants.
func (h *handshake) authenticate(ctx context.Context, c *Client, s *ServerConn, framing ProtocolVersion) (err error) {
	t := s.Security
	if t == SecurityVeNCrypt {
		if s.Subtype, err = h.veNCrypt(ctx, c); err == nil {
			t, err = h.wrap(ctx, c, s.Subtype)
		}
		if err != nil {
			return h.ends(err)
		}
	}
	switch {
	case t == SecurityNone && framing != version38:
		return nil
	case t == SecurityNone:
		return h.securityResult(ctx, framing, false)
	case t == SecurityVNCAuth:
		err = h.respond(ctx, c)
	default: // Plain
		err = h.send(ctx, "user and password", plainLogin{c.Username, c.Password}.append(nil))
	}
	if err != nil {
		return err
	}
	return h.securityResult(ctx, framing, true)
}

// respond answers a challenge with the password, or asks for it. A person may have to
// type it, so the server's timeout applies, not ours.
func (h *handshake) respond(ctx context.Context, c *Client) error {
	var challenge [challengeLen]byte
	if err := h.receive(ctx, "challenge", challenge[:]); err != nil {
		return err
	}
	response := vncResponse(challenge, c.Password)
	if c.Password == "" {
		var err error
		if response, err = c.answer(ctx, challenge); err != nil {
			return err
		}
		h.end = time.Now().Add(handshakeTimeout)
	}
	return h.send(ctx, "response", response[:])
}

// securityResult reads whether the server is content. In 3.8 a reason follows if
// it isn't (RFC 6143 §7.1.3); some servers leave it out after too many attempts.
// proved says that it was told a password.
func (h *handshake) securityResult(ctx context.Context, framing ProtocolVersion, proved bool) error {
	result, err := h.receive32(ctx, "SecurityResult")
	if err != nil || result == resultOK {
		return err
	}
	tooMany := h.violation(fmt.Errorf("%w: too many attempts", ErrRefused))
	why := ErrRefused
	if proved && result != resultTooMany {
		why = ErrPassword
	}
	switch {
	case framing == version38:
		before := h.read
		err := h.refusedFor(ctx, why)
		if result == resultTooMany && h.read == before && ctx.Err() == nil {
			return tooMany
		}
		return err
	case result == resultTooMany:
		return tooMany
	}
	return h.violation(why)
}

// refused reads the server's reason and makes an error of it.
func (h *handshake) refused(ctx context.Context) error { return h.refusedFor(ctx, ErrRefused) }

// refusedFor is refused with an error of one's own.
func (h *handshake) refusedFor(ctx context.Context, why error) error {
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
	return h.violation(fmt.Errorf("%w: %s", why, proto.CleanText(string(reason), maxReason)))
}

func (h *handshake) receiveServerInit(ctx context.Context, init *ServerInit) error {
	b := make([]byte, serverInitLen)
	if err := h.receive(ctx, "ServerInit", b); err != nil {
		return err
	}
	n := be32(b[serverInitLen-4:])
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
