package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/api/reply"
	"vda.internal/shadow/internal/host/account"
)

const (
	headerTimeout = 5 * time.Second  // for a request's header to arrive
	idleTimeout   = 60 * time.Second // between two requests on a connection
	drainTimeout  = 5 * time.Second  // for answers under way when Serve is to end
	maxHeader     = 16 << 10         // bytes of a request's header
)

type peerKey struct{}

// Serve answers on ln until ctx ends, then takes back the requests that still
// wait, closes ln and returns when everything that it started has ended. The
// error is nil then, else why ln failed.
//
// A connection that doesn't come from a [Listener], or whose other end the
// Listener doesn't admit, gets 403 for every request.
func Serve(ctx context.Context, ln net.Listener, h *Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup // the server and the metrics' reader
	defer running.Wait()
	defer cancel()

	requests := &counted{next: authorized{h}}
	defer requests.wait()
	srv := &http.Server{
		Handler:           requests,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
		ConnState:         noteState,
		ReadHeaderTimeout: headerTimeout, // there is no ReadTimeout: it would cut off who waits for the user
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          h.errorLog,
	}
	running.Go(func() { h.metrics.follow(ctx) })
	served := make(chan error, 1)
	running.Go(func() { served <- srv.Serve(ln) })

	select {
	case err := <-served:
		_ = srv.Close()
		return err
	case <-ctx.Done():
	}
	drain, stop := context.WithTimeout(context.Background(), drainTimeout)
	defer stop()
	if err := srv.Shutdown(drain); err != nil {
		_ = srv.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// withPeer notes what the listener found out about the other end.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if p, ok := c.(*peerConn); ok {
		return context.WithValue(ctx, peerKey{}, peer{p, p.refused})
	}
	return ctx
}

// noteState notes whether a connection waits for a call's answer.
func noteState(c net.Conn, state http.ConnState) {
	if p, ok := c.(*peerConn); ok {
		p.l.book.setBusy(p, state == http.StateActive)
	}
}

// A peer is who is at the other end.
type peer struct {
	conn    *peerConn
	refused error
}

// accountOf is the account of this host that asks: its name, or its number if it has none.
func accountOf(ctx context.Context) (string, error) {
	p, _ := ctx.Value(peerKey{}).(peer)
	if p.conn == nil {
		return "", errors.New("who is asking isn't known on this connection")
	}
	a, err := p.account(ctx)
	switch {
	case errors.Is(err, account.ErrUnknown):
		return strconv.FormatUint(uint64(p.conn.uid), 10), nil
	case err != nil:
		return "", err
	}
	return a.Name, nil
}

// nameTime is how long the name services may take to name an account; longer in tests.
var nameTime = time.Second

// nameGrace is how long the audit's line about an end waits for the name of who asked for it.
const nameGrace = time.Second / 4

// lookUp is account.LookupID, but in tests.
var lookUp = account.LookupID

// caller is the process at the other end, for the audit.
func (p peer) caller(ctx context.Context) shadow.Caller {
	c := shadow.Caller{UID: p.conn.uid, PID: p.conn.pid}
	if a, err := p.account(ctx); err == nil {
		c.User = a.Name
	}
	return c
}

// maxNaming is how many looks at accounts may be under way, for all peers.
const maxNaming = 64

var naming = make(chan struct{}, maxNaming)

// account is the account of the process at the other end, as the name services know it within nameTime.
func (p peer) account(ctx context.Context) (*account.Account, error) {
	select {
	case naming <- struct{}{}:
	default:
		return nil, errors.New("the name services have left too many questions unanswered")
	}
	ctx, cancel := context.WithTimeout(ctx, nameTime)
	defer cancel()
	type answer struct {
		account *account.Account
		err     error
	}
	answers := make(chan answer, 1)
	go func() { // its helper may be one that can't be killed
		a, err := lookUp(ctx, p.conn.uid)
		<-naming
		answers <- answer{a, err}
	}()
	select {
	case a := <-answers:
		return a.account, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the name services gave no answer within %v", nameTime)
	}
}

// withCaller is r's context with who asks in it, if that is known.
func withCaller(r *http.Request) context.Context {
	ctx := r.Context()
	if p, ok := ctx.Value(peerKey{}).(peer); ok && p.conn != nil {
		return shadow.WithCaller(ctx, p.caller(ctx))
	}
	return ctx
}

// withStopper is withCaller for an end, which waits for no name: that is looked up meanwhile, and the audit's line
// waits for it a moment.
func withStopper(r *http.Request) context.Context {
	ctx := r.Context()
	p, ok := ctx.Value(peerKey{}).(peer)
	if !ok || p.conn == nil {
		return ctx
	}
	found := make(chan string, 1)
	go func() { found <- p.caller(context.WithoutCancel(ctx)).User }() // nameTime bounds it
	name := sync.OnceValue(func() string {
		late := time.NewTimer(nameGrace)
		defer late.Stop()
		select {
		case name := <-found:
			return name
		case <-late.C:
			return ""
		}
	})
	return shadow.WithCallerName(shadow.WithCaller(ctx, shadow.Caller{UID: p.conn.uid, PID: p.conn.pid}), name)
}

// authorized lets admitted peers through to next.
type authorized struct{ next http.Handler }

func (a authorized) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := r.Context().Value(peerKey{}).(peer)
	if !ok {
		p.refused = errors.New("who is asking isn't known on this connection")
	}
	if p.refused != nil {
		w.Header().Set("Connection", "close")
		writeProblem(w, refusedProblem(p.refused))
		return
	}
	a.next.ServeHTTP(w, r)
}

// refusedProblem is 403 for who may not use the API, and 503 for who has no room.
func refusedProblem(err error) *api.Problem {
	if _, ok := errors.AsType[*errExcess](err); ok {
		p := reply.NewProblem(http.StatusServiceUnavailable, "%v", err)
		p.RetryAfter = 1
		return p
	}
	return reply.NewProblem(http.StatusForbidden, "%v", err)
}

// counted knows when no request is being answered any more, also after
// http.Server.Close, which doesn't wait.
type counted struct {
	next http.Handler

	mu      sync.Mutex
	over    bool // no request begins any more
	running sync.WaitGroup
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		writeProblem(w, ProblemOf(&shadow.End{Reason: shadow.Shutdown}))
		return
	}
	c.running.Add(1)
	c.mu.Unlock()
	defer c.running.Done()
	c.next.ServeHTTP(w, r)
}

// wait returns when the last request has been answered; none begins after that.
func (c *counted) wait() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.running.Wait()
}
