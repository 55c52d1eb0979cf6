package gate

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"nhooyr.io/websocket"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/rfc6455"
	"vda.internal/shadow/wsproxy"
)

const (
	// handshakeTime bounds the handshake with the granted port, in all attempts.
	handshakeTime = 10 * time.Second
	// againTime is how long the gate tries to get in, where the host may not have noticed yet that
	// the viewer's last connection is gone.
	againTime = 4 * time.Second
	// endTime is how long both sides have for the closing handshake once one side has ended.
	endTime = 5 * time.Second
)

// view joins the browser to the host's granted port. Without an upgrade it is the page.
func (g *Gate) view(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !headerHas(r.Header, "Connection", "upgrade") {
		g.pages(w, r)
		return
	}
	if !g.sameOrigin(r) {
		g.noteRefusal(r, nil, refusedSite, nil)
		writeProblem(w, problem(http.StatusForbidden, "a page of another site has sent this"))
		return
	}
	if r.ProtoMajor != 1 || !headerHas(r.Header, "Upgrade", "websocket") || r.Header.Get("Sec-WebSocket-Version") != "13" ||
		!isKey(r.Header.Values("Sec-WebSocket-Key")) {
		w.Header().Set("Upgrade", "websocket")
		writeProblem(w, problem(http.StatusUpgradeRequired, "this is for WebSockets of version 13"))
		return
	}
	s, v, refused := g.viewFor(r)
	if refused != nil {
		g.closeWith(w, r, refused)
		return
	}
	g.serveView(w, r, s, v)
}

// isKey reports whether a handshake has one key, which is 16 bytes in base64.
func isKey(keys []string) bool {
	if len(keys) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(keys[0])
	return err == nil && len(key) == 16
}

// viewFor is the view that r's sender may have, or with what to close.
func (g *Gate) viewFor(r *http.Request) (*signin.Session, *viewing, *wsproxy.CloseError) {
	s, p := g.identify(r)
	if p != nil {
		return nil, nil, &wsproxy.CloseError{Code: wsproxy.StatusPolicyViolation, Reason: string(reasonSignIn)}
	}
	v, err := g.views.lookUp(r, s)
	switch {
	case errors.Is(err, errEarly):
		return nil, nil, &wsproxy.CloseError{Code: wsproxy.StatusTryAgainLater, Reason: string(reasonHost)}
	case err != nil:
		return nil, nil, &wsproxy.CloseError{Code: wsproxy.StatusPolicyViolation, Reason: string(reasonSeveral)}
	case v == nil:
		return nil, nil, &wsproxy.CloseError{Code: wsproxy.StatusPolicyViolation, Reason: string(reasonEnded)}
	case v.Owner != s.ID:
		g.noteRefusal(r, s, refusedView, v.log)
		return nil, nil, &wsproxy.CloseError{Code: wsproxy.StatusPolicyViolation, Reason: string(reasonNotMine)}
	case !g.Access.May(s.Person(), access.Shadow, v.Host, v.User):
		g.noteRefusal(r, s, refusedTable, v.log)
		return nil, nil, &wsproxy.CloseError{Code: wsproxy.StatusPolicyViolation, Reason: string(shadow.NotAllowed)}
	case g.views.isOver(v):
		reason, known := g.hub.endOf(v.Host, v.ID)
		if !known {
			reason = reasonEnded
		}
		return nil, nil, &wsproxy.CloseError{Code: wsproxy.StatusNormalClosure, Reason: string(reason)}
	}
	return s, v, nil
}

// sameOrigin reports whether the gate's own page has sent r. A browser always says which page has;
// a script, which shows a token rather than a cookie, need not.
func (g *Gate) sameOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return strings.HasPrefix(strings.ToLower(r.Header.Get("Authorization")), "bearer ")
	}
	u, err := url.Parse(origins[0])
	if err != nil || len(origins) != 1 {
		return false
	}
	if g.origin != nil {
		return strings.EqualFold(origins[0], g.origin.Scheme+"://"+g.origin.Host) || u.Scheme == g.origin.Scheme && strings.EqualFold(u.Host, withoutDefault(g.origin))
	}
	scheme := "http"
	if r.TLS != nil || r.URL.Scheme == "https" {
		scheme = "https"
	}
	return u.Scheme == scheme && strings.EqualFold(u.Host, r.Host)
}

// serveView claims the view for r's connection, and carries its bytes until it ends.
func (g *Gate) serveView(w http.ResponseWriter, r *http.Request, s *signin.Session, v *viewing) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	leave, ok := g.views.claim(ctx, v, cancel)
	if !ok {
		g.closeWith(w, r, &wsproxy.CloseError{Code: wsproxy.StatusPolicyViolation, Reason: string(reasonTaken)})
		return
	}
	closed := false
	defer func() { leave(closed) }()
	key := r.Header.Get("Sec-WebSocket-Key")
	upstream, early, err := g.enter(ctx, v, key)
	if err != nil {
		if left, ok := g.cantView.Pass(networkOf(r)); ok {
			leftOut(g.Logger.Info().Err(err), left).Str("host", v.Host).Str("id", v.ID).Str("name", v.Name).Msg("a view can't be reached")
		}
		if _, refused := errors.AsType[*tls.CertificateVerificationError](err); refused { // a clock may be wrong
			g.closeWith(w, r, &wsproxy.CloseError{Code: wsproxy.StatusInternalError, Reason: string(reasonCert)})
			return
		}
		g.closeWith(w, r, g.whyNot(r.Context(), v))
		return
	}
	browser, waiting, err := takeOver(w, key)
	if err != nil {
		_ = upstream.Close()
		return
	}
	start := time.Now()
	p := &pipe{browser: browser, host: upstream}
	held, release := g.hold(ctx, s)
	cut := make(chan struct{})
	stop := context.AfterFunc(held, func() {
		defer close(cut)
		if ctx.Err() == nil && g.stopSoon(v.host, v.ID) { // signed out: the host ends it, and says so
			pause(ctx, endTime)
		}
		p.cut()
	})
	p.run(waiting, early)
	cancel()
	if !stop() {
		<-cut
	}
	release()
	closed = p.closed()
	g.metrics.bytes.WithLabelValues("down").Add(float64(p.down))
	g.metrics.bytes.WithLabelValues("up").Add(float64(p.up))
	g.Logger.Info().Str("host", v.Host).Str("id", v.ID).Str("name", v.Name).Str("from", clientOf(r)).Dur("duration", time.Since(start)).
		Int64("sent", p.down).Int64("received", p.up).Int("browser_close", p.browserCode).Msg("view")
}

// whyNot is with what to close a view whose host doesn't let the gate in. ctx is the request's: the view's may have
// been cut.
func (g *Gate) whyNot(ctx context.Context, v *viewing) *wsproxy.CloseError {
	if reason, ok := g.hub.endOf(v.Host, v.ID); ok {
		return &wsproxy.CloseError{Code: wsproxy.StatusNormalClosure, Reason: string(reason)}
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	list, err := v.host.Shadows(ctx)
	if err != nil {
		return &wsproxy.CloseError{Code: wsproxy.StatusTryAgainLater, Reason: string(reasonHost)}
	}
	for _, one := range list {
		if one.ID == v.ID {
			return &wsproxy.CloseError{Code: wsproxy.StatusTryAgainLater, Reason: string(reasonHost)}
		}
	}
	return &wsproxy.CloseError{Code: wsproxy.StatusNormalClosure, Reason: string(reasonEnded)}
}

// enter connects to the granted port and performs the handshake with the browser's key. early is
// what the host has sent behind its answer.
func (g *Gate) enter(ctx context.Context, v *viewing, key string) (c net.Conn, early []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	until := time.Now().Add(againTime)
	for {
		c, early, err = handshake(ctx, v, key)
		// A port whose viewer hasn't been missed yet doesn't listen.
		if err == nil || !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(until) || ctx.Err() != nil {
			return c, early, err
		}
		if _, ended := g.hub.endOf(v.Host, v.ID); ended {
			return nil, nil, err
		}
		pause(ctx, 100*time.Millisecond)
	}
}

func handshake(ctx context.Context, v *viewing, key string) (net.Conn, []byte, error) {
	c, err := v.host.Dial(ctx, v.Target)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	early, err := upgrade(c, v, key)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = c.Close()
		return nil, nil, err
	}
	return c, early, nil
}

// upgrade asks for a WebSocket. The errors have nothing of the request, which has the token.
func upgrade(c net.Conn, v *viewing, key string) ([]byte, error) {
	host := net.JoinHostPort(v.Target.Host, fmt.Sprint(v.Target.Port))
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\r\n",
		v.Target.RequestURI(), host, key)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(&limited{c, 16 << 10}, 4<<10)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, errors.New("the granted port gave no HTTP answer")
	}
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Accept") != rfc6455.Accept(key) ||
		resp.Header.Get("Sec-WebSocket-Protocol") != "binary" || resp.Header.Get("Sec-WebSocket-Extensions") != "" {
		return nil, fmt.Errorf("the granted port answered %d to the handshake", resp.StatusCode)
	}
	early, err := in.Peek(in.Buffered())
	return append([]byte(nil), early...), err
}

// takeOver answers the browser's handshake and takes its connection. waiting is what it has sent
// behind it.
func takeOver(w http.ResponseWriter, key string) (c net.Conn, waiting []byte, err error) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	_ = c.SetDeadline(time.Time{})
	waiting, _ = rw.Reader.Peek(rw.Reader.Buffered())
	waiting = append([]byte(nil), waiting...)
	*rw.Reader, *rw.Writer = *bufio.NewReaderSize(nil, 16), *bufio.NewWriterSize(nil, 1) // net/http keeps both for as long as the handler runs
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: binary\r\n\r\n", rfc6455.Accept(key))
	if err != nil {
		_ = c.Close()
		return nil, nil, err
	}
	return c, waiting, nil
}

// closeWith upgrades and closes: a page can read a close code, but not an HTTP status.
func (g *Gate) closeWith(w http.ResponseWriter, r *http.Request, with *wsproxy.CloseError) {
	if s := strangerOf(r); s != nil {
		defer s.Leave() // whose connection has been closed by then
	}
	defer g.lingers(r)()
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{"binary"}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled, // the origin is checked already
	})
	if err != nil {
		return
	}
	_ = c.Close(websocket.StatusCode(with.Code), with.Reason) // waits five seconds for the answer at most
}

// headerHas reports whether a header has a token, in whatever case.
func headerHas(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}
