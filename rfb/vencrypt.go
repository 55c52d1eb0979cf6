package rfb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"vda.internal/shadow/rfb/internal/anontls"
)

// A deadEnd is an error of VeNCrypt's, of a server that also offers what can be used instead.
type deadEnd struct{ error }

func (e deadEnd) Unwrap() error { return e.error }

// ends makes a deadEnd of an error of VeNCrypt's, if it is one.
func (h *handshake) ends(err error) error {
	if _, ok := errors.AsType[*ProtocolError](err); ok && h.other && !errors.Is(err, ErrTimeout) {
		return deadEnd{err}
	}
	return err
}

// wrap begins TLS if a sub-type wants it, and returns what comes inside:
// None, VNC authentication or, as SecurityInvalid, Plain.
func (h *handshake) wrap(ctx context.Context, c *Client, t VeNCryptType) (SecurityType, error) {
	if !t.Encrypts() {
		if t == VeNCryptPlain {
			return SecurityInvalid, nil
		}
		return SecurityType(t), nil
	}
	var ready [1]byte
	if err := h.receive(ctx, "answer to VeNCrypt type", ready[:]); err != nil {
		return 0, err
	}
	if ready[0] == 0 {
		return 0, h.violation(fmt.Errorf("%w: TLS isn't possible", ErrRefused))
	}
	if err := h.arm(ctx); err != nil {
		return 0, err
	}
	secure, err := h.encrypt(ctx, c, t)
	if err != nil {
		return 0, err
	}
	h.conn = secure
	switch t {
	case VeNCryptX509None, VeNCryptTLSNone:
		return SecurityNone, nil
	case VeNCryptX509Vnc, VeNCryptTLSVnc:
		return SecurityVNCAuth, nil
	}
	return SecurityInvalid, nil
}

// encrypt is the handshake of TLS, with a certificate or without.
func (h *handshake) encrypt(ctx context.Context, c *Client, t VeNCryptType) (net.Conn, error) {
	if t != VeNCryptTLSNone && t != VeNCryptTLSVnc && t != VeNCryptTLSPlain {
		secure := tls.Client(h.conn, c.TLS)
		err := secure.Handshake() // HandshakeContext would close the connection
		if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return nil, h.violation(fmt.Errorf("%w: the server's certificate isn't good: %w", ErrSecurity, bad.Err))
		}
		return secure, h.failed(ctx, "TLS handshake", err)
	}
	secure, err := anontls.Client(h.conn)
	switch {
	case err == nil:
		return secure, nil
	case errors.Is(err, anontls.ErrProtocol), errors.Is(err, anontls.ErrRefused), errors.Is(err, anontls.ErrUnfit):
		return nil, h.violation(fmt.Errorf("%w: %v without a certificate: %w", ErrSecurity, t, err))
	}
	return nil, h.failed(ctx, "TLS handshake", err)
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
	t, ok := firstOf(offered, c.subtypes()...)
	if !ok {
		return 0, h.violation(c.unusable("VeNCrypt with " + described(offered)))
	}
	return t, h.send(ctx, "VeNCrypt type", u32bytes(uint32(t)))
}
