package rfb

import (
	"fmt"
	"slices"
)

// exchange is n bytes of the server's and m of the viewer's.
func (r *onlooker) exchange(n, m int) error {
	if c := r.server(); c.next(n) == nil {
		return c.err
	}
	if c := r.viewer(); c.next(m) == nil {
		return c.err
	}
	return nil
}

// ra2 is what RA2ne does before the stream is clear again: keys, random numbers,
// and then, in packets of an AES cipher, hashes, the kind of login, and the
// login.
func (r *onlooker) ra2() error {
	for _, peer := range []func() *coder{r.server, r.viewer} {
		c := peer()
		var bits uint32
		if c.u32(&bits); bits > 8192 {
			return fmt.Errorf("%w: RSA key of %d bits, at most 8192", ErrLimit, bits)
		}
		if c.next(2 * int((bits+7)/8)); c.err != nil {
			return c.err
		}
	}
	const mac = 16
	for _, packet := range []struct {
		peer func() *coder
		more int // bytes that its length doesn't count
	}{
		{r.server, 0}, {r.viewer, 0}, // random numbers
		{r.server, mac}, {r.viewer, mac}, // hashes
		{r.server, mac}, {r.viewer, mac}, // kind, login
	} {
		c := packet.peer()
		if c.next(c.len16(0) + packet.more); c.err != nil {
			return c.err
		}
	}
	return nil
}

// saslClear are the mechanisms of SASL that can't add a layer which encrypts
// the stream.
var saslClear = []string{"ANONYMOUS", "PLAIN", "LOGIN", "EXTERNAL", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-224",
	"SCRAM-SHA-256", "SCRAM-SHA-384", "SCRAM-SHA-512"}

// maxSASL is how long a part of SASL may be.
const maxSASL = 16 << 10

// sasl is a list of mechanisms, the choice, and challenges and responses until
// the server says that they are over.
func (r *onlooker) sasl() error {
	part := func(c *coder) (b []byte) {
		var n uint32
		if c.u32(&n); n > maxSASL {
			c.fail(ErrLimit, "%d bytes of SASL, at most %d", n, maxSASL)
		}
		return c.next(int(n))
	}
	c := r.server()
	if part(c); c.err != nil {
		return c.err
	}
	c = r.viewer()
	mechanism := string(part(c))
	if c.err != nil {
		return c.err
	}
	if !slices.Contains(saslClear, mechanism) {
		return fmt.Errorf("%w: SASL's %q may encrypt the stream", ErrSecurity, cleanText(mechanism, maxReason))
	}
	for {
		c = r.viewer()
		if part(c); c.err != nil {
			return c.err
		}
		c = r.server()
		part(c)
		var over bool
		if c.flag(&over); c.err != nil || over {
			return c.err
		}
	}
}

// prompt is a text of the server's and the viewer's answer, their numbers in
// little endian.
func (r *onlooker) prompt() error {
	c := r.server()
	var n uint32
	c.little = true
	if c.u32(&n); n > maxReason {
		return fmt.Errorf("%w: question of %d bytes, at most %d", ErrLimit, n, maxReason)
	}
	c.little = false
	if c.next(int(n)); c.err != nil {
		return c.err
	}
	v := r.viewer()
	v.next(4)
	return v.err
}

// appleDH is a generator, a prime and a public key; credentials and a public
// key.
func (r *onlooker) appleDH() error {
	c := r.server()
	c.pad(2)
	n := c.len16(0)
	if c.next(2 * n); c.err != nil {
		return c.err
	}
	v := r.viewer()
	v.next(128 + n)
	return v.err
}

// text8 is xvp's user and target.
func (r *onlooker) text8() error {
	c := r.viewer()
	n := c.len8(0)
	n += c.len8(0)
	c.next(n)
	return c.err
}

// login is a user and a password, their lengths first.
func (r *onlooker) login() error {
	c := r.viewer()
	var user, password uint32
	c.u32(&user)
	c.u32(&password)
	if user > maxHandshake || password > maxHandshake {
		return fmt.Errorf("%w: user of %d bytes, password of %d", ErrLimit, user, password)
	}
	c.next(int(user) + int(password))
	return c.err
}

func (r *onlooker) ident() error {
	c := r.viewer()
	var n uint32
	if c.u32(&n); n > maxHandshake {
		return fmt.Errorf("%w: user of %d bytes", ErrLimit, n)
	}
	c.next(int(n))
	return c.err
}

// veNCrypt reads versions, sub-types, the choice, and what that is about.
func (r *onlooker) veNCrypt(framing ProtocolVersion) (over bool, err error) {
	c := r.server()
	if c.pad(2); c.err != nil {
		return false, c.err
	}
	v := r.viewer()
	b := v.next(2)
	if v.err != nil {
		return false, v.err
	}
	if b[0] == 0 && b[1] < 2 {
		return false, fmt.Errorf("%w: VeNCrypt %d.%d", ErrSecurity, b[0], b[1])
	}
	var no bool
	c = r.server()
	if c.flag(&no); no {
		r.h.Refused = true
		return true, nil
	}
	list(c, &r.h.SubtypesOffered, c.len8(0), 4, func(t *VeNCryptType) { c.u32((*uint32)(t)) })
	if c.err != nil {
		return false, c.err
	}
	v = r.viewer()
	if v.u32((*uint32)(&r.h.Subtype)); v.err != nil {
		return false, v.err
	}
	switch t := r.h.Subtype; {
	case t == VeNCryptPlain:
		err = r.login()
	case t == VeNCryptIdent:
		err = r.ident()
	case t.Encrypts():
		return false, r.unreadable("VeNCrypt "+described([]VeNCryptType{t}), encrypted)
	case t == VeNCryptType(SecurityVeNCrypt) || t > VeNCryptPlain:
		return false, fmt.Errorf("%w: VeNCrypt inside VeNCrypt, or %v", ErrSecurity, t)
	default:
		return r.perform(SecurityType(t), framing)
	}
	if err != nil {
		return false, err
	}
	return r.result(framing)
}

// capabilities reads n of them.
func (r *onlooker) capabilities(c *coder, v *[]Capability, n int) {
	if n > maxHandshake/capabilityLen {
		c.fail(ErrLimit, "%d capabilities", n)
	}
	list(c, v, n, capabilityLen, func(v *Capability) {
		code := uint32(v.Code)
		c.u32(&code)
		v.Code = int32(code)
		c.text(&v.Vendor, 4)
		c.text(&v.Signature, 8)
	})
}

// tight reads tunnels, the choice, types, and the choice.
func (r *onlooker) tight(framing ProtocolVersion) (over bool, err error) {
	var n, choice uint32
	c := r.server()
	c.u32(&n)
	if r.capabilities(c, &r.h.Tunnels, int(n)); c.err != nil {
		return false, c.err
	}
	if n > 0 {
		v := r.viewer()
		if v.u32(&choice); v.err != nil {
			return false, v.err
		}
		if choice != 0 {
			return false, fmt.Errorf("%w: a Tight tunnel of kind %d", ErrSecurity, choice)
		}
		c = r.server()
	}
	c.u32(&n)
	if r.capabilities(c, &r.h.Authentication, int(n)); c.err != nil {
		return false, c.err
	}
	if r.h.TightType = SecurityNone; n > 0 {
		v := r.viewer()
		if v.u32(&choice); v.err != nil {
			return false, v.err
		}
		if choice > 255 || choice == uint32(SecurityTight) {
			return false, fmt.Errorf("%w: Tight with security type %d", ErrSecurity, choice)
		}
		r.h.TightType = SecurityType(choice)
	}
	if r.h.TightType == SecurityUnixLogin {
		if err := r.login(); err != nil {
			return false, err
		}
		return r.result(framing)
	}
	return r.perform(r.h.TightType, framing)
}
