package bus

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/strangers"
)

// Options are an embedded server's.
type Options struct {
	Name   string // of the gate; unique in the fleet
	Keys   *Keys
	Dir    string      // for what lasts
	Listen string      // address and port for hosts; empty: a free port of the loopback interface
	TLS    *tls.Config // of Listen; nil: none
	Logger zerolog.Logger

	Cluster string   // address and port for other gates' servers; empty: there are none
	Routes  []string // addresses and ports of other gates' servers
}

const (
	readyTime   = 20 * time.Second // for a server to listen
	maxPayload  = 1 << 20
	syncTime    = time.Second // between two times that what is written reaches the disk for sure
	clusterName = "shadow"
	accountJWT  = "account.jwt"
	noPort      = 1 << 20 // at which nothing can listen

	authTime = 2 * strangerTime
)

// A Server is a NATS server in this process.
type Server struct {
	ns      *server.Server
	door    *door
	url     string
	keys    *Keys
	dir     string
	log     logger
	closing chan struct{}
	work    sync.WaitGroup

	mu     sync.Mutex // of the account's claims, and:
	closed bool
	conns  []*nats.Conn // of this gate
}

// Start starts a server. The caller closes it.
func Start(o Options) (*Server, error) {
	if !o.Keys.Embedded() {
		return nil, errors.New("the keys are for somebody else's servers: set bus.servers, or remove the folder of keys")
	}
	opts, err := o.server()
	if err != nil {
		return nil, err
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, err
	}
	log := logger{to: o.Logger, rate: new(strangers.Rate), full: new(atomic.Bool)}
	ns.SetLoggerV2(log, false, false, false)
	s := &Server{ns: ns, door: newDoor(ns, o.TLS, log), keys: o.Keys, dir: o.Dir, log: log, closing: make(chan struct{})}
	ns.Start()
	if !s.ready(o) {
		s.Close()
		return nil, fmt.Errorf("the bus doesn't start; is the port of %q in use?", o.Cluster)
	}
	if err := s.listen(o); err != nil {
		s.Close()
		return nil, err
	}
	s.work.Go(func() { s.tend(opts) })
	return s, nil
}

// ready waits until NATS has started.
func (s *Server) ready(o Options) bool {
	if o.Cluster == "" {
		return s.ns.ReadyForConnections(readyTime)
	}
	for end := time.Now().Add(readyTime); s.ns.ClusterAddr() == nil; time.Sleep(25 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// listen lets hosts in, and commands.
func (s *Server) listen(o Options) error {
	l, err := net.Listen("tcp", cmp.Or(o.Listen, "127.0.0.1:0"))
	if err != nil {
		return fmt.Errorf("%s: the server can't listen; is the port in use? %w", o.Listen, err)
	}
	scheme := "nats"
	if o.TLS != nil {
		scheme = "tls"
	}
	s.url = scheme + "://" + l.Addr().String()
	s.door.serve(l, false)
	private, err := listenPrivately(o.Dir)
	if err != nil {
		return fmt.Errorf("the socket for commands: %w", err)
	}
	s.door.serve(private, true)
	return nil
}

// server are the options as NATS has them.
func (o Options) server() (*server.Options, error) {
	if _, _, err := split(o.Listen); err != nil {
		return nil, err
	}
	operator, _, err := o.Keys.operatorClaims()
	if err != nil {
		return nil, err
	}
	resolver := &server.MemAccResolver{}
	if err := o.accounts(resolver); err != nil {
		return nil, err
	}
	opts := &server.Options{
		ServerName: o.Name, DontListen: true, ProxyProtocol: true, NoSigs: true, MaxPayload: maxPayload, MaxControlLine: maxControl,
		TrustedOperators: []*jwt.OperatorClaims{operator}, AccountResolver: resolver, SystemAccount: public(o.Keys.system),
		JetStream: true, StoreDir: filepath.Join(o.Dir, "jetstream"), SyncInterval: syncTime,
		AuthTimeout: authTime.Seconds(), DisableShortFirstPing: true,
		MaxConn: 4 * mostGuests(), // the door, which chooses who goes, lets in fewer; the gate's own has a place
	}
	if o.Cluster == "" {
		return opts, nil
	}
	return opts, o.join(opts)
}

// join makes the server one of several, which decide together: with one of them nothing is kept, and what
// was kept by one that was alone isn't taken along.
func (o Options) join(opts *server.Options) error {
	host, port, err := split(o.Cluster)
	if err != nil {
		return err
	}
	config, err := routeTLS(o.Keys)
	if err != nil {
		return err
	}
	// NATS joins others only when it has tried to listen for clients, which the door does instead.
	opts.DontListen, opts.Host, opts.Port = false, "127.0.0.1", noPort
	opts.Cluster = server.ClusterOpts{Name: clusterName, Host: host, Port: port, TLSConfig: config, TLSTimeout: 10}
	for _, r := range o.Routes {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", Host: r})
	}
	return nil
}

// accounts gives the resolver the accounts, the fleet's as it was revoked last.
func (o Options) accounts(r *server.MemAccResolver) error {
	system, err := o.Keys.systemClaims()
	if err != nil {
		return err
	}
	account, err := o.Keys.accountToken(o.Dir)
	if err != nil {
		return err
	}
	return errors.Join(r.Store(public(o.Keys.system), system), r.Store(o.Keys.account, account))
}

// split reads an address with a port.
func split(address string) (host string, port int, err error) {
	if address == "" {
		return "127.0.0.1", server.RANDOM_PORT, nil
	}
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		return "", 0, fmt.Errorf("%q isn't an address with a port, such as \"0.0.0.0:4222\"", address)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// URL is where the server listens, for hosts on the same machine.
func (s *Server) URL() string { return s.url }

// Revoke ends what keys may, and cuts their connections. What was revoked before stays so.
func (s *Server) Revoke(list []Revocation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, before, err := s.keys.kept(s.dir)
	if err != nil {
		return err
	}
	claims, token, err := s.keys.accountClaims(before, list)
	if err != nil {
		return err
	}
	if err := keep(s.dir, token); err != nil {
		return err
	}
	account, err := s.ns.LookupAccount(s.keys.account)
	if err != nil {
		return err
	}
	if resolver := s.ns.AccountResolver(); resolver != nil {
		if err := resolver.Store(s.keys.account, token); err != nil {
			return err
		}
	}
	s.ns.UpdateAccountClaims(account, claims)
	return nil
}

// Close ends the server, and returns when it has ended.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		close(s.closing)
	}
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
	s.door.shut()
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	s.door.close()
}

// A logger gives on what an operator should know.
type logger struct {
	to   zerolog.Logger
	rate *strangers.Rate // of what strangers, and who has a host's key, can repeat
	full *atomic.Bool    // something couldn't be written, for want of room
}

func (l logger) Noticef(string, ...any) {}
func (l logger) Debugf(string, ...any)  {}
func (l logger) Tracef(string, ...any)  {}
func (l logger) Warnf(format string, args ...any) {
	if strings.Contains(format, "solicited routes will not be verified") { // by NATS: routeTLS does
		return
	}
	l.say(l.to.Warn(), format, args)
}
func (l logger) Errorf(format string, args ...any) {
	for _, a := range args {
		if err, is := a.(error); is && isFull(err) {
			l.full.Store(true)
		}
	}
	l.say(l.to.Error(), format, args)
}
func (l logger) Fatalf(format string, args ...any) {
	if strings.Contains(fmt.Sprint(args...), strconv.Itoa(noPort)) {
		return
	}
	l.to.Error().Msg("bus: " + fmt.Sprintf(format, args...))
}

// say writes a line, if there haven't been too many lately.
func (l logger) say(line *zerolog.Event, format string, args []any) {
	left, ok := l.rate.Take(time.Now())
	if !ok {
		return
	}
	if left > 0 {
		line = line.Int("left_out", left)
	}
	line.Msg("bus: " + fmt.Sprintf(format, args...))
}
