package rfb

import (
	"fmt"
	"slices"
	"strings"
)

// What a client takes of what a server offers, and what that keeps out:
//
//   - Who has c.TLS with an authority wants to know the server: only VeNCrypt's X509 types are taken. A man in
//     the middle has no certificate, and can only make the connection fail.
//   - Without one, nothing proves who the server is, and a man in the middle can be it, whatever is taken: he offers
//     what suits him. Anonymous TLS comes before clear text all the same, for those who only listen. Inside either
//     the least is given away: nothing, before the answer to a challenge, before a password.

// verifies reports whether a server has to prove who it is.
func (c *Client) verifies() bool {
	return c.TLS != nil && (!c.TLS.InsecureSkipVerify || c.TLS.VerifyConnection != nil || c.TLS.VerifyPeerCertificate != nil)
}

// authenticates reports whether c can answer a challenge.
func (c *Client) authenticates() bool { return c.Password != "" || c.answer != nil }

// clearTypes are those without VeNCrypt, the preferred one first.
func (c *Client) clearTypes() []SecurityType {
	switch {
	case c.verifies():
		return nil
	case c.authenticates():
		return []SecurityType{SecurityNone, SecurityVNCAuth}
	}
	return []SecurityType{SecurityNone}
}

// subtypes are those of VeNCrypt that may be chosen, the preferred one first.
func (c *Client) subtypes() (types []VeNCryptType) {
	plain := c.Password != "" && c.Username != ""
	add := func(usable bool, t VeNCryptType) {
		if usable {
			types = append(types, t)
		}
	}
	if c.TLS != nil {
		add(true, VeNCryptX509None)
		add(plain, VeNCryptX509Plain)
		add(c.authenticates(), VeNCryptX509Vnc)
	}
	if c.verifies() {
		return types
	}
	add(true, VeNCryptTLSNone)
	add(c.authenticates(), VeNCryptTLSVnc)
	add(plain, VeNCryptTLSPlain)
	add(true, VeNCryptType(SecurityNone))
	add(c.authenticates(), VeNCryptType(SecurityVNCAuth))
	add(plain, VeNCryptPlain)
	return types
}

// choose returns the type to be taken, and whether there is another for a server whose VeNCrypt comes to
// nothing. What VeNCrypt has is only told once it is chosen.
func (h *handshake) choose(c *Client, offered []SecurityType) (t SecurityType, ok bool) {
	t, ok = firstOf(offered, c.clearTypes()...)
	if !slices.Contains(offered, SecurityVeNCrypt) || ok && h.avoid {
		return t, ok
	}
	h.other = ok
	return SecurityVeNCrypt, true
}

// unusable says what a server offers, and what would make it usable.
func (c *Client) unusable(offers string) error {
	has := func(names ...fmt.Stringer) bool {
		return slices.ContainsFunc(names, func(n fmt.Stringer) bool { return strings.Contains(offers, n.String()) })
	}
	certified := has(VeNCryptX509None, VeNCryptX509Vnc, VeNCryptX509Plain)
	hint := "let it allow None on this connection"
	switch {
	case c.verifies() && !certified:
		hint = "its certificate is to be verified: let it offer X509Vnc (of Xvnc: -X509Cert, -X509Key, -SecurityTypes)"
	case c.verifies():
		hint = "let it allow X509None"
	case certified && c.TLS == nil && !has(VeNCryptTLSVnc, VeNCryptTLSPlain):
		return fmt.Errorf("%w: the server offers %s; say which authority vouches for its certificate, or %s", ErrSecurity, offers, hint)
	}
	vnc, plain := has(SecurityVNCAuth, VeNCryptX509Vnc, VeNCryptTLSVnc), has(VeNCryptPlain)
	switch {
	case c.verifies() && !certified:
	case plain && c.Username == "" && (!vnc || c.authenticates()):
		hint = "give a user and a password, or " + hint
	case vnc && !c.authenticates():
		hint = "give its password, or " + hint
	}
	return fmt.Errorf("%w: the server offers %s; %s", ErrSecurity, offers, hint)
}
