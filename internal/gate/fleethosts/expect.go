package fleethosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/gate/hosts"
)

// expect has the host dial this gate for a view, whose granted port nobody can dial.
func (h *Host) expect(ctx context.Context, t hosts.Target) (net.Conn, error) {
	if h.d.Views == nil || h.d.Address == "" {
		return nil, fmt.Errorf("%s dials for its views, and this gate has no address for that: set web.origin or bus.views", h.id)
	}
	key := h.key()
	ticket, err := h.d.Views.Expect(func(secret, proof string) error {
		return fleet.VerifyView(key, proof, h.id, h.d.Address, secret)
	})
	if err != nil {
		return nil, err
	}
	defer ticket.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	called := make(chan struct{})
	defer func() { cancel(nil); <-called }()
	go func() {
		defer close(called)
		_, err := h.call(ctx, fleet.Dial, fleet.DialBody{Port: t.Port, Gate: h.d.Address, Ticket: ticket.Secret})
		if p, ok := errors.AsType[*api.Problem](err); ok && p.Status == http.StatusConflict {
			err = fmt.Errorf("%w: %w", syscall.ECONNREFUSED, err) // as of a port that doesn't listen
		}
		if err != nil {
			cancel(err)
		}
	}()
	c, err := ticket.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return hosts.Secure(ctx, c, t, h.d.CAFile)
}
