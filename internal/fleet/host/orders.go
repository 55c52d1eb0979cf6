package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go/micro"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/api/server"
	"vda.internal/shadow/internal/fleet"
)

const (
	maxOrders   = 64               // that are being answered
	maxStops    = 64               // besides: no flood of others keeps an end out
	maxAsks     = 32               // questions of gates, as of one account on the control socket
	patience    = 10 * time.Second // for a gate that waits to say so again
	answerKept  = time.Minute      // an answer that may not have arrived
	stopTimeout = 15 * time.Second
)

// hear lets an order in, and has it answered. It doesn't wait.
func (h *Host) hear(ctx context.Context, r micro.Request) {
	order, gate, err := h.guard.Admit(r.Subject(), r.Headers().Get, r.Data())
	if err != nil {
		h.notice.Wrong(fmt.Errorf("an order was refused: %w", err))
		_ = r.Error("403", err.Error(), nil)
		return
	}
	if order.Kind == fleet.Await {
		h.reply(r, order, h.asks.await(gate, order))
		return
	}
	places := h.answerer
	if order.Kind == fleet.Stop {
		places = h.stopper
	}
	select {
	case places <- struct{}{}:
	default:
		h.reply(r, order, failed(http.StatusServiceUnavailable, "the host is answering %d such orders already", cap(places)))
		return
	}
	h.answers.Go(func() {
		defer func() { <-places }()
		h.reply(r, order, h.answer(ctx, gate, order))
	})
}

// answer does what an order says.
func (h *Host) answer(ctx context.Context, gate string, o fleet.Order) fleet.Answer {
	switch o.Kind {
	case fleet.Sessions:
		return fleet.Answer{Presence: h.presence(ctx)}
	case fleet.List:
		return fleet.Answer{List: &api.ShadowList{Shadows: h.shadows()}}
	case fleet.Shadow:
		return h.asks.run(ctx, gate, o, h.ask)
	case fleet.Stop:
		return h.stop(ctx, gate, o)
	case fleet.Dial:
		return h.dialOut(ctx, o)
	case fleet.Judge:
		return h.judge(ctx, gate, o)
	}
	return failed(http.StatusBadRequest, "%q isn't known here", o.Kind)
}

// reply sends an answer. One that can't be sent has no reader.
func (h *Host) reply(r micro.Request, o fleet.Order, a fleet.Answer) {
	header, data, err := fleet.Seal(h.key, o, a)
	if err == nil {
		err = r.Respond(data, micro.WithHeaders(header))
	}
	if err != nil {
		h.notice.Wrong(fmt.Errorf("an answer can't be sent: %w", err))
	}
}

// failed is an answer that says that it can't be done.
func failed(status int, format string, args ...any) fleet.Answer {
	return fleet.Answer{Problem: &api.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}}
}

// ask asks a session's user, as for a call on the control socket: the host's rules decide.
func (h *Host) ask(ctx context.Context, gate string, o fleet.Order) fleet.Answer {
	r, err := h.request(gate, o)
	if err != nil {
		return failed(http.StatusBadRequest, "%v", err)
	}
	grant, err := h.Engine.Shadow(shadow.WithCaller(ctx, callerOf(gate)), r)
	if err != nil {
		return fleet.Answer{Problem: server.ProblemOf(err)}
	}
	answer := server.GrantOf(grant)
	return fleet.Answer{Grant: &answer}
}

// judge says what the host's rules would say to the same order, and does nothing.
func (h *Host) judge(ctx context.Context, gate string, o fleet.Order) fleet.Answer {
	r, err := h.request(gate, o)
	if err != nil {
		return failed(http.StatusBadRequest, "%v", err)
	}
	v, err := h.Engine.Judge(shadow.WithCaller(ctx, callerOf(gate)), r)
	if err != nil {
		return fleet.Answer{Problem: server.ProblemOf(err)}
	}
	answer := server.VerdictOf(v, r.Account, h.Terms)
	return fleet.Answer{Verdict: &answer}
}

// request is what an order is to ask the engine for.
func (h *Host) request(gate string, o fleet.Order) (shadow.Request, error) {
	var body fleet.AskBody
	if err := json.Unmarshal(o.Body, &body); err != nil {
		return shadow.Request{}, fmt.Errorf("the order can't be read: %w", err)
	}
	plain, err := json.Marshal(body.Request)
	if err != nil {
		return shadow.Request{}, err
	}
	wish, err := server.ParseRequest(plain) // as strictly as on the control socket
	if err != nil {
		return shadow.Request{}, err
	}
	return shadow.Request{
		Session: wish.Session, Admin: wish.Admin, Client: wish.Client, Purpose: wish.Purpose, Monitor: wish.Monitor, Owner: wish.Owner,
		User: &body.User, Groups: wish.Groups, Account: "gate:" + gate, Port: h.port(),
	}, nil
}

// callerOf is a gate, for the audit.
func callerOf(gate string) shadow.Caller {
	return shadow.Caller{UID: uint32(os.Geteuid()), PID: int32(os.Getpid()), Gate: gate}
}

// stop ends a shadow, or takes a question of the same gate back.
func (h *Host) stop(ctx context.Context, gate string, o fleet.Order) fleet.Answer {
	var body fleet.StopBody
	if err := json.Unmarshal(o.Body, &body); err != nil {
		return failed(http.StatusBadRequest, "the order can't be read: %v", err)
	}
	ctx, cancel := context.WithTimeout(shadow.WithCaller(ctx, callerOf(gate)), stopTimeout)
	defer cancel()
	id := body.Shadow
	if body.Order != "" {
		if id = h.asks.takeBack(gate, body.Order); id == "" {
			return fleet.Answer{}
		}
	}
	switch err := h.Engine.Stop(ctx, id, shadow.StoppedByAdmin); {
	case errors.Is(err, shadow.ErrNotFound):
		return failed(http.StatusNotFound, "there is no shadow %q, or it has ended", id)
	case err != nil:
		return fleet.Answer{Problem: server.ProblemOf(err)}
	}
	return fleet.Answer{}
}

// asks are the questions of gates.
type asks struct {
	mu  sync.Mutex
	all map[string]*ask // by order
}

// An ask is a question of a gate, or its answer.
type ask struct {
	gate   string
	cancel context.CancelCauseFunc
	alive  *time.Timer   // ends it when the gate has gone
	answer *fleet.Answer // nil: there is none yet
}

var (
	errGateGone  = errors.New("the gate that asked has gone")
	errTakenBack = errors.New("the gate has taken the question back")
)

// run asks, for as long as the gate says that it waits. Its answer stays for a while.
func (s *asks) run(ctx context.Context, gate string, o fleet.Order, put func(context.Context, string, fleet.Order) fleet.Answer) fleet.Answer {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	one := &ask{gate: gate, cancel: cancel, alive: time.AfterFunc(patience, func() { cancel(errGateGone) })}
	defer one.alive.Stop()
	if !s.add(o.ID, one) {
		return failed(http.StatusServiceUnavailable, "the host has %d questions of gates already", maxAsks)
	}
	answer := put(ctx, gate, o)
	s.mu.Lock()
	defer s.mu.Unlock()
	one.answer = &answer
	time.AfterFunc(answerKept, func() { s.remove(o.ID) })
	return answer
}

// add reports whether there is room.
func (s *asks) add(id string, one *ask) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := 0
	for _, a := range s.all {
		if a.answer == nil {
			open++
		}
	}
	if open >= maxAsks {
		return false
	}
	if s.all == nil {
		s.all = map[string]*ask{}
	}
	s.all[id] = one
	return true
}

func (s *asks) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
}

// await notes that the gate still waits, and is the answer if there is one.
func (s *asks) await(gate string, o fleet.Order) fleet.Answer {
	var body fleet.AwaitBody
	if err := json.Unmarshal(o.Body, &body); err != nil {
		return failed(http.StatusBadRequest, "the order can't be read: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[body.Order]
	switch {
	case one == nil || one.gate != gate:
		return failed(http.StatusNotFound, "the question no longer exists")
	case one.answer != nil:
		return *one.answer
	}
	one.alive.Reset(patience)
	return fleet.Answer{Waiting: true}
}

// takeBack cancels a question, or returns the shadow that has come of it.
func (s *asks) takeBack(gate, order string) (granted string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[order]
	switch {
	case one == nil || one.gate != gate:
		return ""
	case one.answer == nil:
		one.cancel(errTakenBack)
		return ""
	case one.answer.Grant != nil:
		return one.answer.Grant.ID
	}
	return ""
}
