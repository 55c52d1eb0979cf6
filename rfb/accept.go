package rfb

import (
	"context"
	"fmt"
	"net"
)

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
			b = []byte{0, 0, 0, byte(SecurityInvalid)}
		}
		return h.send(ctx, "failure reason", appendReason(b, reason))
	})
	return err
}

// admit performs the server's half of the handshake with a viewer: it offers
// no authentication (who may connect was decided before) and shows init. It
// returns how many bytes the viewer sent.
func admit(ctx context.Context, viewer net.Conn, init ServerInit) (int64, error) {
	return shake(ctx, viewer, FromViewer, func(ctx context.Context, h *handshake) error {
		v, err := h.greetViewer(ctx)
		if err != nil {
			return err
		}
		if err := h.offerNone(ctx, v); err != nil {
			return err
		}
		// Shared or not makes no difference: this viewer has a server of its
		// own, or shares one and mustn't throw out others.
		if err := h.receive(ctx, "ClientInit", make([]byte, 1)); err != nil {
			return err
		}
		b, _ := init.AppendBinary(nil)
		return h.send(ctx, "ServerInit", b)
	})
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

// offerNone offers the security type None, makes sure that it is chosen, and
// confirms it, each in the way of the version.
func (h *handshake) offerNone(ctx context.Context, v ProtocolVersion) error {
	if v == version33 {
		return h.send(ctx, "security type", []byte{0, 0, 0, byte(SecurityNone)})
	}
	if err := h.send(ctx, "security types", []byte{1, byte(SecurityNone)}); err != nil {
		return err
	}
	var choice [1]byte
	if err := h.receive(ctx, "security type", choice[:]); err != nil {
		return err
	}
	if t := SecurityType(choice[0]); t != SecurityNone {
		err := h.violation(fmt.Errorf("%w: viewer chose security type %v, which was not offered", ErrMalformed, t))
		if v == version38 {
			_ = h.send(ctx, "SecurityResult", appendReason([]byte{0, 0, 0, byte(resultFailed)}, "this security type was not offered"))
		}
		return err
	}
	if v == version37 {
		return nil
	}
	return h.send(ctx, "SecurityResult", []byte{0, 0, 0, byte(resultOK)})
}
