package gate

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"vda.internal/shadow/internal/strangers"
)

// What connections may hold on which nobody has shown a session yet. Whoever comes is let in, and the
// oldest of them goes, so that nobody who holds connections keeps people from signing in.
const (
	strangerTime        = time.Minute // from one request to the next, and to the first
	maxStrangers        = 1024
	maxAddressStrangers = 128 // of one address; a proxy that is named may have all
)

// newDoor is where connections come in.
func newDoor(proxied bool) *strangers.Door {
	crowd := &strangers.Crowd{Max: maxStrangers, PerDoor: maxStrangers, PerAddress: maxAddressStrangers}
	if proxied {
		crowd.PerAddress = maxStrangers
	}
	return crowd.Door()
}

type strangerKey struct{}

// An arrival is a connection, as who has just come.
type arrival struct {
	stranger *strangers.Stranger
	conn     net.Conn
}

// strangerOf is the connection that r came by; nil: the server isn't ours.
func strangerOf(r *http.Request) *strangers.Stranger {
	a, _ := r.Context().Value(strangerKey{}).(arrival)
	return a.stranger
}

// known notes whose connection it is that r came by.
func (g *Gate) known(r *http.Request, person string) {
	if a, ok := r.Context().Value(strangerKey{}).(arrival); ok {
		a.stranger.Leave()
		g.regulars.note(a.conn, person)
	}
}

// lingers keeps r's connection, which is to be taken from its server, among its person's until the function that it returns is called.
func (g *Gate) lingers(r *http.Request) (gone func()) {
	a, ok := r.Context().Value(strangerKey{}).(arrival)
	if !ok {
		return func() {}
	}
	g.regulars.linger(a.conn)
	return func() { g.regulars.gone(a.conn) }
}

// guard makes srv's connections strangers until somebody has shown a session on them.
func (g *Gate) guard(srv *http.Server) {
	var here sync.Map // net.Conn to *strangers.Stranger
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		s := g.door.Arrive(c, strangerTime)
		here.Store(c, s)
		return context.WithValue(ctx, strangerKey{}, arrival{s, c})
	}
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		if state != http.StateClosed && state != http.StateHijacked {
			return
		}
		g.regulars.leave(c)
		if s, ok := here.LoadAndDelete(c); ok && state == http.StateClosed {
			s.(*strangers.Stranger).Leave()
		}
	}
}

// admitted notes that a connection has shown what it is for.
func admitted(r *http.Request) {
	if s := strangerOf(r); s != nil {
		s.Leave()
	}
}

// admit gives a connection the time for one request.
func admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := strangerOf(r); s != nil {
			s.Grant(strangerTime)
		}
		next.ServeHTTP(w, r)
	})
}
