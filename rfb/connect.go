package rfb

import (
	"context"
	"fmt"
	"net"
)

// A ServerConn is a connection to an RFB server whose handshake is done; see
// [Client.Connect].
type ServerConn struct {
	net.Conn
	Init     ServerInit      // what the server said about its desktop
	Version  ProtocolVersion // as the server announced it
	Security SecurityType    // what was agreed on

	read int64 // bytes of the handshake that the server sent
}

// A Client performs the client's half of handshakes. The zero Client has no
// password and uses None.
type Client struct {
	// Password is for VNC authentication, which uses its first eight bytes,
	// and for VeNCrypt's Plain. Empty: neither is used.
	Password string

	// Username makes Plain possible. Plain sends it and the password in clear
	// text.
	Username string
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
// Of what the server offers it takes None if that is there, else VNC
// authentication or what VeNCrypt has of None, VNC authentication and Plain;
// never a type that would encrypt the stream, because encrypted streams can't
// be inspected.
//
// It gives the server 10 s in all and 5 s for each message, and stops when ctx
// ends. The error is [context.Cause] of ctx, a [*ProtocolError] or a
// [*ConnError]; a server that offers nothing usable gives [ErrSecurity] with
// the names of what it offers, one that refuses, or doesn't like the password,
// [ErrRefused] with the server's reason. Connect never closes conn.
//
// A ServerConn given to [Relay.Run] is not greeted again.
func (c *Client) Connect(ctx context.Context, conn net.Conn) (*ServerConn, error) {
	s := &ServerConn{Conn: conn}
	read, err := shake(ctx, conn, FromServer, func(ctx context.Context, h *handshake) error {
		return h.asClient(ctx, c, s)
	})
	if err != nil {
		return nil, err
	}
	s.read = read
	return s, nil
}

// versionCommon is how many bytes of the published versions' messages are the
// same.
const versionCommon = len("RFB 003.00")

func (h *handshake) asClient(ctx context.Context, c *Client, s *ServerConn) error {
	if err := h.send(ctx, "ProtocolVersion", version38.message()[:versionCommon]); err != nil {
		return err
	}
	v, err := h.receiveVersion(ctx)
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
	if err := h.authenticate(ctx, c, s.Security, framing); err != nil {
		return err
	}
	if err := h.send(ctx, "ClientInit", []byte{1}); err != nil {
		return err
	}
	return h.receiveServerInit(ctx, &s.Init)
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
	t, ok := firstOf(offered, c.usable()...)
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
	case n == uint32(SecurityNone), n == uint32(SecurityVNCAuth) && c.Password != "":
		return t, nil
	case n > 255:
		return 0, h.violation(c.unusable(largeType(n)))
	}
	return 0, h.violation(c.unusable(described([]SecurityType{t})))
}

// usable are the types that may be chosen, the preferred one first. VeNCrypt
// comes last: what it has may not be usable.
func (c *Client) usable() []SecurityType {
	if c.Password == "" {
		return []SecurityType{SecurityNone, SecurityVeNCrypt}
	}
	return []SecurityType{SecurityNone, SecurityVNCAuth, SecurityVeNCrypt}
}

func (c *Client) unusable(offers string) error {
	return fmt.Errorf("%w: the server offers %s; let it allow None on this connection", ErrSecurity, offers)
}

// authenticate performs what a security type wants.
func (h *handshake) authenticate(ctx context.Context, c *Client, t SecurityType, framing ProtocolVersion) error {
	if t == SecurityVeNCrypt {
		inner, err := h.veNCrypt(ctx, c)
		if err != nil {
			return err
		}
		if inner == VeNCryptPlain {
			m := plainLogin{c.Username, c.Password}
			if err := h.send(ctx, "user and password", m.append(nil)); err != nil {
				return err
			}
			return h.securityResult(ctx, framing)
		}
		t = SecurityType(inner)
	}
	if t == SecurityNone && framing != version38 {
		return nil
	}
	if t == SecurityVNCAuth {
		var challenge [challengeLen]byte
		if err := h.receive(ctx, "challenge", challenge[:]); err != nil {
			return err
		}
		response := vncResponse(challenge, c.Password)
		if err := h.send(ctx, "response", response[:]); err != nil {
			return err
		}
	}
	return h.securityResult(ctx, framing)
}

// veNCrypt chooses a sub-type of VeNCrypt 0.2.
func (h *handshake) veNCrypt(ctx context.Context, c *Client) (VeNCryptType, error) {
	var version [2]byte
	if err := h.receive(ctx, "VeNCrypt version", version[:]); err != nil {
		return 0, err
	}
	if version[0] == 0 && version[1] < 2 {
		return 0, h.violation(fmt.Errorf("%w: the server speaks VeNCrypt %d.%d, 0.2 is needed", ErrSecurity, version[0], version[1]))
	}
	if err := h.send(ctx, "VeNCrypt version", []byte{0, 2}); err != nil {
		return 0, err
	}
	var answer [2]byte // whether the version is accepted, number of types
	if err := h.receive(ctx, "VeNCrypt types", answer[:1]); err != nil {
		return 0, err
	}
	if answer[0] != 0 {
		return 0, h.violation(fmt.Errorf("%w: VeNCrypt 0.2 isn't accepted", ErrRefused))
	}
	if err := h.receive(ctx, "VeNCrypt types", answer[1:]); err != nil {
		return 0, err
	}
	b := make([]byte, 4*int(answer[1]))
	if err := h.receive(ctx, "VeNCrypt types", b); err != nil {
		return 0, err
	}
	offered := make([]VeNCryptType, answer[1])
	for i := range offered {
		offered[i] = VeNCryptType(be32(b[4*i:]))
	}
	usable := []VeNCryptType{VeNCryptType(SecurityNone)}
	if c.Password != "" {
		usable = append(usable, VeNCryptType(SecurityVNCAuth))
		if c.Username != "" {
			usable = append(usable, VeNCryptPlain)
		}
	}
	t, ok := firstOf(offered, usable...)
	if !ok {
		return 0, h.violation(c.unusable("VeNCrypt with " + described(offered)))
	}
	return t, h.send(ctx, "VeNCrypt type", u32bytes(uint32(t)))
}

// securityResult reads whether the server is content. In 3.8 a reason follows if
// it isn't (RFC 6143 §7.1.3); some servers leave it out after too many attempts.
func (h *handshake) securityResult(ctx context.Context, framing ProtocolVersion) error {
	result, err := h.receive32(ctx, "SecurityResult")
	if err != nil || result == resultOK {
		return err
	}
	tooMany := h.violation(fmt.Errorf("%w: too many attempts", ErrRefused))
	switch {
	case framing == version38:
		before := h.read
		err := h.refused(ctx)
		if result == resultTooMany && h.read == before && ctx.Err() == nil {
			return tooMany
		}
		return err
	case result == resultTooMany:
		return tooMany
	}
	return h.violation(fmt.Errorf("%w: the password is wrong", ErrRefused))
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
