package websockify

import (
	"cmp"
	"context"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vda.internal/shadow/cmd/websockify/internal/auth"
	"vda.internal/shadow/cmd/websockify/internal/logs"
	"vda.internal/shadow/cmd/websockify/internal/tlsport"
	"vda.internal/shadow/cmd/websockify/internal/token"
	"vda.internal/shadow/cmd/websockify/internal/web"
	"vda.internal/shadow/cmd/websockify/internal/wrap"
	"vda.internal/shadow/wsproxy"
)

// A server is the program once its options are understood.
type server struct {
	o       *options
	log     *logs.Log
	certs   *tlsport.Certificates
	target  targetTLS
	fixed   token.Target // where everybody goes, unless tokens or program
	tokens  token.Source // nil: no tokens
	checker auth.Checker // nil: everybody
	files   http.Handler // nil: no web server
	program *wrap.Program
	proxy   *wsproxy.Handler
	metrics *metrics
	traffic *traffic // nil: nobody watches

	busy   *activity   // requests and sessions
	live   *activity   // sessions, until they are in the log
	ends   chan ending // why the program stops; the first counts
	conns  atomic.Int64
	own    map[uint64]bool // inodes of the sockets that listen
	once   atomic.Bool     // the one session of --run-once was admitted
	single bool            // there is one connection, from inetd
}

// An ending is why and how the program stops.
type ending struct {
	status int
	text   string
	drain  time.Duration // for the sessions; negative: until they end
	err    error
}

// newServer makes everything that can be made before there are sockets.
func newServer(o *options, program string, log *logs.Log, stdout io.Writer) (*server, error) {
	s := &server{o: o, log: log, ends: make(chan ending, 8), metrics: newMetrics()}
	s.live = newActivity(0, nil)
	s.busy = newActivity(o.idleTimeout, func() {
		s.end(ending{text: fmt.Sprintf("listener exit due to --idle-timeout %v", o.idleTimeout.Seconds())})
	})
	for _, make := range []func() error{s.makeTLS, s.makePlugins, s.makeWeb, func() error { return s.makeProgram(program) }} {
		if err := make(); err != nil {
			return nil, err
		}
	}
	switch {
	case o.unixTarget != "":
		s.fixed = token.Target{Unix: o.unixTarget}
	case s.program != nil:
		s.fixed = token.Target{Host: "127.0.0.1", Port: fmt.Sprint(s.program.Port())}
	default:
		s.fixed = token.Target{Host: o.target.host, Port: fmt.Sprint(o.target.port)}
	}
	if o.traffic {
		s.traffic = &traffic{w: stdout}
	}
	s.proxy = s.makeProxy()
	return s, nil
}

func (s *server) makeTLS() error {
	o := s.o
	s.certs = &tlsport.Certificates{
		CertFile: o.cert, KeyFile: o.key, KeyPassword: o.keyPassword, KeyPasswordFile: o.keyPasswordFile,
		VerifyClient: o.verifyClient, CAFile: o.caFile, MinVersion: tlsVersions[o.sslVersion],
	}
	if o.sslCiphers != "" {
		ids, err := tlsport.ParseCiphers(o.sslCiphers)
		if err != nil {
			return err
		}
		s.certs.CipherSuites = ids
	}
	if err := s.certs.Check(); err != nil {
		s.log.Warn(fmt.Sprintf("TLS connections will fail: %v", err), logs.F("error", err))
	}
	s.target = targetTLS{on: o.sslTarget, caFile: o.sslTargetCAFile, name: o.sslTargetName, insecure: o.sslTargetInsecure}
	return s.target.check()
}

func (s *server) makePlugins() (err error) {
	if s.o.tokenPlugin != "" {
		if s.tokens, err = token.New(s.o.tokenPlugin, s.o.tokenSource); err != nil {
			return err
		}
	}
	if s.o.authPlugin != "" {
		s.checker, err = auth.New(s.o.authPlugin, s.o.authSource)
	}
	return err
}

func (s *server) makeWeb() error {
	if s.o.web == "" {
		return nil
	}
	info, err := os.Stat(s.o.web)
	switch {
	case err != nil:
		return fmt.Errorf("--web: %w", err)
	case !info.IsDir():
		return fmt.Errorf("--web: %s isn't a directory", s.o.web)
	}
	s.files = &web.Dir{Root: s.o.web, FileOnly: s.o.fileOnly}
	return nil
}

func (s *server) makeProxy() *wsproxy.Handler {
	o := s.o
	h := &wsproxy.Handler{
		Dial:             s.dial,
		Authorize:        s.authorize,
		OnReject:         s.rejected,
		OnEnd:            s.ended,
		PingInterval:     -1,
		PongTimeout:      max(o.heartbeat, pongTimeout),
		WriteTimeout:     writeTimeout,
		HandshakeTimeout: o.handshakeTimeout,
		IdleTimeout:      o.sessionIdleTimeout,
		MaxSessions:      o.maxConnections,
		OriginPatterns:   o.origins(),
		MaxMessage:       -1, // they are passed on as they come

		MaxSessionsPerAddress: o.maxPerAddress,
	}
	if o.targetProxyProtocol != "" {
		h.ProxyProtocol = int(o.targetProxyProtocol[0] - '0')
	}
	if o.heartbeat > 0 {
		h.PingInterval = o.heartbeat
	}
	if o.viewOnly {
		h.Relay = viewer{s}
	}
	return h
}

// Longer than wsproxy's own: sessions of the Python program outlive a
// network that is away for a minute.
const (
	pongTimeout  = 30 * time.Second
	writeTimeout = 2 * time.Minute
)

// end stops the program, unless something else has already.
func (s *server) end(e ending) {
	select {
	case s.ends <- e:
	default:
	}
}

// serve listens until something ends it, and returns the exit status. ready is
// called once clients are served.
func (s *server) serve(listeners []net.Listener, signals <-chan os.Signal, ready func()) (int, error) {
	s.own = inodes(listeners)
	closeMetrics, err := s.serveMetrics()
	if err != nil {
		return exitFailed, err
	}
	defer closeMetrics()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	var running sync.WaitGroup
	stopProgram := s.startProgram(ctx, &running)
	srv := s.httpServer()
	for _, ln := range listeners {
		if _, s.single = ln.(*oneConn); s.single {
			srv.ConnState = s.connState
		}
		prepared := &wsproxy.Listener{Listener: ln}
		if s.o.proxyProtocol {
			prepared.ProxyProtocol = s.o.proxies
		}
		ln = tlsport.Listen(prepared, tlsport.Options{Certificates: s.certs, TLSOnly: s.o.sslOnly, OnRefuse: s.refusedFirstByte})
		running.Go(func() {
			if err := srv.Serve(ln); err != http.ErrServerClosed {
				s.end(ending{status: exitFailed, err: err})
			}
		})
	}
	s.announceRoute(listeners)
	s.busy.start()
	defer s.busy.stop()
	ready()

	e := s.wait(signals)
	if e.text != "" {
		s.log.Info(e.text)
	}
	s.shutdown(srv, e.drain, signals)
	stopProgram()
	running.Wait()
	s.traffic.flush()
	return e.status, e.err
}

// wait returns what ends the program.
func (s *server) wait(signals <-chan os.Signal) ending {
	var over <-chan time.Time
	if s.o.timeout != 0 {
		t := time.NewTimer(s.o.timeout)
		defer t.Stop()
		over = t.C
	}
	select {
	case e := <-s.ends:
		return e
	case <-over:
		return ending{text: fmt.Sprintf("listener exit due to --timeout %v", s.o.timeout.Seconds()), drain: -1}
	case <-signals:
		return ending{text: "In exit", drain: s.o.drain}
	}
}

// goodbye is how long sessions have to end once they are told to.
const goodbye = 5 * time.Second

// shutdown stops listening, gives the sessions their time, and ends them. A
// signal cuts the time short.
func (s *server) shutdown(srv *http.Server, drain time.Duration, signals <-chan os.Signal) {
	quick, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	stopped := make(chan struct{})
	go func() { // Shutdown closes the listeners first, and then waits for requests
		defer close(stopped)
		_ = srv.Shutdown(quick)
	}()
	var over <-chan time.Time
	if drain >= 0 {
		t := time.NewTimer(drain)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-s.busy.whenIdle():
	case <-over:
	case <-signals:
	}
	ctx, cancelSessions := context.WithTimeout(context.Background(), goodbye)
	defer cancelSessions()
	if err := s.proxy.Shutdown(ctx); err != nil {
		s.log.Warn(err.Error())
	}
	select {
	case <-s.live.whenIdle():
	case <-ctx.Done():
	}
	cancel()
	<-stopped
	_ = srv.Close()
}

func (s *server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s.o.proxies.Handler(http.HandlerFunc(s.serveHTTP)),
		ReadHeaderTimeout: s.o.handshakeTimeout,
		ReadTimeout:       s.o.handshakeTimeout,
		IdleTimeout:       idleConnection,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          stdlog.New(complaints{s.log}, "", 0),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, s.conns.Add(1))
		},
	}
}

const (
	idleConnection = 30 * time.Second // of a browser that has fetched a file
	maxHeader      = 64 << 10
)

// connKey is the context's key for the number of the connection, which is in
// the names of record files.
type connKey struct{}

// complaints are those of net/http.
type complaints struct{ log *logs.Log }

// Write implements io.Writer.
func (c complaints) Write(p []byte) (int, error) {
	text := strings.TrimPrefix(strings.TrimSpace(string(p)), "http: ")
	c.log.Info("handler exception: " + text)
	return len(p), nil
}

// serveHTTP is the port's handler.
func (s *server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	leave := s.busy.enter()
	defer leave()
	if r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		s.serveWebSocket(w, r)
		return
	}
	s.metrics.request()
	if s.files == nil {
		w.Header().Set("Connection", "close")
		w.Header().Set("Allow", "GET") // with an upgrade
		s.logRequest(r, http.StatusMethodNotAllowed)
		http.Error(w, "Method Not Allowed: this port is for WebSocket connections", http.StatusMethodNotAllowed)
		return
	}
	if s.o.webAuth {
		if refusal := s.checker.Check(r); refusal != nil {
			s.refuse(w, r, refusal)
			return
		}
	}
	seen := &statusWriter{ResponseWriter: w}
	s.files.ServeHTTP(seen, r)
	s.logRequest(r, cmp.Or(seen.status, http.StatusOK))
}

// A statusWriter remembers the answer's status for the log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// ReadFrom keeps net/http's way of sending files.
func (w *statusWriter) ReadFrom(r io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, r) }

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// connState ends the program with its one connection. One that was upgraded
// ends with its session.
func (s *server) connState(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		s.end(ending{})
	}
}

func (s *server) refusedFirstByte(remote net.Addr, reason string) {
	if s.single {
		s.end(ending{})
	}
	if reason != "" {
		s.log.Client(logs.Info, ipOf(remote.String()), reason)
	}
}
