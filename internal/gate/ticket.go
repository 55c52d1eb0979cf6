package gate

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"nhooyr.io/websocket"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/tickets"
	"vda.internal/shadow/portpool"
)

// A TicketWish is the body of POST /api/v1/shadows/{id}/ticket.
type TicketWish struct {
	For tickets.Kind `json:"for"` // "websockify" or "guacamole"
}

// ticket lets another front end show a view to the one whose it is.
func (g *Gate) ticket(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	if g.Tickets == nil {
		writeProblem(w, problem(http.StatusNotFound, "this gate gives no tickets for other front ends; see [gateways] in its configuration"))
		return
	}
	var wish TicketWish
	if p := readJSON(w, r, &wish); p != nil {
		writeProblem(w, p)
		return
	}
	v, p := g.ticketFor(r, s)
	if p != nil {
		writeProblem(w, p)
		return
	}
	own := *s
	t, err := g.Tickets.Issue(r.Context(), wish.For, tickets.View{
		Key: v.key(), ID: v.ID, Name: v.Name, What: v.User + "@" + v.Host,
		Dial: func(ctx context.Context, cut func()) (net.Conn, error) { return g.raw(ctx, cut, &own, v) },
	})
	switch {
	case err == nil && g.views.isOver(v): // since ticketFor looked
		g.Tickets.Void(v.key())
		writeProblem(w, refusal(http.StatusNotFound, reasonEnded, ""))
	case err == nil:
		writeJSON(w, http.StatusCreated, t)
	case errors.Is(err, tickets.ErrKind):
		writeProblem(w, problem(http.StatusBadRequest, `the gate isn't set up for that; "for" is "websockify" or "guacamole"`))
	case errors.Is(err, portpool.ErrExhausted):
		writeProblem(w, tooMany(10*time.Second, "all ports for other front ends are taken"))
	default:
		g.Logger.Error().Err(err).Str("name", s.Name).Str("id", v.ID).Msg("a ticket for another front end can't be given")
		writeProblem(w, problem(http.StatusServiceUnavailable, "the ticket can't be published; the gate's log says why"))
	}
}

// ticketFor is the view that r is about, if it is s's, and s may still have it.
func (g *Gate) ticketFor(r *http.Request, s *signin.Session) (*viewing, *api.Problem) {
	v, err := g.views.lookUp(r, s)
	switch {
	case errors.Is(err, errEarly):
		return nil, refusal(http.StatusBadGateway, reasonHost, "%v", err)
	case err != nil:
		return nil, several()
	case v == nil || g.views.isOver(v):
		return nil, refusal(http.StatusNotFound, reasonEnded, "")
	case v.Owner != s.ID:
		g.noteRefusal(r, s, refusedView, v.log)
		return nil, refusal(http.StatusForbidden, reasonNotMine, "")
	case !g.Access.May(s.Person(), access.Shadow, v.Host, v.User):
		g.noteRefusal(r, s, refusedTable, v.log)
		return nil, refusal(http.StatusForbidden, shadow.NotAllowed, "the gate's access table doesn't let you view this session")
	}
	return v, nil
}

// raw is a view as a VNC server's connection. It takes the place of every other connection of the view,
// and cut is called when s has ended.
func (g *Gate) raw(ctx context.Context, cut func(), s *signin.Session, v *viewing) (net.Conn, error) {
	if g.views.isOver(v) {
		return nil, errors.New("the view has ended")
	}
	ctx, cancel := context.WithCancel(ctx)
	leave, ok := g.views.claim(ctx, v, cancel)
	if !ok {
		cancel()
		return nil, errors.New("the view is shown elsewhere")
	}
	held, release := g.hold(ctx, s)
	c, err := dialRaw(held, v)
	if err != nil {
		release()
		leave(false)
		cancel()
		return nil, err
	}
	conn := &rawConn{Conn: c, start: time.Now()}
	stop := context.AfterFunc(held, func() {
		if ctx.Err() == nil { // signed out
			g.stopSoon(v.host, v.ID)
		}
		cut()
		_ = c.Close()
	})
	conn.end = func() {
		stop()
		cancel()
		release()
		leave(false)
		g.Logger.Info().Str("host", v.Host).Str("id", v.ID).Str("name", v.Name).Dur("duration", time.Since(conn.start)).Msg("view in another front end")
	}
	return conn, nil
}

// dialRaw connects to the granted port. The errors have nothing of the request, which has the token.
func dialRaw(ctx context.Context, v *viewing) (net.Conn, error) {
	opening, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return v.host.Dial(ctx, v.Target) },
		DisableKeepAlives: true,
	}}
	address := "ws://" + net.JoinHostPort(v.Target.Host, strconv.Itoa(v.Target.Port)) + v.Target.RequestURI()
	ws, resp, err := websocket.Dial(opening, address, &websocket.DialOptions{
		HTTPClient: client, Subprotocols: []string{"binary"}, CompressionMode: websocket.CompressionDisabled,
	})
	if e, ok := errors.AsType[*url.Error](err); ok {
		return nil, fmt.Errorf("the granted port: %w", e.Err)
	}
	if err != nil {
		status := 0
		if resp != nil {
			status = resp.StatusCode
		}
		return nil, fmt.Errorf("the granted port answered %d to the handshake", status)
	}
	ws.SetReadLimit(-1) // they are read as they come
	return websocket.NetConn(ctx, ws, websocket.MessageBinary), nil
}

// A rawConn says when it is closed.
type rawConn struct {
	net.Conn
	start time.Time
	end   func()
	once  sync.Once
}

// Close implements net.Conn.
func (c *rawConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.end)
	return err
}
