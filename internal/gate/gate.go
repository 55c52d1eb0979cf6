package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/fleet/dialout"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/activity"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/tickets"
	"vda.internal/shadow/internal/strangers"
	"vda.internal/shadow/wsproxy"
)

// A Config says what a gate is for. Hosts or Directory, Access and Desk are required: without them nobody
// may do anything.
type Config struct {
	Hosts     []hosts.Host
	Directory hosts.Directory // of more hosts, which come and go; nil: there are none
	Access    access.Table
	Desk      *signin.Desk

	Label   string // of the OpenID provider
	Version string

	// Origin is what browsers call the gate: "https://HOST[:PORT]". Empty: an IP address,
	// localhost, or one of Names, as the request has it.
	Origin string
	Names  []string

	Proxies  []netip.Prefix  // reverse proxies whose X-Forwarded-* headers are believed
	Metrics  []netip.Prefix  // who may read /metrics
	HSTS     bool            // browsers are to come to this host by https only, to whatever port
	Pages    http.Handler    // what isn't the API; nil: 404
	Enrol    http.Handler    // where hosts enter the fleet, at /fleet/; nil: 404
	Views    *dialout.Desk   // where hosts bring views that nobody can dial; its Admitted is the gate's. Nil: 404
	Activity Activity        // nil: nothing is kept
	Tickets  *tickets.Office // nil: no other front end shows views
	Logger   zerolog.Logger  // the zero Logger is silent

	// CutAfter is how long a host may think about a stop before the gate cuts the view itself, and answers who has
	// asked for that. 0 means a second.
	CutAfter time.Duration
}

// Activity is what happened, for people to look at. *[activity.Store] is one.
type Activity interface {
	Add(host string, e shadow.Event) error
	Each(ctx context.Context, q activity.Query, f func(activity.Record) bool) error
}

// A Gate is the console. [Gate.Run] has to run while it serves.
type Gate struct {
	Config
	hub      *hub
	views    *views
	metrics  *metrics
	origin   *url.URL // nil: Origin is empty
	handler  http.Handler
	door     *strangers.Door
	regulars regulars        // the connections of who is known
	noise    strangers.Noise // of people who can't sign in, in the log
	stated   strangers.Noise // of people whom a proxy states, likewise
	refused  strangers.Noise // of what people may not do, likewise
	cantView strangers.Noise // of views that can't be reached, likewise
	uses     uses            // of tokens, likewise
	untold   strangers.Rate  // of what other gates can't be told, likewise
	unkept   strangers.Rate  // of sign-outs that can't be written down, likewise

	changes map[string]*strangers.Rate // of hosts, in the log, by host; guarded by hub.mu

	asks     strangers.Quota // questions that came to nothing, by person
	tooMany  strangers.Rate  // of those beyond, in the log
	calls    strangers.Quota // of hosts, by person, that aren't questions, looks or stops
	looks    strangers.Quota // at hosts' shadows, by person
	underway counter         // such calls and looks that are under way, by person
	stops    strangers.Quota // of what this gate doesn't carry, for which hosts are looked at, by person
	stopping counter         // such that are under way, by person

	asking  counter // questions that are open, by person
	asked   counter // questions that are open, by host
	streams counter // streams of events, by person
	listing counter // answers with all sessions, by person
	reading readers

	mostDownload  int           // events of a file
	longestSearch time.Duration // for a page of the activity

	mu      sync.Mutex
	holds   map[*hold]struct{}
	over    bool // no request begins any more
	running sync.WaitGroup
}

// New returns a gate.
func New(c Config) (*Gate, error) {
	if c.Desk == nil || len(c.Hosts) == 0 && c.Directory == nil {
		return nil, errors.New("a desk and a host are needed")
	}
	g := &Gate{Config: c, holds: map[*hold]struct{}{}, changes: map[string]*strangers.Rate{}, mostDownload: maxDownload, longestSearch: searchTime}
	g.CutAfter = cmp.Or(g.CutAfter, time.Second)
	if c.Origin != "" {
		u, err := url.Parse(c.Origin)
		if err != nil {
			return nil, err
		}
		g.origin = u
	}
	for _, h := range c.Hosts {
		if h.Name() == "" || strings.Contains(h.Name(), "/") {
			return nil, errors.New("a host has no name, or one with a slash")
		}
	}
	g.hub = newHub(c.Hosts, g.happened, g.hostChanged)
	g.hub.directory = c.Directory
	g.hub.logDirectory = func(err error) { g.Logger.Error().Err(err).Msg("the fleet's hosts can't be listed; it is tried again") }
	g.views = newViews(g)
	g.hub.listed = g.views.reconcile
	g.hub.removed = g.views.removed
	if shared, ok := c.Directory.(hosts.Shared); ok {
		shared.OnStopped(g.views.heardStopped)
	}
	g.door = newDoor(len(c.Proxies) > 0)
	g.regulars.proxies = c.Proxies
	g.metrics = newMetrics(g)
	g.asks.Size, g.asks.Every = maxAsks, asksEvery
	g.calls.Size, g.calls.Every = maxCalls, callsEvery
	g.looks.Size, g.looks.Every = maxLooks, looksEvery
	g.underway.most, g.underway.mostOne = maxUnderway, maxUnderwayOne
	g.stops.Size, g.stops.Every = maxLooks, looksEvery
	g.stopping.most, g.stopping.mostOne = maxUnderway, maxUnderwayOne
	g.asking.most, g.asking.mostOne = maxAsking, maxAskingOne
	g.asked.most, g.asked.mostOne = maxAsking, maxAskedOne
	g.streams.most, g.streams.mostOne = maxStreams, maxStreamsOne
	g.listing.most, g.listing.mostOne = maxListing, maxListingOne
	if g.Views != nil {
		g.Views.Admitted = admitted
	}
	g.handler = g.routes()
	return g, nil
}

// What people may hold.
const (
	maxAsking      = 1024 // questions that are open
	maxAskingOne   = 8    // of one person, however often signed in
	maxAskedOne    = 24   // of one host: its shadowd serves 32 calls of one account at a time
	maxStreams     = 4096
	maxStreamsOne  = 32
	maxListing     = 64 // each has many rows in memory, for as long as its browser takes them
	maxListingOne  = 4
	maxAsks        = 60 // that came to nothing, of one person, and one more after each asksEvery
	asksEvery      = time.Minute
	maxCalls       = 30 // of hosts, by one person, and one more after each callsEvery
	callsEvery     = time.Second
	maxLooks       = 300 // at hosts' shadows, as each page of a view has every few seconds
	looksEvery     = 50 * time.Millisecond
	maxUnderway    = 4096
	maxUnderwayOne = 12 // of all these: a host's shadowd serves 32 calls of one account at a time
)

// Run follows the hosts until ctx ends, and returns when everything that it started has ended.
func (g *Gate) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { g.hub.run(ctx) })
	running.Go(func() { g.patrol(ctx) })
	running.Wait()
}

const (
	headerTimeout = 10 * time.Second // for a request's header to arrive, TLS included
	idleTimeout   = 2 * time.Minute  // between two requests on a connection
	drainTimeout  = 3 * time.Second  // for answers under way when Serve is to end
	maxHeader     = 32 << 10         // bytes of a request's header
	maxRequests   = 32               // at a time, of one connection over HTTP/2
)

// Serve answers on ln, which is under TLS already or needs none, until ctx ends. Views are cut then, so
// that the next gate can have them. It returns when everything has ended.
func (g *Gate) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { g.Run(ctx) })

	srv := g.Server(ctx)
	served := make(chan error, 1)
	running.Go(func() { served <- srv.Serve(ln) })
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		drain, stop := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		_ = srv.Shutdown(drain)
		stop()
		err = <-served
	}
	_ = srv.Close()
	cancel()
	g.finish()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Server is an HTTP server for the gate, whose requests end with ctx.
func (g *Gate) Server(ctx context.Context) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	srv := &http.Server{
		Handler:           g,
		Protocols:         protocols,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headerTimeout, // there is no ReadTimeout: it would cut off who waits for a user
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxRequests},
		ErrorLog:          log.New(zerolog.Nop(), "", 0),
	}
	g.guard(srv)
	return srv
}

// ServeHTTP implements http.Handler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	if g.over {
		g.mu.Unlock()
		writeProblem(w, problem(http.StatusServiceUnavailable, "the gate is going down"))
		return
	}
	g.running.Add(1)
	g.mu.Unlock()
	defer g.running.Done()
	defer g.survive(w, r)
	g.handler.ServeHTTP(w, r)
}

// Alive returns once each of the gate's locks has been had. While one isn't to be had it hangs, for a watchdog to notice.
func (g *Gate) Alive() {
	for _, mu := range []*sync.Mutex{&g.mu, &g.hub.mu, &g.views.mu} {
		had(mu)
	}
}

func had(mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
}

// survive answers a request whose handler has panicked, and logs that.
func (g *Gate) survive(w http.ResponseWriter, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler: // it is meant to end so
		panic(p)
	default:
		g.Logger.Error().Str("panic", fmt.Sprintf("%.500v", p)).Str("method", r.Method).Str("path", r.URL.Path[:min(len(r.URL.Path), 100)]).
			Bytes("stack", debug.Stack()).Msg("a fault of shadowgate's: please report it")
		writeProblem(w, problem(http.StatusInternalServerError, "that is a fault of the gate's; its log says more"))
	}
}

// finish returns when the last request has been answered, and the last view cut; none begins after
// that. The requests' contexts have ended.
func (g *Gate) finish() {
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
	g.running.Wait()
}

// routes puts everything behind what holds for every request: who has connected, what the proxies
// say, which host was meant, and whether another site's page has sent it.
func (g *Gate) routes() http.Handler {
	mux := http.NewServeMux()
	g.handle(mux)
	var h http.Handler = mux
	h = g.crossOrigin(h)
	h = g.rightHost(h)
	h = g.headers(h)
	h = wsproxy.Proxies{Networks: g.Proxies}.Handler(h)
	return signin.WithPeer(admit(h))
}

// headers sets what every answer has.
func (g *Gate) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		if g.HSTS && (r.TLS != nil || r.URL.Scheme == "https") {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// rightHost refuses requests for a name that isn't the gate's, which a page elsewhere can have
// pointed at the gate's address. Probes and metrics come by whatever name there is.
func (g *Gate) rightHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz", "/readyz", "/metrics", dialout.Path:
		default:
			if !g.isOwnHost(r.Host) {
				g.noteRefusal(r, nil, refusedName, nil)
				writeProblem(w, problem(http.StatusMisdirectedRequest, "this gate isn't called %.100q; web.origin says what it is called", r.Host))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Gate) isOwnHost(host string) bool {
	if g.origin != nil {
		return strings.EqualFold(host, g.origin.Host) || strings.EqualFold(host, withoutDefault(g.origin))
	}
	u := url.URL{Host: host}
	return isMachine(host) || slices.ContainsFunc(g.Names, func(own string) bool { return strings.EqualFold(own, u.Hostname()) })
}

// isMachine reports whether a request's host is an address or localhost, which nobody's name can be pointed at.
func isMachine(host string) bool {
	u := url.URL{Host: host}
	_, err := netip.ParseAddr(u.Hostname())
	return err == nil || strings.EqualFold(u.Hostname(), "localhost")
}

// withoutDefault is an origin's host with the port that its scheme implies written out, or left out.
func withoutDefault(u *url.URL) string {
	port := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	switch u.Port() {
	case "":
		return net.JoinHostPort(u.Hostname(), port)
	case port:
		return strings.TrimSuffix(u.Host, ":"+port)
	}
	return u.Host
}

// crossOrigin refuses what a page of another site has sent, if it would change something.
func (g *Gate) crossOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.noteRefusal(r, nil, refusedSite, nil)
		writeProblem(w, problem(http.StatusForbidden, "a page of another site has sent this"))
	}))
	return p.Handler(next)
}

// A counter bounds how many of something there are at a time, in all and of one.
type counter struct {
	most, mostOne int

	mu  sync.Mutex
	all int
	one map[string]int
}

// take reserves a place of key's; leave gives it back. It reports false if there is none.
func (c *counter) take(key string) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= c.most || c.one[key] >= c.mostOne {
		return nil, false
	}
	if c.one == nil {
		c.one = map[string]int{}
	}
	c.all++
	c.one[key]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all--
		if c.one[key]--; c.one[key] == 0 {
			delete(c.one, key)
		}
	}, true
}

// count is how many there are.
func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}
