package fleethosts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/fleet"
)

const (
	callTime    = 20 * time.Second // for an answer that waits for nobody
	awaitEvery  = 2 * time.Second  // between two words that somebody still waits
	awaitTime   = 3 * time.Second  // for the host to say that it has heard
	patience    = 15 * time.Second // for a host that doesn't: it has taken the question back by then
	takeTime    = 5 * time.Second  // to take a question back
	firstAwait  = 500 * time.Millisecond
	errorHeader = micro.ErrorHeader
)

// Ask implements [hosts.Host].
func (h *Host) Ask(ctx context.Context, r api.Request) (*api.Grant, error) {
	body := h.askBody(r)
	user := body.User
	order, err := h.order(fleet.Shadow, body)
	if err != nil {
		return nil, err
	}
	answer, err := h.wait(ctx, order)
	if err != nil {
		if ctx.Err() != nil {
			h.takeBack(order.Order.ID)
		}
		return nil, err
	}
	if answer.Grant == nil {
		return nil, errors.New("the host's answer has no grant")
	}
	g := answer.Grant
	h.learn(g.ID, &api.Status{ID: g.ID, Session: g.Session, User: user, Admin: g.Admin, Client: r.Client, Purpose: r.Purpose, Owner: r.Owner, State: shadow.Granted, Port: g.Port, Since: time.Now()})
	return g, nil
}

// askBody is a request for a session of the user whom the gate's user was shown with it.
func (h *Host) askBody(r api.Request) fleet.AskBody {
	user := cmp.Or(r.User, h.userOf(r.Session))
	r.User = "" // it is beside the request, also for hosts that don't know it there
	return fleet.AskBody{Request: r, User: user}
}

// userOf is whose session it is, as the gate's user was shown it.
func (h *Host) userOf(session string) string {
	p, _, err := h.now()
	if err != nil {
		return ""
	}
	for _, s := range p.Sessions {
		if s.ID == session {
			return s.User
		}
	}
	return ""
}

// An outcome is how a wait ended.
type outcome struct {
	answer *fleet.Answer
	err    error
}

// wait sends an order whose answer takes as long as a user thinks. Now and then it tells the host that
// somebody waits, and hears of the answer that way should it have been lost.
func (h *Host) wait(ctx context.Context, order *fleet.Sent) (*fleet.Answer, error) {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	outcomes := make(chan outcome, 2)
	go func() {
		a, err := h.send(asking, order)
		if err != nil && asking.Err() == nil && !errors.Is(err, nats.ErrNoResponders) && !isProblem(err) {
			return // it may only be the answer that was lost; the other one finds out
		}
		outcomes <- outcome{a, err}
	}()
	go func() {
		a, err := h.await(asking, order.Order.ID)
		outcomes <- outcome{a, err}
	}()
	select {
	case o := <-outcomes:
		return o.answer, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func isProblem(err error) bool {
	_, ok := errors.AsType[*api.Problem](err)
	return ok
}

// await asks for the answer of an order, until there is one.
func (h *Host) await(ctx context.Context, id string) (*fleet.Answer, error) {
	heard := time.Now()
	t := time.NewTimer(firstAwait)
	defer t.Stop()
	for missed := 0; ; {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		t.Reset(awaitEvery)
		a, err := h.awaitOnce(ctx, id)
		problem, refused := errors.AsType[*api.Problem](err)
		switch {
		case err == nil && a.Waiting:
			heard, missed = time.Now(), 0
		case err == nil:
			return a, nil
		case refused && problem.Status == http.StatusNotFound:
			if missed++; missed > 2 { // the order may be on its way yet
				return nil, fmt.Errorf("%w: host %s no longer knows the question", api.ErrUnreachable, h.id)
			}
		case refused:
			return nil, err
		case time.Since(heard) > patience:
			return nil, fmt.Errorf("%w: host %s: %w", api.ErrUnreachable, h.id, err)
		}
	}
}

func (h *Host) awaitOnce(ctx context.Context, id string) (*fleet.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, awaitTime)
	defer cancel()
	order, err := h.order(fleet.Await, fleet.AwaitBody{Order: id})
	if err != nil {
		return nil, err
	}
	return h.send(ctx, order)
}

// takeBack takes a question back that nobody waits for.
func (h *Host) takeBack(order string) {
	ctx, cancel := context.WithTimeout(context.Background(), takeTime)
	defer cancel()
	if _, err := h.call(ctx, fleet.Stop, fleet.StopBody{Order: order}); err != nil {
		h.d.Logger.Warn().Err(err).Str("host", h.id).Msg("a question can't be taken back; the host does so by itself")
	}
}

// call asks for something that waits for nobody.
func (h *Host) call(ctx context.Context, kind fleet.Kind, body any) (*fleet.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	order, err := h.order(kind, body)
	if err != nil {
		return nil, err
	}
	return h.send(ctx, order)
}

// order signs an order for the host as it is now.
func (h *Host) order(kind fleet.Kind, body any) (*fleet.Sent, error) {
	p, ahead, err := h.now()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return h.d.conn.Signer.Sign(fleet.Order{Kind: kind, Host: h.id, Boot: p.Boot, At: time.Now().Add(ahead), Body: data})
}

// send sends an order and waits for its answer. A problem that the host tells is the error.
func (h *Host) send(ctx context.Context, order *fleet.Sent) (*fleet.Answer, error) {
	msg, err := h.d.conn.NATS.RequestMsgWithContext(ctx, &nats.Msg{Subject: order.Subject, Data: order.Data, Header: order.Header})
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%w: host %s isn't connected to the bus: %w", api.ErrUnreachable, h.id, err)
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("%w: host %s: %w", api.ErrUnreachable, h.id, err)
	}
	if text := msg.Header.Get(errorHeader); text != "" { // nobody has signed it: it is only said
		return nil, &api.Problem{Type: "about:blank", Title: http.StatusText(http.StatusBadGateway), Status: http.StatusBadGateway, Detail: fmt.Sprintf("host %s: %.300s", h.id, text)}
	}
	answer, err := order.Open(h.key(), msg.Header.Get, msg.Data)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.id, err)
	}
	if answer.Problem != nil {
		return nil, answer.Problem
	}
	return answer, nil
}
