package rfb

import (
	"fmt"
	"slices"

	"vda.internal/shadow/rfb/internal/proto"
)

// exchange is n bytes of the server's and m of the viewer's.
func (r *onlooker) exchange(n, m int) error {
	if c := r.server(); c.Next(n) == nil {
		return c.Err
	}
	if c := r.viewer(); c.Next(m) == nil {
		return c.Err
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
		if c.U32(&bits); bits > 8192 {
			return fmt.Errorf("%w: RSA key of %d bits, at most 8192", ErrLimit, bits)
		}
		if c.Next(2 * int((bits+7)/8)); c.Err != nil {
			return c.Err
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
		if c.Next(c.Len16(0) + packet.more); c.Err != nil {
			return c.Err
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
		if c.U32(&n); n > maxSASL {
			c.Fail(ErrLimit, "%d bytes of SASL, at most %d", n, maxSASL)
		}
		return c.Next(int(n))
	}
	c := r.server()
	if part(c); c.Err != nil {
		return c.Err
	}
	c = r.viewer()
	mechanism := string(part(c))
	if c.Err != nil {
		return c.Err
	}
	if !slices.Contains(saslClear, mechanism) {
		return fmt.Errorf("%w: SASL's %q may encrypt the stream", ErrSecurity, proto.CleanText(mechanism, maxReason))
	}
	for {
		c = r.viewer()
		if part(c); c.Err != nil {
			return c.Err
		}
		c = r.server()
		part(c)
		var over bool
		if c.Flag(&over); c.Err != nil || over {
			return c.Err
		}
	}
}

// prompt is a text of the server's and the viewer's answer, their numbers in
// little endian.
func (r *onlooker) prompt() error {
	c := r.server()
	var n uint32
	c.Little = true
	if c.U32(&n); n > maxReason {
		return fmt.Errorf("%w: question of %d bytes, at most %d", ErrLimit, n, maxReason)
	}
	c.Little = false
	if c.Next(int(n)); c.Err != nil {
		return c.Err
	}
	v := r.viewer()
	v.Next(4)
	return v.Err
}

// appleDH is a generator, a prime and a public key; credentials and a public
// key.
func (r *onlooker) appleDH() error {
	c := r.server()
	c.Pad(2)
	n := c.Len16(0)
	if c.Next(2 * n); c.Err != nil {
		return c.Err
	}
	v := r.viewer()
	v.Next(128 + n)
	return v.Err
}

// text8 is xvp's user and target.
func (r *onlooker) text8() error {
	c := r.viewer()
	n := c.Len8(0)
	n += c.Len8(0)
	c.Next(n)
	return c.Err
}

// login is a user and a password, their lengths first.
func (r *onlooker) login() error {
	c := r.viewer()
	var user, password uint32
	c.U32(&user)
	c.U32(&password)
	if user > maxHandshake || password > maxHandshake {
		return fmt.Errorf("%w: user of %d bytes, password of %d", ErrLimit, user, password)
	}
	c.Next(int(user) + int(password))
	return c.Err
}

func (r *onlooker) ident() error {
	c := r.viewer()
	var n uint32
	if c.U32(&n); n > maxHandshake {
		return fmt.Errorf("%w: user of %d bytes", ErrLimit, n)
	}
	c.Next(int(n))
	return c.Err
}

// veNCrypt reads versions, sub-types, the choice, and what that is about.
func (r *onlooker) veNCrypt(framing ProtocolVersion) (over bool, err error) {
	c := r.server()
	if c.Pad(2); c.Err != nil {
		return false, c.Err
	}
	v := r.viewer()
	b := v.Next(2)
	if v.Err != nil {
		return false, v.Err
	}
	if b[0] == 0 && b[1] < 2 {
		return false, fmt.Errorf("%w: VeNCrypt %d.%d", ErrSecurity, b[0], b[1])
	}
	var no bool
	c = r.server()
	if c.Flag(&no); no {
		r.h.Refused = true
		return true, nil
	}
	list(c, &r.h.SubtypesOffered, c.Len8(0), 4, func(t *VeNCryptType) { c.U32((*uint32)(t)) })
	if c.Err != nil {
		return false, c.Err
	}
	v = r.viewer()
	if v.U32((*uint32)(&r.h.Subtype)); v.Err != nil {
		return false, v.Err
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
		c.Fail(ErrLimit, "%d capabilities", n)
	}
	list(c, v, n, capabilityLen, func(v *Capability) {
		code := uint32(v.Code)
		c.U32(&code)
		v.Code = int32(code)
		c.Text(&v.Vendor, 4)
		c.Text(&v.Signature, 8)
	})
}

// tight reads tunnels, the choice, types, and the choice.
func (r *onlooker) tight(framing ProtocolVersion) (over bool, err error) {
	var n, choice uint32
	c := r.server()
	c.U32(&n)
	if r.capabilities(c, &r.h.Tunnels, int(n)); c.Err != nil {
		return false, c.Err
	}
	if n > 0 {
		v := r.viewer()
		if v.U32(&choice); v.Err != nil {
			return false, v.Err
		}
		if choice != 0 {
			return false, fmt.Errorf("%w: a Tight tunnel of kind %d", ErrSecurity, choice)
		}
		c = r.server()
	}
	c.U32(&n)
	if r.capabilities(c, &r.h.Authentication, int(n)); c.Err != nil {
		return false, c.Err
	}
	if r.h.TightType = SecurityNone; n > 0 {
		v := r.viewer()
		if v.U32(&choice); v.Err != nil {
			return false, v.Err
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
