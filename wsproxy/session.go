package wsproxy

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// What a viewer is told when its target is to blame. The words are websockify's.
const (
	reasonNoTarget     = "Failed to connect to downstream server"
	reasonTargetClosed = "Target closed"
	reasonTargetFailed = "Target failed"
)

// A session is one viewer on a Handler.
type session struct {
	h       *Handler
	cancel  context.CancelCauseFunc // of the session's context
	leave   context.CancelCauseFunc // of the context in which the viewer is there
	request *http.Request
	place   netip.Prefix // what it counts against
	refusal *CloseError  // of a limit; nil if there is room
	viewer  *conn
	start   time.Time
	target  string // address; empty until there is one

	late     atomic.Pointer[time.Timer] // ends a relay that goes on for a viewer that left; nil until then
	rejected bool                       // by a limit, origin or Authorize
}

// upgrade makes the viewer. If it fails, the response is written.
func (s *session) upgrade(w http.ResponseWriter) error {
	wire, ws, err := upgrade(w, s.request, cmp.Or(s.h.WriteTimeout, defaultWriteTimeout))
	if err != nil {
		return err
	}
	s.start = time.Now()
	s.viewer = s.h.newConn(wire, ws, s.viewerEnds)
	s.viewer.start()
	return nil
}

// viewerEnds ends the session's contexts once the viewer's end is decided. A
// relay may finish passing on what a viewer that left had sent before.
func (s *session) viewerEnds(e End) {
	cause := cmp.Or[error](e.Err, &CloseError{e.Code, e.Reason})
	s.leave(cause)
	if e.ByViewer {
		s.late.Store(time.AfterFunc(closeTimeout, func() { s.cancel(cause) }))
	} else {
		s.cancel(cause)
	}
}

// requestEnds ends the session if the end of the request's context is meant
// for it. A viewer that was lost just before its connection was hijacked has
// that effect too, and is for receive to find.
func (s *session) requestEnds(cause error) {
	var closing *CloseError
	switch {
	case errors.As(cause, &closing):
		s.cancel(cause)
	case errors.Is(cause, context.DeadlineExceeded): // a limit for requests
	case !s.viewer.endsSoon():
		s.cancel(cause)
	}
}

// run serves the upgraded viewer. All of the session has ended when it returns.
func (s *session) run(ctx, present context.Context) {
	defer s.close()
	defer whenDone(ctx, func() { s.viewer.finish(endingOf(context.Cause(ctx))) })()
	s.viewer.finish(s.serve(ctx, present))
}

// serve admits the viewer, dials and relays, and returns how that ended.
func (s *session) serve(ctx, present context.Context) End {
	within, cancel := context.WithTimeout(present, cmp.Or(s.h.HandshakeTimeout, defaultHandshakeTimeout))
	defer cancel()
	r := s.request.WithContext(within)
	if err := s.admit(r); err != nil {
		return s.reject(err)
	}
	target, err := s.h.Dial(within, r)
	cancel()
	switch {
	case err == nil && target == nil:
		return End{Code: StatusInternalError, Reason: reasonNoTarget, Err: pkg.New("Dial returned no connection")}
	case err == nil:
	case ctx.Err() != nil:
		return endingOf(context.Cause(ctx))
	default:
		return failed(err, reasonNoTarget)
	}
	defer target.Close()
	defer whenDone(ctx, func() { target.Close() })()
	s.target = addrOf(target)
	if err := s.introduce(target); err != nil {
		return failed(err, reasonNoTarget)
	}
	if s.h.Relay == nil {
		err = copyBoth(s.viewer, target)
	} else {
		err = s.h.Relay.Run(ctx, s.viewer, target)
	}
	switch {
	case ctx.Err() != nil: // what the relay met with is the consequence
		return endingOf(context.Cause(ctx))
	case err != nil:
		return failed(err, reasonTargetFailed)
	case s.h.Relay != nil:
		return End{Code: StatusNormalClosure}
	}
	return End{Code: StatusNormalClosure, Reason: reasonTargetClosed}
}

// introduce tells the target who comes, if it is to know.
func (s *session) introduce(target net.Conn) error {
	if s.h.ProxyProtocol == 0 {
		return nil
	}
	src, _ := netip.ParseAddrPort(s.request.RemoteAddr)
	src = netip.AddrPortFrom(src.Addr().Unmap().WithZone(""), src.Port())
	header, err := proxyHeader(s.h.ProxyProtocol, src, addrPort(s.viewer.LocalAddr()))
	if err != nil {
		return pkg.Errorf("PROXY header: %w", err)
	}
	_ = target.SetWriteDeadline(time.Now().Add(closeTimeout)) // the next line fails if this does
	if _, err := target.Write(header); err != nil {
		return pkg.Errorf("PROXY header: %w", err)
	}
	return target.SetWriteDeadline(time.Time{})
}

// admit is the limits, the origin check and Authorize.
func (s *session) admit(r *http.Request) error {
	if s.refusal != nil {
		return s.refusal
	}
	if err := checkOrigin(r, s.h.OriginPatterns); err != nil {
		return err
	}
	if s.h.Authorize == nil {
		return nil
	}
	return s.h.Authorize(r)
}

// reject turns the viewer away.
func (s *session) reject(err error) End {
	s.rejected = true
	e := End{Code: StatusPolicyViolation, Reason: err.Error(), Err: err}
	var closing *CloseError
	if errors.As(err, &closing) {
		e = endingOf(err)
	}
	s.h.Logger.Warn().Err(err).Str("remote", s.request.RemoteAddr).Msg("viewer rejected")
	if s.h.OnReject != nil {
		s.h.OnReject(s.request, err)
	}
	return e
}

// close joins what the session started and reports its end. It is deferred,
// so that a panic in a hook or a Relay leaves nothing behind either.
func (s *session) close() {
	s.viewer.finish(End{Code: StatusInternalError, Err: pkg.New("panic")})
	// Nobody reads any more: what waits for room in the inbox must not wait on.
	_ = s.viewer.Close()
	<-s.viewer.done
	if late := s.late.Load(); late != nil {
		late.Stop() // or it keeps all of the session for its time
	}
	if s.rejected {
		return
	}
	record := s.record()
	s.log(record)
	if s.h.OnEnd != nil {
		s.h.OnEnd(record)
	}
}

func (s *session) record() Record {
	e := s.viewer.ended()
	return Record{
		Request:  s.request,
		Remote:   s.request.RemoteAddr,
		Target:   s.target,
		Start:    s.start,
		Duration: time.Since(s.start),
		Sent:     s.viewer.sent.Load(),
		Received: s.viewer.got.Load(),
		End:      *e,
	}
}

func (s *session) log(r Record) {
	level := zerolog.InfoLevel
	if r.Err != nil {
		level = zerolog.WarnLevel
	}
	s.h.Logger.WithLevel(level).Err(r.Err).Str("remote", r.Remote).Str("target", r.Target).Dur("duration", r.Duration).
		Int64("sent", r.Sent).Int64("received", r.Received).
		Int("code", r.Code).Str("reason", r.Reason).Bool("by_viewer", r.ByViewer).
		Msg("viewer session ended")
}

// failed is the ending by an error of Dial or the relay. The viewer is told an
// error's text only if the error has a close code, and so is made for it.
func failed(err error, otherwise string) End {
	closing, ok := closeOf(err)
	switch {
	case !ok:
		return End{Code: StatusInternalError, Reason: otherwise, Err: err}
	case !sendable(closing.Code):
		return End{Code: StatusInternalError, Reason: closing.Reason, Err: pkg.Errorf("%d isn't a close Code: %w", closing.Code, err)}
	case closing.Code == StatusNormalClosure:
		return End{Code: closing.Code, Reason: closing.Reason}
	}
	return End{Code: closing.Code, Reason: closing.Reason, Err: err}
}

// endingOf is the ending by the cause of a context.
func endingOf(cause error) End {
	var closing *CloseError
	if !errors.As(cause, &closing) {
		return End{Code: StatusGoingAway, Reason: errGoingAway.Reason, Err: cause}
	}
	e := failed(closing, "")
	if e.Code == closing.Code {
		e.Err = nil // somebody's will
	}
	return e
}

// whenDone calls f in its own goroutine when ctx ends. The returned function
// takes that back, or waits for f if it is too late.
func whenDone(ctx context.Context, f func()) (stop func()) {
	done := make(chan struct{})
	halt := context.AfterFunc(ctx, func() {
		defer close(done)
		f()
	})
	return func() {
		if !halt() {
			<-done
		}
	}
}
