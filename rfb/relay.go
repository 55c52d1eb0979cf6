package rfb

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"vda.internal/shadow/rfb/internal/proto"
)

// A Relay speaks RFB to a viewer and to a server and carries one session
// between them, in which the viewer sees and does nothing else. The zero Relay
// is ready to use. A Relay may carry any number of sessions at once; it must not
// be changed meanwhile.
//
// No byte that a viewer sent is ever copied to the server. What the server
// receives the relay has written itself: SetPixelFormat (any that RFC 6143 §7.4
// allows), SetEncodings (reduced to what a viewer needs to see) and
// FramebufferUpdateRequest (cut to the framebuffer). If the viewer lists both
// Fence and ContinuousUpdates, both are asked for, and once the server has shown
// that it knows them EnableContinuousUpdates passes and answers to the server's
// fences do; a viewer that doesn't answer one is answered for. Keys, pointer,
// clipboard, resizing, keep-alives and audio are dropped. Everything else ends
// the session: what is known and forbidden with [ErrForbidden], what has no
// known length with [ErrMalformed].
//
// Towards the viewer pass FramebufferUpdate and Bell, with encodings that were
// asked for, fences and the end of continuous updates if these were, and the
// colours of a map if the viewer wants one. The clipboard and the like are
// dropped, everything else ends the session.
//
// docs/rfb.md has all of it in a table. A relay that lets a viewer take part is
// not in this package.
type Relay struct {
	Name   string                  // desktop name shown to the viewer; empty: the server's, cleaned of what can't be printed
	OnDrop func(ClientMessageType) // called for each message of a viewer that is dropped, one at a time per session; must not block; nil ignores

	// OnEnd is called once the handshakes were made and the session ends, with what Run will return, and
	// before Run waits for the connections' calls that are under way. Its caller so learns of the end even
	// from a server whose calls never return. A pause that these hold up is such an end, two seconds later.
	// It must not block. Nil ignores.
	OnEnd func(error)

	// ServerTimeout is how long a server may leave a request unanswered that it has to answer
	// at once. Such a request, for one pixel, is put after as long a silence, since one that
	// says nothing may just have nothing to show. 0: for ever.
	ServerTimeout time.Duration

	// Client greets servers that aren't greeted yet; nil is the zero Client. If it
	// has no password and AskViewer is set, a server that wants VNC authentication
	// has its challenge put to the viewer, which asks its user; he has two minutes.
	Client    *Client
	AskViewer bool // see Client

	// Pauser pauses the session. It is for one session at a time. Nil: there are no pauses.
	Pauser *Pauser
}

// refusal is what a viewer reads if the server fails before the session.
func refusal(err error) string {
	why := "its RFB server doesn't answer"
	var p *ProtocolError
	switch {
	case errors.Is(err, ErrPassword):
		why = "its RFB server doesn't accept the password"
	case errors.Is(err, ErrRefused) && errors.As(err, &p):
		why = p.Err.Error()
	case errors.Is(err, ErrSecurity):
		why = "its RFB server wants another kind of login than was set up"
	}
	return "this session's screen cannot be captured: " + why
}

// Run carries one session. To the viewer it is a server: RFB 3.8 (3.7 and 3.3
// if the viewer wants), no authentication, because who may watch was decided
// before. To the server it is a viewer: a *[ServerConn] was greeted by
// [Connect] already, any other connection Run greets itself; if that fails the
// viewer is told so in the handshake's failure reason.
//
// A viewer that takes its time holds back the server: Run reads from the
// server only what it can write to the viewer at once, and a viewer asks for
// the next update only when it has the last. A server that says nothing is
// normal, its screen doesn't change; see ServerTimeout.
//
// Run returns
//   - nil when the viewer closed its connection,
//   - [context.Cause] of ctx when ctx ended,
//   - a [*ProtocolError] when a peer broke the rules,
//   - a [*ConnError] when a connection failed; the server closing its own is
//     one with [FromServer] and [io.EOF],
//   - a [*PanicError] when this package, OnDrop or OnEnd did.
//
// It closes the server's connection before it returns, and leaves the viewer's
// open and without a deadline for its owner, who can still say goodbye in
// words of its own (a WebSocket's close code) and must close it. Nothing that
// Run started is running then. The viewer's connection must support deadlines
// as [net.Conn] has them; should its calls not return once their deadline has
// passed, Run closes it after all.
func (r *Relay) Run(ctx context.Context, viewer, server net.Conn) (err error) {
	defer server.Close()
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	s := &session{viewer: viewer, over: make(chan struct{}), patience: r.ServerTimeout, onEnd: r.OnEnd, between: true}
	s.pulse.due = make(chan struct{}, 1)
	if err := s.greet(ctx, server, r); err != nil {
		return outcome(err)
	}
	s.filter = newClientFilter(s.agreed, r.Name != "", r.OnDrop, s.viewerRead)
	if r.Pauser != nil {
		r.Pauser.catchUp()
	}
	for {
		if r.Pauser != nil && r.Pauser.wanted() { // before a pixel can pass
			_ = s.server.Close()
		} else if err = s.run(ctx, r.Pauser); err != errPaused {
			return outcome(err)
		}
		if s, err = s.paused(ctx, r); err != nil {
			return outcome(err)
		}
	}
}

// outcome is what Run returns: a viewer that left is no error.
func outcome(err error) error {
	var c *ConnError
	if errors.As(err, &c) && c.Direction == FromViewer && c.Err == io.EOF {
		return nil
	}
	return err
}

// A session is one Run after its handshakes: two streams, each followed by one
// goroutine, and one more for what is due at a time while nothing comes. What
// people do makes small messages, whose cost is that of waking up: no goroutine
// hands anything to another on their way.
type session struct {
	viewer     net.Conn
	server     *ServerConn
	viewerRead int64 // bytes of the viewer's handshake
	agreed     *agreed
	name       string        // of the desktop, that the viewer was told
	patience   time.Duration // Relay.ServerTimeout
	onEnd      func(error)   // Relay.OnEnd
	pulse      pulse
	unread     []byte // of the viewer, that was read and not filtered: before, and after, the session

	stage   sync.Mutex // held while something of the server's is shown
	between bool       // the viewer is between two messages; guarded by stage
	pausing bool       // guarded by stage

	up         sync.Mutex // what goes to the server
	filter     *clientFilter
	alarm      *time.Timer // of what the filter has to do without the viewer
	alarmed    bool        // it is set
	serverTime deadline

	viewerTime deadline // of toViewer

	once  sync.Once
	over  chan struct{} // closed when the session has ended
	err   error         // why; readable once over is closed
	force *time.Timer   // closes a viewer's connection that ignores deadlines
	held  *time.Timer   // ends for good a session whose pause a server holds up; nil: it isn't to be paused
}

// greet performs the handshakes that are still to be done.
func (s *session) greet(ctx context.Context, server net.Conn, r *Relay) (err error) {
	user := &login{conn: s.viewer}
	if s.server, _ = server.(*ServerConn); s.server == nil {
		if s.server, err = s.connect(ctx, server, r, user); err != nil {
			return err
		}
	}
	init := s.server.Init
	if err := checkSize(init.Width, init.Height); err != nil {
		return pkg.Errorf("ServerConn was not made by Connect: %w", err)
	}
	name := r.Name
	if name == "" {
		name = init.Name
	}
	init.Name = proto.CleanText(name, maxNameSent)
	init.Format, s.name = pinned, init.Name
	s.agreed = newAgreed(init.Width, init.Height)
	// Who may connect was decided before. Shared or not makes no difference:
	// this viewer has a server of its own, or shares one and mustn't throw out
	// others.
	accept := (&Server{Init: init}).Accept
	if user.asked {
		accept = func(ctx context.Context, _ net.Conn) (*ViewerConn, error) {
			return user.accept(ctx, &Server{Init: init})
		}
	}
	v, err := accept(ctx, s.viewer)
	if err != nil {
		return err
	}
	s.viewerRead = v.read
	return nil
}

// connect greets the server, and tells the viewer if that fails.
func (s *session) connect(ctx context.Context, server net.Conn, r *Relay, user *login) (*ServerConn, error) {
	var c Client
	if r.Client != nil {
		c = *r.Client
	}
	if r.AskViewer && c.Password == "" {
		c.answer = user.answer
	}
	greeted, err := c.Connect(ctx, server)
	if err == nil || ctx.Err() != nil {
		return greeted, err
	}
	switch of, ok := directionOf(err); {
	case ok && of == FromViewer: // it left while it was asked
	case user.asked:
		user.refuse(ctx, refusal(err))
	default:
		_ = Refuse(ctx, s.viewer, refusal(err))
	}
	return nil, err
}

// directionOf is who an error is about.
func directionOf(err error) (Direction, bool) {
	var p *ProtocolError
	var c *ConnError
	switch {
	case errors.As(err, &p):
		return p.Direction, true
	case errors.As(err, &c):
		return c.Direction, true
	}
	return 0, false
}

// run carries the session and returns how it ended.
func (s *session) run(ctx context.Context, p *Pauser) error {
	var wg sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { s.end(context.Cause(ctx)) })
	s.alarm, s.alarmed = time.NewTimer(0), true // the filter has something from the beginning
	defer s.alarm.Stop()
	wg.Go(func() { s.guard(s.fromViewer) })
	wg.Go(func() { s.guard(s.attend) })
	wg.Go(func() { s.guard(s.toViewer) })
	if p != nil {
		wg.Go(func() { s.guard(func() error { return s.watchPause(p) }) })
	}
	if s.patience > 0 {
		wg.Go(func() { s.guard(func() error { return s.watchServer(s.patience) }) })
	}
	wg.Wait()
	stop() // what it may have begun changes nothing: the session has ended
	if s.force.Stop() {
		_ = s.viewer.SetDeadline(time.Time{})
	}
	if s.held != nil && !s.held.Stop() {
		return errHeld
	}
	return s.err
}

// end ends the session, once: err is the reason that counts. The goroutines
// return as their connections' calls do.
func (s *session) end(err error) {
	s.once.Do(func() {
		patience := closeTimeout
		if s.err = err; err == errPaused {
			s.held = time.AfterFunc(closeTimeout, func() { _ = s.tellEnd(errHeld) })
			patience *= 2
		} else {
			s.err = s.tellEnd(err)
		}
		s.force = time.AfterFunc(patience, func() { _ = s.viewer.Close() })
		close(s.over)
		_ = s.server.SetDeadline(longAgo) // its Close may hang, and a pause waits for toViewer
		_ = s.server.Close()
		_ = s.viewer.SetDeadline(longAgo)
	})
}

// tellEnd tells of the end, and returns why it is: who is told may panic.
func (s *session) tellEnd(err error) (why error) {
	defer func() {
		if v := recover(); v != nil {
			why = &PanicError{v, debug.Stack()}
		}
	}()
	if s.onEnd != nil {
		s.onEnd(outcome(err))
	}
	return err
}

// guard runs one goroutine of the session. However it ends, the session does:
// a panic must leave nothing open behind it.
func (s *session) guard(run func() error) {
	defer func() {
		if v := recover(); v != nil {
			s.end(&PanicError{v, debug.Stack()})
		}
	}()
	s.end(run())
}

// attend does what is due though the viewer sends nothing.
func (s *session) attend() error {
	for {
		sign := false
		select {
		case <-s.pulse.due:
			sign = true
		case <-s.alarm.C:
		case <-s.agreed.fences.more:
		case <-s.over:
			return nil
		}
		if _, _, err := s.forward(nil, sign); err != nil {
			return err
		}
	}
}

// forward filters what the viewer has sent and writes to the server. It returns
// how much of p it took, and when to come again with the rest. sign says that
// the server is to be asked for a sign of life.
func (s *session) forward(p []byte, sign bool) (n int, again time.Time, err error) {
	s.up.Lock()
	defer s.up.Unlock()
	if n, err = s.filter.feed(time.Now(), p); err != nil {
		return n, again, err
	}
	asked := sign && s.filter.sign()
	if err := s.flush(); err != nil {
		return n, again, err
	}
	if asked {
		s.pulse.asked.Store(true)
	}
	if at := s.filter.wake(false); !at.IsZero() {
		s.alarm.Reset(time.Until(at))
		s.alarmed = true
	} else if s.alarmed {
		s.alarm.Stop()
		s.alarmed = false
	}
	if n < len(p) {
		again = s.filter.wake(true)
	}
	return n, again, nil
}

// A deadline is a connection's write deadline. It is moved seldom: to set one
// wakes a thread.
type deadline struct{ at time.Time }

// extend gives the next write at least d, and at most half as much again.
func (l *deadline) extend(c net.Conn, d time.Duration) error {
	now := time.Now()
	if l.at.Sub(now) >= d {
		return nil
	}
	l.at = now.Add(d + d/2)
	return c.SetWriteDeadline(l.at)
}

// flush writes what the filter has for the server. It is called with up held.
func (s *session) flush() error {
	if len(s.filter.out) == 0 {
		return nil
	}
	err := s.serverTime.extend(s.server, serverTimeout)
	if err == nil {
		_, err = s.server.Write(s.filter.out)
	}
	if err != nil {
		return connError(FromServer, err)
	}
	s.filter.out = s.filter.out[:0]
	return nil
}
