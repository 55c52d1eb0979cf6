package shadow

import (
	"context"
	"errors"
	"os"
	"time"

	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/wsproxy"
)

// pkg is the name of this package's errors.
const pkg = named.Package("shadow")

// An End says why a request was refused, or why a shadow ended. It is decided once. It is the
// error of [Manager.Shadow], and the cause of the contexts that a [Source], a [Resolver] or a
// prompter is given. Both may also return one, to refuse with a reason of their own. An End
// must not be changed.
type End struct {
	Reason Reason // the one word for it
	Detail string // more than the reason's sentence says, for the administrator; may be empty
	Err    error  // what caused it; may be nil

	// RetryAfter is how long the same request is going to be refused for the
	// same reason; 0 if that isn't known.
	RetryAfter time.Duration

	by     *Caller       // who wanted it; nil: nobody, or nobody knows
	byName func() string // that one's account name, if by hasn't got it; nil: nobody can tell
}

// Error implements error.
func (e *End) Error() string {
	return string(pkg) + ": " + e.Text()
}

// Text is the end in words, without this package's name.
func (e *End) Text() string {
	s := "refused (" + string(e.Reason) + "): " + e.Reason.Sentence()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap returns what caused the end.
func (e *End) Unwrap() error { return e.Err }

// closing is the end as the viewer is told of it: the design's WebSocket status, and the reason's
// word.
func (e *End) closing() *wsproxy.CloseError {
	return &wsproxy.CloseError{Code: e.closeCode(), Reason: string(e.Reason)}
}

func (e *End) closeCode() int {
	switch e.Reason {
	case SessionEnded, Shutdown:
		return wsproxy.StatusGoingAway
	case Superseded:
		return wsproxy.StatusSuperseded
	case StoppedByUser:
		return wsproxy.StatusStoppedByUser
	case SourceFailed, PromptFailed, DisplayUnreachable:
		return wsproxy.StatusInternalError
	case Disabled:
		return wsproxy.StatusPolicyViolation
	case ViewerLeft:
		if errors.Is(e.Err, os.ErrDeadlineExceeded) {
			return wsproxy.StatusStalled
		}
	case ViewerViolation:
		var coder interface{ CloseCode() int }
		if errors.As(e.Err, &coder) {
			return coder.CloseCode()
		}
		return wsproxy.StatusPolicyViolation
	}
	return wsproxy.StatusNormalClosure
}

// ended is why l's context ended, or nil.
func (l *life) ended() *End {
	e, _ := errors.AsType[*End](context.Cause(l.ctx))
	return e
}

// refuse is the end of a request because of err, which may be nil, unless l has ended meanwhile: then
// that is it.
func (l *life) refuse(reason Reason, err error) *End {
	if e := l.ended(); e != nil {
		return e
	}
	e := &End{Reason: reason, Err: err}
	if err != nil {
		e.Detail = detail(err)
	}
	return e
}

// viewingEnd is the one place that says why a viewing ends that nobody has ended: from err, the relay's
// result, and from how the WebSocket session ends; closed is nil if that is still open, and for the
// relay to say.
func (l *life) viewingEnd(err error, closed *wsproxy.End) *End {
	protocol, broke := errors.AsType[*rfb.ProtocolError](err)
	conn, lost := errors.AsType[*rfb.ConnError](err)
	_, panicked := errors.AsType[*rfb.PanicError](err)
	switch {
	case broke && protocol.Direction == rfb.FromViewer && errors.Is(err, os.ErrDeadlineExceeded):
		return &End{Reason: ViewerLeft, Detail: "stalled: " + detail(err), Err: err}
	case broke && protocol.Direction == rfb.FromViewer:
		return &End{Reason: ViewerViolation, Detail: detail(err), Err: err}
	case broke, panicked:
		return &End{Reason: SourceFailed, Detail: detail(err), Err: err}
	case lost && conn.Direction == rfb.FromServer, errors.Is(err, errSourceEnded):
		return l.sourceEnd(err)
	}
	return viewerEnd(err, closed)
}

// sourceEnd distinguishes a source that failed from one whose session ended.
func (l *life) sourceEnd(err error) *End {
	if source := l.current(); source != nil { // paused or away, there is none
		if why := source.why(); why != nil {
			err = why
		}
	}
	switch {
	case errors.Is(err, ErrSessionEnded):
		return &End{Reason: SessionEnded}
	case err != nil:
		return &End{Reason: SourceFailed, Detail: detail(err), Err: err}
	}
	return &End{Reason: SourceFailed, Detail: "the RFB server ended"}
}

// viewerEnd distinguishes a viewer that left from one that the WebSocket end has shown the door.
func viewerEnd(err error, closed *wsproxy.End) *End {
	e := &End{Reason: ViewerLeft, Err: err}
	switch {
	case closed != nil && !closed.ByViewer && isViolation(closed.Code):
		return &End{Reason: ViewerViolation, Detail: closed.Reason, Err: err}
	case closed != nil && closed.Code == wsproxy.StatusStalled, closed == nil && errors.Is(err, os.ErrDeadlineExceeded):
		e.Detail = "stalled: it took no data"
	case err != nil:
		e.Detail = detail(err)
	}
	return e
}

// isViolation reports whether a close code means that the viewer sent what it must not.
func isViolation(code int) bool {
	switch code {
	case wsproxy.StatusProtocolError, wsproxy.StatusUnsupportedData, wsproxy.StatusPolicyViolation, wsproxy.StatusMessageTooBig:
		return true
	}
	return false
}

// detail is an error as the detail of an end.
func detail(err error) string { return named.Text(err) }
