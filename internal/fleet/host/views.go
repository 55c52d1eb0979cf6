package host

import (
	"context"
	"encoding/json"
	"net/http"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/dialout"
)

// port is where the viewer of a gate's request comes in; nil: where any other does.
func (h *Host) port() func() (shadow.Port, error) {
	if h.Views == nil {
		return nil
	}
	return func() (shadow.Port, error) {
		p, err := h.Views.Open()
		if err != nil {
			return nil, err // and no *dialout.Port in a shadow.Port
		}
		return p, nil
	}
}

// dialOut carries a granted view to a gate. The connection is the view's from then on: the token that the
// gate shows on it decides, as on a port.
func (h *Host) dialOut(ctx context.Context, o fleet.Order) fleet.Answer {
	var body fleet.DialBody
	if err := json.Unmarshal(o.Body, &body); err != nil {
		return failed(http.StatusBadRequest, "the order can't be read: %v", err)
	}
	if h.Views == nil {
		return failed(http.StatusConflict, "this host doesn't dial gates: fleet.views says so")
	}
	if !h.Views.Listens(body.Port) { // a viewer that was lost isn't missed at once
		return failed(http.StatusConflict, "no view takes a connection by the number %d", body.Port)
	}
	proof, err := fleet.SignView(h.key, h.ID(), body.Gate, body.Ticket)
	if err != nil {
		return failed(http.StatusInternalServerError, "%v", err)
	}
	c, err := dialout.Dial(ctx, body.Gate, body.Ticket, proof, h.tls)
	if err == nil {
		err = h.Views.Deliver(body.Port, c)
	}
	if err != nil {
		return failed(http.StatusBadGateway, "%v", err)
	}
	return fleet.Answer{}
}
