package rfb

import "fmt"

// An onlooker reads a handshake from its beginning, both peers' bytes, as far
// as they go. Its steps return io.ErrUnexpectedEOF where there are no more.
type onlooker struct {
	h     *Handshake
	peers [3]coder
	last  Direction // who was read from last
	begun bool      // the server has left out SecurityResult and ClientInit
}

// from is what reads a peer's bytes.
func (r *onlooker) from(d Direction) *coder {
	r.last = d
	return &r.peers[d]
}

func (r *onlooker) server() *coder { return r.from(FromServer) }
func (r *onlooker) viewer() *coder { return r.from(FromViewer) }

func (r *onlooker) handshake() error {
	if err := r.version(r.server(), &r.h.ServerVersion); err != nil {
		return err
	}
	if err := r.version(r.viewer(), &r.h.ViewerVersion); err != nil {
		return err
	}
	framing, who, ok := r.h.ViewerVersion.Framing()
	if !ok {
		return fmt.Errorf("%w: %v (%s)", ErrMalformed, r.h.ViewerVersion, who)
	}
	over, err := r.security(framing)
	if err != nil || over {
		return err
	}
	if r.begun {
		r.h.Shared = true
		return r.init()
	}
	c := r.viewer()
	if c.Flag(&r.h.Shared); c.Err != nil {
		return c.Err
	}
	return r.init()
}

func (r *onlooker) version(c *coder, v *ProtocolVersion) (err error) {
	b := c.Next(versionLen)
	if b == nil {
		return c.Err
	}
	*v, err = ParseVersion(b)
	return err
}

// security reads types, the choice, and what the chosen one is about. It
// reports whether the handshake is over.
func (r *onlooker) security(framing ProtocolVersion) (over bool, err error) {
	c := r.server()
	if framing == version33 {
		var n uint32
		c.U32(&n)
		if c.Err != nil {
			return false, c.Err
		}
		if n == uint32(SecurityInvalid) {
			return true, r.reason()
		}
		if n > 255 {
			return false, fmt.Errorf("%w: %s, which can't be followed", ErrSecurity, largeType(n))
		}
		r.h.Offered = []SecurityType{SecurityType(n)}
		r.h.Security = SecurityType(n)
		return r.perform(r.h.Security, framing)
	}
	list(c, &r.h.Offered, c.Len8(0), 1, func(t *SecurityType) { c.U8((*uint8)(t)) })
	if c.Err != nil {
		return false, c.Err
	}
	if len(r.h.Offered) == 0 {
		return true, r.reason()
	}
	v := r.viewer()
	if v.U8((*uint8)(&r.h.Security)); v.Err != nil {
		return false, v.Err
	}
	return r.perform(r.h.Security, framing)
}

// perform reads what a security type is about, and its result.
func (r *onlooker) perform(t SecurityType, framing ProtocolVersion) (over bool, err error) {
	switch t {
	case SecurityNone:
		if framing != version38 {
			return false, nil
		}
		if r.h.ViewerVersion == versionApple {
			if err := r.apple(); err != nil || r.begun {
				return false, err
			}
		}
	case SecurityVNCAuth:
		err = r.exchange(challengeLen, challengeLen)
	case SecurityMSLogonI:
		err = r.exchange(64+challengeLen, 256+256+64+challengeLen)
	case SecurityMSLogonII:
		err = r.exchange(8+8+8, 8+256+64)
	case SecurityMSLogonIII:
		err = r.exchange(32, 32+256+64)
	case SecurityAppleDH:
		err = r.appleDH()
	case SecurityXVP:
		if err = r.text8(); err == nil {
			err = r.exchange(challengeLen, challengeLen)
		}
	case SecurityRA2ne, SecurityRA2ne_256:
		err = r.ra2()
	case SecuritySASL:
		err = r.sasl()
	case SecurityUltraPrompt:
		err = r.prompt()
	case SecurityUltraExtra:
		c := r.viewer()
		c.Next(c.Len8(0))
		err = c.Err
	case SecurityUltra:
		return r.result(framing)
	case SecurityVeNCrypt:
		return r.veNCrypt(framing)
	case SecurityTight:
		return r.tight(framing)
	default:
		return false, r.unreadable(described([]SecurityType{t}), t.stream())
	}
	if err != nil {
		return false, err
	}
	return r.result(framing)
}

// apple looks whether the server is one of libvncserver's. To a viewer that
// announces Apple's version they send ServerInit at once, read no ClientInit,
// and let it share the desktop (rfbVncAuthNone in libvncserver's auth.c). Others
// send a SecurityResult, whose first two bytes are zero; a width isn't.
func (r *onlooker) apple() error {
	c := r.server()
	ahead := *c
	var width uint16
	if ahead.U16(&width); ahead.Err != nil {
		*c = ahead
		return c.Err
	}
	r.begun = width != 0
	return nil
}

func (r *onlooker) unreadable(name string, stream clarity) error {
	if stream == encrypted {
		return fmt.Errorf("%w: %s", ErrSecurity, name)
	}
	return fmt.Errorf("%w: %s has no layout that is public", ErrSecurity, name)
}

// result reads a SecurityResult, and what UltraVNC does after one.
func (r *onlooker) result(framing ProtocolVersion) (over bool, err error) {
	c := r.server()
	var n uint32
	if c.U32(&n); c.Err != nil {
		return false, c.Err
	}
	switch {
	case n == resultOK:
		return false, nil
	case n == resultContinue:
		return r.security(version38)
	case framing == version38:
		r.h.Refused = n == resultTooMany
		r.h.ended = r.h.Refused && len(c.B) == 0
		return true, r.reason()
	}
	r.h.Refused = true
	return true, nil
}

// reason reads why the server ends the handshake.
func (r *onlooker) reason() error {
	c := r.server()
	var n uint32
	if c.U32(&n); n > maxReason {
		return fmt.Errorf("%w: failure reason of %d bytes", ErrLimit, n)
	}
	c.Text(&r.h.Reason, int(n))
	if c.Err == nil {
		r.h.Refused = true
	}
	return c.Err
}

// init reads a ServerInit, and TightVNC's capabilities after it.
func (r *onlooker) init() error {
	c := r.server()
	var m ServerInit
	c.U16(&m.Width)
	c.U16(&m.Height)
	c.pixelFormat(&m.Format)
	var n uint32
	if c.U32(&n); n > maxName {
		return fmt.Errorf("%w: desktop name of %d bytes", ErrLimit, n)
	}
	if c.Text(&m.Name, int(n)); c.Err != nil {
		return c.Err
	}
	if r.h.Security == SecurityTight {
		total := c.Len16(0)
		total += c.Len16(0)
		total += c.Len16(0)
		c.Pad(2)
		r.capabilities(c, &r.h.Capabilities, total)
	}
	if c.Err == nil {
		r.h.Init = m
	}
	return c.Err
}
