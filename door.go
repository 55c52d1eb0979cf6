package shadow

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"vda.internal/shadow/internal/strangers"
	"vda.internal/shadow/wsproxy"
)

const (
	// introduction is how long a stranger has from the connection to a request with the token, TLS
	// included, whatever comes meanwhile.
	introduction = 3 * time.Second
	// answering is how long a stranger may take from the request for the page until it has all of it, over
	// a slow line. Whoever wants a view doesn't get it.
	answering = 20 * time.Second

	// What strangers may hold: on all ports, on one, and on one from one address.
	maxStrangers        = 512
	maxPortStrangers    = 64
	maxAddressStrangers = 16

	// maxRejected bounds the audit's lines about those who were turned away from one port, and
	// maxAddressRejected about those from one address. The end's line counts all.
	maxRejected        = 20
	maxAddressRejected = 5
)

// newCrowd has room for the strangers of all ports. They get a quarter of the descriptors
// that this process may have, at most: the rest is for those who were let in, and for the
// host program.
func newCrowd() *strangers.Crowd {
	most := max(8, min(maxStrangers, descriptors()/4))
	return &strangers.Crowd{
		Max: most, PerDoor: min(maxPortStrangers, most), PerAddress: min(maxAddressStrangers, most/2),
	}
}

// A visitor is a connection on a granted port.
type visitor struct {
	*strangers.Stranger
	taken atomic.Bool // out of the server's hands, for a WebSocket
}

type visitorKey struct{}

// visitorOf is who has sent r.
func visitorOf(r *http.Request) *visitor {
	v, _ := r.Context().Value(visitorKey{}).(*visitor)
	return v
}

// known says that r's sender has shown the token.
func known(r *http.Request) {
	if v := visitorOf(r); v != nil {
		v.Leave()
	}
}

// serve starts the HTTP server on l's port. served is closed when it has ended. A connection
// has one request, and no more time than that takes, until it has shown the token.
func (l *life) serve(handler http.Handler) (server *http.Server, served <-chan struct{}) {
	if l.door == nil { // a viewer's return goes on with it: what the end says counts all who were turned away
		l.door = l.m.crowd.Door()
	}
	var here sync.Map // net.Conn, as the server knows it, to *visitor
	server = &http.Server{
		Handler:           l.oneRequest(handler),
		TLSConfig:         l.tls,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: introduction,
		IdleTimeout:       introduction,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(l.noise, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			v := &visitor{Stranger: l.door.Arrive(c, introduction)}
			here.Store(c, v)
			return context.WithValue(ctx, visitorKey{}, v)
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			v, ok := here.Load(c)
			if !ok {
				return
			}
			switch state {
			case http.StateHijacked: // answers leaves for it
				v.(*visitor).taken.Store(true)
				here.Delete(c)
			case http.StateIdle: // the answer is sent
				_ = c.Close()
			case http.StateClosed:
				v.(*visitor).Leave()
				here.Delete(c)
			}
		},
	}
	server.Protocols.SetHTTP1(true) // HTTP/2 has many requests, and no WebSocket here
	done := make(chan struct{})
	ln := &wsproxy.Listener{Listener: l.port.HoldOnClose()}
	go func() {
		defer close(done)
		if l.tls != nil {
			_ = server.ServeTLS(ln, "", "") // ends with Close
		} else {
			_ = server.Serve(ln)
		}
	}()
	return server, done
}

// answers is what is said on l's port: viewer takes the WebSocket handshakes, and the page, if
// there is one, everything else.
func (l *life) answers(viewer http.Handler) http.Handler {
	if l.m.cfg.Page == nil {
		return viewer
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			visitorOf(r).Grant(answering)
			l.m.cfg.Page.ServeHTTP(w, r)
			return
		}
		viewer.ServeHTTP(w, r)
	})
}

// oneRequest lets a connection send no second request.
func (l *life) oneRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		next.ServeHTTP(w, r)
		if v := visitorOf(r); v.taken.Load() {
			v.Leave() // the WebSocket end has closed it
		}
	})
}

// turnedAway is how many connections to l's port were turned away.
func (l *life) turnedAway() int64 {
	t := l.door.Turned()
	return int64(t.Crowded+t.Late) + l.rejected.all.Load()
}

// A rejections counts who was turned away by token or origin.
type rejections struct {
	all atomic.Int64

	mu   sync.Mutex
	told map[netip.Addr]int // lines about an address
	sum  int
}

// tells counts a rejection, and reports whether the audit is to have a line of its own about it.
func (l *life) tells(remote string) bool {
	r := &l.rejected
	r.all.Add(1)
	addr, _ := netip.ParseAddrPort(remote)
	from := addr.Addr().Unmap()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sum >= maxRejected || r.told[from] >= maxAddressRejected {
		return false
	}
	if r.told == nil {
		r.told = map[netip.Addr]int{}
	}
	r.told[from]++
	r.sum++
	return true
}

// claim admits the bearer of token, once.
func (l *life) claim(r *http.Request) error {
	token := r.URL.Query().Get("token")
	hash := sha256.Sum256([]byte(token))
	optional := token == "" && l.m.cfg.TokenOptional && !l.again.Load() // nobody returns without one
	if why := l.ended(); why != nil {
		return why.closing()
	}
	switch {
	case token == "" && !optional:
		return errors.New("token missing")
	case !optional && subtle.ConstantTimeCompare(hash[:], l.token[:]) != 1:
		return errors.New("token wrong")
	case l.isElsewhere(r) || !l.claimed.CompareAndSwap(false, true):
		return errors.New("token used")
	}
	l.bare.Store(optional)
	return nil
}
