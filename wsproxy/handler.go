package wsproxy

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// A Handler joins a browser's WebSocket to a byte-stream target. Each upgrade
// request is one session. The zero Handler refuses every request.
//
// The fields must not be changed once the Handler is in use, and a Handler
// must not be copied. Its methods may be called concurrently, and the hooks
// are.
type Handler struct {
	// Dial connects a session to its target. It is required; nil refuses
	// every request. Its context ends when Dial has returned, when
	// HandshakeTimeout is over, or when the viewer has left. An error
	// decides the close code if it has a method CloseCode() int, and its
	// text is then the reason; any other gives [StatusInternalError], and its
	// text stays in the record. The Handler closes the connection.
	Dial func(context.Context, *http.Request) (net.Conn, error)

	// Relay runs between the two ends. Nil copies bytes, as websockify does.
	Relay Relay

	// Authorize admits or refuses a viewer. It is called exactly once for
	// each upgraded request, after the origin check and before Dial. An
	// error closes with [StatusPolicyViolation] and the error's text, unless
	// a *[CloseError] in it decides. Nil admits everybody.
	Authorize func(*http.Request) error

	// OriginPatterns are the web origins of pages that may connect, besides
	// those of the request's own host and port: each a host, with its port
	// if the origin has one, or a scheme and host ("https://vdi.corp"), in
	// the syntax of [path.Match], case ignored. "*" admits every page on the
	// web, "null" one in a sandbox or a file. A request without an Origin
	// header, which no browser sends, is admitted. Behind a reverse proxy see
	// [Proxies].
	OriginPatterns []string

	// PingInterval is the time between pings to the viewer, answered or not. 0
	// means 30 s; negative means none.
	PingInterval time.Duration

	// PongTimeout is how long to wait for any data after a ping, or for the
	// rest of a partial frame (detected up to 25 % late). Then the session ends
	// with [StatusStalled]. 0 means 15 s.
	PongTimeout time.Duration

	// WriteTimeout is how long a viewer may accept no data while some is
	// waiting for it (detected up to 25 % late). Then the session ends with
	// [StatusStalled]. 0 means 15 s. Over TLS without a [Listener], a message of
	// up to 64 KiB must be accepted whole in that time.
	WriteTimeout time.Duration

	// HandshakeTimeout bounds Authorize (through its request's context) and
	// Dial, together. 0 means 10 s. Reading the request is bounded by
	// [http.Server.ReadHeaderTimeout].
	HandshakeTimeout time.Duration

	// IdleTimeout ends a session with [StatusGoingAway] after so long, or up
	// to a quarter longer, without a byte of the stream in either direction;
	// pings don't count. 0 means never.
	IdleTimeout time.Duration

	// MaxMessage is the largest message in bytes that a viewer may send, its
	// fragments together. A larger one ends the session with
	// [StatusMessageTooBig]. 0 means 1 MiB, negative means no limit. It is no
	// buffer's size: a message is passed on as it comes.
	MaxMessage int64

	// MaxSessions bounds the sessions at a time. One more is closed with
	// [StatusTryAgainLater]; if as many again are being closed so, the answer
	// is 503 without an upgrade. 0 means no limit.
	MaxSessions int

	// MaxSessionsPerAddress bounds the sessions at a time from one IP address
	// (IPv6: from one /64 network), in the same way. 0 means no limit.
	MaxSessionsPerAddress int

	// ProxyProtocol is the version of the PROXY protocol, 1 or 2, whose
	// header tells the target the viewer's address (the request's RemoteAddr)
	// before anything else. 0 sends none.
	ProxyProtocol int

	// OnReject is called when an upgraded request was turned away because of
	// its origin, by Authorize, or by a limit on sessions. The error is
	// Authorize's own, or a *[CloseError] whose Reason is what the viewer is
	// told, or tells of a malformed pattern. Nil ignores.
	OnReject func(*http.Request, error)

	// OnEnd is called once for every viewer that was admitted, when its
	// session has ended and both connections are closed. It must not call
	// Shutdown, which waits for it. Nil ignores.
	OnEnd func(Record)

	// Logger gets a line for every session's end and every rejection. No
	// line has a request's URL in it, for that can hold a token. The zero
	// Logger is silent.
	Logger zerolog.Logger

	mu       sync.Mutex
	shut     bool
	sessions map[*session]struct{}
	places   map[netip.Prefix]int // sessions from there
	idle     chan struct{}        // closed when shut and no session is left; made by Shutdown
}

// A Relay carries one session between a viewer and its target, for as long as
// it lasts. It may close either, and what it leaves open is closed when it
// returns. It returns soon after ctx ends, at which time both are closed
// anyway. *rfb.Relay is one.
//
// viewer is a byte stream: Read ignores message boundaries, Write sends binary
// messages, as few as may be, and keeps nothing of p. Read returns io.EOF when
// the viewer has closed, and an error that wraps io.ErrUnexpectedEOF or the
// connection's error when it is lost. All deadlines work, and a deadline that
// has expired can be moved (over TLS: unless a write was under way). A method Consume(take func(p []byte) int)
// has take called with what comes, where it is read, until take takes less than it is given or Read would return an error.
//
// What Run returns decides how the session ends, unless the viewer or ctx has
// done so: an error with a method CloseCode() int by that code, its text being
// the reason; nil with [StatusNormalClosure]; any other error with
// [StatusInternalError].
type Relay interface {
	Run(ctx context.Context, viewer, target net.Conn) error
}

// A Record tells how a session went.
type Record struct {
	Request  *http.Request // that was upgraded, as the hooks saw it; its body has been consumed and must not be used
	Remote   string        // address of the viewer
	Target   string        // address of the target; empty if it wasn't reached
	Start    time.Time     // when the request was upgraded
	Duration time.Duration // until both connections were closed
	Sent     int64         // bytes of the stream to the viewer, without framing
	Received int64         // bytes of the stream from the viewer
	End
}

// An End is how a session ends. It is decided once.
type End struct {
	Code     int    // close code, of whoever closed first; [StatusNoStatus] or [StatusAbnormalClosure] if there was none
	Reason   string // that went with it
	ByViewer bool   // the viewer closed, or its connection was lost
	Err      error  // what went wrong, in full; nil if nothing did
}

// EndOf returns how the session of a [Relay]'s viewer ends, or nil if that isn't decided: what Run
// returns decides it then. It is nil for a connection that is no Relay's viewer.
func EndOf(viewer net.Conn) *End {
	c, ok := viewer.(*conn)
	if !ok {
		return nil
	}
	end := c.ended()
	if end == nil {
		return nil
	}
	e := *end
	return &e
}

// Defaults of Handler.
const (
	defaultPingInterval     = 30 * time.Second
	defaultPongTimeout      = 15 * time.Second
	defaultWriteTimeout     = 15 * time.Second
	defaultHandshakeTimeout = 10 * time.Second
	defaultMaxMessage       = 1 << 20
)

// ServeHTTP upgrades the request, serves the session and returns when it has
// ended. What isn't a WebSocket handshake is answered with an HTTP error,
// 426 Upgrade Required for an ordinary request.
//
// The session doesn't end with the deadline of the request's context: a
// middleware's limit for requests isn't one for sessions. If that context is
// cancelled, the session ends: with the *[CloseError] that is the cause, else
// with [StatusGoingAway]. So an [http.Server.BaseContext] is a way to end the
// sessions of a server. The context's values are visible to Authorize, Dial
// and Relay.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.Dial == nil {
		http.Error(w, "nothing is served here", http.StatusForbidden)
		return
	}
	// Two contexts of the session's own: a relay may work on for a moment when
	// the viewer isn't present any more.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	present, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	s := &session{h: h, cancel: cancel, leave: leave}
	s.request = r
	s.place = placeOf(r.RemoteAddr)
	if err := h.add(s); err != nil {
		http.Error(w, err.Reason, http.StatusServiceUnavailable)
		return
	}
	defer h.remove(s)
	defer cancel(nil)
	if err := s.upgrade(w); err != nil {
		h.Logger.Debug().Err(err).Str("remote", r.RemoteAddr).Msg("no WebSocket handshake")
		return
	}
	defer whenDone(r.Context(), func() { s.requestEnds(context.Cause(r.Context())) })()
	s.run(ctx, present)
}

// What a Handler ends sessions with that it doesn't want.
var (
	errGoingAway   = &CloseError{StatusGoingAway, "going away"}
	errFull        = &CloseError{StatusTryAgainLater, "too many sessions"}
	errFullAddress = &CloseError{StatusTryAgainLater, "too many sessions from this address"}
)

// Shutdown stops admitting viewers (further requests get 503), ends sessions
// with [StatusGoingAway] and waits until they have ended; that takes no longer
// than the two seconds of a closing handshake unless a Relay or a hook does. If
// ctx ends first, Shutdown returns an error that wraps its cause, and what is
// left ends by itself. It may be called more than once.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	if !h.shut {
		h.shut = true
		h.idle = make(chan struct{})
		if len(h.sessions) == 0 {
			close(h.idle)
		}
	}
	for s := range h.sessions {
		s.cancel(errGoingAway)
	}
	h.mu.Unlock()
	select {
	case <-h.idle:
		return nil
	case <-ctx.Done():
		h.mu.Lock()
		defer h.mu.Unlock()
		return pkg.Errorf("%d sessions have not ended: %w", len(h.sessions), context.Cause(ctx))
	}
}

// add registers a session, for Shutdown and for the limits. An error is for a
// viewer that isn't even to be upgraded; one that is over a limit, but may be
// told so, has a refusal then.
func (h *Handler) add(s *session) *CloseError {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, here := len(h.sessions), h.places[s.place]
	switch {
	case h.shut:
		return errGoingAway
	case h.MaxSessions > 0 && all >= 2*h.MaxSessions:
		return errFull
	case h.MaxSessionsPerAddress > 0 && here >= 2*h.MaxSessionsPerAddress:
		return errFullAddress
	case h.MaxSessions > 0 && all >= h.MaxSessions:
		s.refusal = errFull
	case h.MaxSessionsPerAddress > 0 && here >= h.MaxSessionsPerAddress:
		s.refusal = errFullAddress
	}
	if h.sessions == nil {
		h.sessions = make(map[*session]struct{})
		h.places = make(map[netip.Prefix]int)
	}
	h.sessions[s] = struct{}{}
	if s.place.IsValid() {
		h.places[s.place]++
	}
	return nil
}

func (h *Handler) remove(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, s)
	if h.places[s.place]--; h.places[s.place] <= 0 {
		delete(h.places, s.place)
	}
	if h.shut && len(h.sessions) == 0 {
		close(h.idle)
	}
}

// newConn makes the viewer of an upgraded connection.
func (h *Handler) newConn(w *wire, ws *messages, onEnd func(End)) *conn {
	c := &conn{
		wire:         w,
		ws:           ws,
		in:           newInbox(),
		maxMessage:   cmp.Or(h.MaxMessage, defaultMaxMessage),
		idleTimeout:  h.IdleTimeout,
		pingInterval: cmp.Or(h.PingInterval, defaultPingInterval),
		pongTimeout:  cmp.Or(h.PongTimeout, defaultPongTimeout),
		onEnd:        onEnd,
	}
	w.intake.to = c
	return c
}
