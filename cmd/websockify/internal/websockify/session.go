package websockify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vda.internal/shadow/cmd/websockify/internal/auth"
	"vda.internal/shadow/cmd/websockify/internal/logs"
	"vda.internal/shadow/cmd/websockify/internal/record"
	"vda.internal/shadow/cmd/websockify/internal/token"
	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/internal/quiet"
	"vda.internal/shadow/wsproxy"
)

// A session is one upgrade request, from there on.
type session struct {
	number int64 // of the connection
	remote string
	target token.Target
	file   *record.File    // nil: not recorded
	result *wsproxy.Record // nil: none yet

	admitted bool // wsproxy let it in
}

// sessionKey is the context's key for the *session.
type sessionKey struct{}

// serveWebSocket admits a client, serves its session, and returns when that
// has ended. Who isn't admitted gets an answer in HTTP, which browsers show to
// a page as a connection that didn't come about, and monitoring sees.
func (s *server) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	if s.checker != nil {
		if refusal := s.checker.Check(r); refusal != nil {
			s.refuse(w, r, refusal)
			return
		}
	}
	target, refusal := s.lookUp(r)
	if refusal == nil {
		refusal = checkHandshake(r)
	}
	if refusal == nil && s.once.Load() {
		refusal = &auth.Refusal{Status: http.StatusServiceUnavailable, Reason: onceIsOver}
	}
	if refusal != nil {
		s.refuse(w, r, refusal)
		return
	}
	defer s.live.enter()()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	number, _ := r.Context().Value(connKey{}).(int64)
	ss := &session{number: number, remote: ipOf(r.RemoteAddr), target: target}
	s.begin(ss, r)
	defer s.finish(ss)
	if d := s.o.sessionTimeout; d > 0 {
		defer time.AfterFunc(d, func() { cancel(&wsproxy.CloseError{Code: wsproxy.StatusGoingAway, Reason: "session timeout"}) }).Stop()
	}
	u := newUpgrade(context.WithValue(ctx, sessionKey{}, ss), w, r, s.o.origin != "")
	s.proxy.ServeHTTP(u, u.request)
}

// onceIsOver is why there is no second session with --run-once.
const onceIsOver = "the one session of --run-once has begun"

// lookUp finds the target.
func (s *server) lookUp(r *http.Request) (token.Target, *auth.Refusal) {
	if s.tokens == nil {
		return s.fixed, nil
	}
	t := s.tokenOf(r)
	if t == "" {
		return token.Target{}, &auth.Refusal{Status: http.StatusForbidden, Reason: "Token not present"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.o.handshakeTimeout)
	defer cancel()
	target, err := s.tokens.Lookup(ctx, t)
	switch {
	case err == nil:
		return target, nil
	case err == token.ErrUnknown: // with nothing to add
		return target, &auth.Refusal{Status: http.StatusForbidden, Reason: fmt.Sprintf("Token %s not found", digest(t))}
	case errors.Is(err, token.ErrUnknown):
		return target, &auth.Refusal{Status: http.StatusForbidden, Reason: fmt.Sprintf("Token %s not found: %v", digest(t), err)}
	}
	return target, &auth.Refusal{Status: http.StatusServiceUnavailable, Reason: fmt.Sprintf("Token %s can't be looked up: %v", digest(t), err)}
}

// tokenOf is the token of a request; empty if there is none. The query is read
// as the Python program's library does: a semicolon separates nothing, and
// what is malformed stands for itself.
func (s *server) tokenOf(r *http.Request) string {
	if s.o.hostToken {
		host, _, _ := strings.Cut(r.Host, ":")
		return host
	}
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if unescape(name) == "token" && value != "" {
			return strings.TrimRight(unescape(value), "\n")
		}
	}
	return ""
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// refuse answers a request that isn't admitted.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, refusal *auth.Refusal) {
	s.metrics.refuse(refusal.Status)
	s.log.Client(logs.Info, ipOf(r.RemoteAddr), refusal.Reason, logs.F("status", refusal.Status))
	s.logRequest(r, refusal.Status)
	if refusal.Status == http.StatusBadRequest {
		w.Header().Set("Connection", "close")
		http.Error(w, refusal.Reason, refusal.Status)
		return
	}
	refusal.Write(w)
}

// begin logs the session, the request first.
func (s *server) begin(ss *session, r *http.Request) {
	id := logs.F("session", ss.number)
	s.logRequest(r, http.StatusSwitchingProtocols)
	kind := "Plain non-SSL (ws://)"
	if r.TLS != nil {
		kind = "SSL/TLS (wss://)"
	}
	s.log.Access(logs.Info, ss.remote, ss.remote+": "+kind+" WebSocket connection", id, logs.F("tls", r.TLS != nil))
	if r.RequestURI != "/" {
		s.log.Access(logs.Info, ss.remote, ss.remote+": Path: '"+redact(r.RequestURI)+"'", id)
	}
}

// record opens the recording of a session. Who may not come in has none, or he would replace those of others.
func (s *server) record(ss *session) error {
	if s.o.record == "" {
		return nil
	}
	name, id := s.o.record+"."+strconv.FormatInt(ss.number, 10), logs.F("session", ss.number)
	f, err := record.Create(name)
	if err != nil {
		s.log.Access(logs.Warn, ss.remote, err.Error(), id)
		return &wsproxy.CloseError{Code: wsproxy.StatusInternalError, Reason: "the session can't be recorded"}
	}
	ss.file = f
	s.log.Access(logs.Info, ss.remote, "opening record file: "+name, id)
	return nil
}

// finish says how the session went.
func (s *server) finish(ss *session) {
	if ss.file != nil {
		if err := ss.file.Close(); err != nil {
			s.log.Access(logs.Warn, ss.remote, err.Error(), logs.F("session", ss.number))
		}
	}
	if ss.result != nil {
		s.logEnd(ss)
	}
	switch {
	case s.single:
		s.end(ending{})
	case s.o.runOnce && ss.admitted:
		s.end(ending{text: ss.remote + ": exiting due to --run-once"})
	}
}

func (s *server) logEnd(ss *session) {
	r := ss.result
	who := "server"
	if r.ByViewer {
		who = "client"
	}
	text := fmt.Sprintf("session ended by the %s after %v: code %d", who, r.Duration.Round(time.Millisecond), r.Code)
	if r.Reason != "" {
		text += " " + r.Reason
	}
	text += fmt.Sprintf(", %d bytes to the client, %d from it", r.Sent, r.Received)
	fields := []logs.Field{
		logs.F("session", ss.number), logs.F("target", ss.target.String()), logs.F("by", who), logs.F("code", r.Code), logs.F("reason", r.Reason),
		logs.F("sent", r.Sent), logs.F("received", r.Received), logs.F("duration", r.Duration),
	}
	if r.Err != nil {
		if _, said := errors.AsType[*wsproxy.CloseError](r.Err); !said {
			text += fmt.Sprintf(" (%s)", named.Text(r.Err))
		}
		fields = append(fields, logs.F("error", r.Err))
	}
	s.log.Access(logs.Info, ss.remote, text, fields...)
}

// authorize is wsproxy's Authorize. It counts the session in: whoever may not
// come in was told before the upgrade, but for two that come at once with
// --run-once.
func (s *server) authorize(r *http.Request) error {
	ss := r.Context().Value(sessionKey{}).(*session)
	if s.o.runOnce && s.once.Swap(true) {
		return &wsproxy.CloseError{Code: wsproxy.StatusTryAgainLater, Reason: onceIsOver}
	}
	if err := s.record(ss); err != nil {
		s.once.Store(false) // it was none
		return err
	}
	ss.admitted = true
	s.metrics.enter()
	return nil
}

// rejected is wsproxy's OnReject: the page's origin, one session too many, or
// authorize.
func (s *server) rejected(r *http.Request, err error) {
	s.metrics.refuse(http.StatusSwitchingProtocols)
	reason := err.Error()
	if closing, ok := errors.AsType[*wsproxy.CloseError](err); ok {
		reason = closing.Reason
	}
	s.log.Client(logs.Info, ipOf(r.RemoteAddr), "client turned away: "+reason)
}

// ended is wsproxy's OnEnd.
func (s *server) ended(r wsproxy.Record) {
	s.metrics.leave(r)
	r.Request.Context().Value(sessionKey{}).(*session).result = &r
}

// dial is wsproxy's Dial.
func (s *server) dial(ctx context.Context, r *http.Request) (net.Conn, error) {
	ss := r.Context().Value(sessionKey{}).(*session)
	name := ss.target.String()
	id := logs.F("session", ss.number)
	ssl := ""
	if s.o.sslTarget {
		ssl = " (using SSL)"
	}
	switch {
	case s.program != nil:
		s.log.Access(logs.Info, ss.remote, "connecting to command: "+s.describeProgram()+ssl, id)
	case ss.target.Unix != "":
		s.log.Access(logs.Info, ss.remote, "connecting to unix socket: "+name+ssl, id, logs.F("target", name))
	default:
		s.log.Access(logs.Info, ss.remote, "connecting to: "+name+ssl, id, logs.F("target", name))
	}
	conn, err := s.reach(ctx, ss)
	if err != nil {
		text := fmt.Sprintf("Failed to connect to %s: %v", name, err)
		if s.program != nil {
			if hint := s.program.Hint(s.own); hint != "" {
				text += ": " + hint
			}
		}
		s.log.Access(logs.Warn, ss.remote, text, id, logs.F("target", name), logs.F("error", err))
	}
	return conn, err
}

// reach connects to a session's target.
func (s *server) reach(ctx context.Context, ss *session) (net.Conn, error) {
	conn, err := s.connect(ctx, ss.target)
	if err != nil {
		return nil, err
	}
	if s.o.viewOnly { // what copies bytes knows sockets better
		conn = quiet.New(conn)
	}
	return s.tap(ss, conn), nil
}

// tap puts in front of the target what wants to see its traffic. A target that
// nobody watches stays the socket that it is, which is the fast way.
func (s *server) tap(ss *session, conn net.Conn) net.Conn {
	if ss.file != nil && !s.o.viewOnly { // there it is what the viewer sees, see viewer.Run
		conn = ss.file.Tap(conn)
	}
	if s.traffic != nil {
		conn = s.traffic.tap(conn)
	}
	return conn
}

// logRequest is the access log, which only --verbose shows.
func (s *server) logRequest(r *http.Request, status int) {
	s.log.Access(logs.Debug, ipOf(r.RemoteAddr), fmt.Sprintf("\"%s %s %s\" %d -", r.Method, redact(r.RequestURI), r.Proto, status))
}

// ipOf is the host of an address, or empty for a unix socket's client.
func ipOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return ""
	}
	return host
}
