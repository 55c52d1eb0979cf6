package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/activity"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/settings"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/tickets"
	"vda.internal/shadow/internal/gate/web"
	"vda.internal/shadow/internal/host/watchdog"
	"vda.internal/shadow/internal/logs"
	"vda.internal/shadow/internal/version"
	"vda.internal/shadow/tlsstore"
	"vda.internal/shadow/wsproxy"
)

// serve runs the gate until ctx ends.
func (p *program) serve(ctx context.Context, s *settings.Settings) (err error) {
	logger, closeLog, err := p.log(s)
	if err != nil {
		return err
	}
	defer closeLog()
	b, err := build(ctx, s, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	ln, err := listen(s, logger)
	if err != nil {
		return err
	}
	stopTickets, err := serveTickets(s, b.tickets)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	defer stopTickets()
	stop := heed(ctx, p.hangups, b, logger)
	defer stop()
	p.announce(s, b, ln.Addr(), logger)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	go watchdog.Run(ctx, b.gate.Alive)
	err = b.gate.Serve(ctx, ln)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	logger.Info().Msg("ended")
	return err
}

// log opens the log.
func (p *program) log(s *settings.Settings) (zerolog.Logger, func(), error) {
	level, err := zerolog.ParseLevel(s.Log.Level)
	if err != nil {
		return zerolog.Nop(), nil, err
	}
	queue := logs.NewQueue(p.stderr)
	logger := zerolog.New(queue)
	if s.Log.Format == "console" {
		logger = zerolog.New(zerolog.ConsoleWriter{Out: queue, TimeFormat: time.DateTime, NoColor: os.Getenv("NO_COLOR") != ""})
	}
	return logger.Level(level).With().Timestamp().Logger(), func() { _ = queue.Close(logs.FlushTime) }, nil
}

// A built is what the settings describe.
type built struct {
	gate     *gate.Gate
	sealer   *signin.Sealer
	activity *activity.Store // nil: there is none
	fleet    *fleetOf        // nil: there is none
	tickets  *tickets.Office // nil: no other front end shows views
}

func (b *built) close() error {
	if b.tickets != nil {
		b.tickets.Close()
	}
	if b.fleet != nil {
		b.fleet.close()
	}
	if b.activity == nil {
		return nil
	}
	return b.activity.Close()
}

// build makes what the settings describe. The caller closes it.
func build(ctx context.Context, s *settings.Settings, logger zerolog.Logger) (*built, error) {
	if err := os.MkdirAll(s.State.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("state.dir: %w; name another folder in state.dir", err)
	}
	b := &built{}
	var err error
	if b.sealer, err = signin.OpenSealer(s.KeysFile(), s.Session.Keys == ""); err != nil {
		return nil, err
	}
	var list []hosts.Host
	if s.Local.Socket != "" {
		host, err := local(s)
		if err != nil {
			return nil, err
		}
		list = append(list, host)
	}
	if s.Activity.MiB > 0 {
		if b.activity, err = activity.Open(filepath.Join(s.State.Dir, "activity"), int64(s.Activity.MiB)<<20); err != nil {
			return nil, err
		}
	}
	if b.tickets, err = ticketsFor(s, logger); err != nil {
		return nil, errors.Join(err, b.close())
	}
	c := gate.Config{
		Hosts: list, Access: s.Access, Label: s.OIDC.Label, Version: version.String(),
		Origin: s.Web.Origin, Names: ownNames(), Proxies: settings.Networks(s.Web.Proxies), Metrics: settings.Networks(s.Web.Metrics), HSTS: s.Web.HSTS,
		Pages: web.Pages(), Tickets: b.tickets, Logger: logger,
	}
	if b.activity != nil {
		c.Activity = b.activity
	}
	if s.Fleet() {
		if b.fleet, err = openFleet(ctx, s, logger); err != nil {
			return nil, errors.Join(err, b.close())
		}
		b.fleet.into(&c, s)
	}
	if c.Desk, err = desk(s, b.sealer, c.Directory); err != nil {
		return nil, errors.Join(err, b.close())
	}
	b.gate, err = gate.New(c)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// desk is where people sign in. Gates of a fleet tell each other who has, by its bus.
func desk(s *settings.Settings, sealer *signin.Sealer, fleet hosts.Directory) (*signin.Desk, error) {
	board, shared := fleet.(signin.Board)
	if !shared {
		var err error
		if board, err = signin.OpenBoard(filepath.Join(s.State.Dir, "signed-in"), time.Now()); err != nil {
			return nil, err
		}
	}
	ended, err := signin.OpenEnded(filepath.Join(s.State.Dir, "signed-out"), time.Now())
	if err != nil {
		return nil, err
	}
	c := signin.Config{
		Sealer: sealer, Ended: ended, Board: board, Idle: s.Session.Idle, Longest: s.Session.Longest, BindAddress: s.Session.BindAddress,
		Secure: s.TLS.On || strings.HasPrefix(s.Web.Origin, "https://"),
	}
	if s.Accounts.File != "" {
		c.Accounts = &signin.Accounts{Path: s.Accounts.File}
	}
	if s.Header.Name != "" {
		c.Header = &signin.Header{Name: s.Header.Name, Groups: s.Header.Groups, FullName: s.Header.FullName, From: settings.Networks(s.Header.From), SignedOut: s.Header.SignedOut}
	}
	if s.Tokens.File != "" {
		c.Tokens = &signin.Tokens{Path: s.Tokens.File}
	}
	if s.OIDC.Issuer != "" {
		if c.OIDC, err = provider(s); err != nil {
			return nil, err
		}
	}
	return signin.New(c), nil
}

// provider is the OpenID provider. It isn't spoken to before somebody signs in.
func provider(s *settings.Settings) (*signin.OIDC, error) {
	o := &signin.OIDC{
		Issuer: s.OIDC.Issuer, ClientID: s.OIDC.ClientID, Origin: s.Web.Origin, Scopes: s.OIDC.Scopes,
		NameClaim: s.OIDC.NameClaim, GroupsClaim: s.OIDC.GroupsClaim, ProviderExit: s.OIDC.ProviderExit,
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost = 16
	if s.OIDC.CAFile != "" {
		data, err := os.ReadFile(s.OIDC.CAFile)
		if err != nil {
			return nil, fmt.Errorf("oidc.ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("oidc.ca: %s has no certificate in PEM", s.OIDC.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	o.Client = &http.Client{Transport: agent{transport}, Timeout: 15 * time.Second}
	if s.OIDC.SecretFile != "" {
		secret, err := signin.ReadSecret(s.OIDC.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("oidc.client_secret_file: %w", err)
		}
		o.Secret = secret
	}
	return o, nil
}

// local is this machine's host.
func local(s *settings.Settings) (*hosts.Local, error) {
	name := s.Local.Name
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil || name == "" {
			return nil, fmt.Errorf("local.name: this machine doesn't know its name (%w): set local.name", err)
		}
	}
	return &hosts.Local{Client: api.Client{Socket: s.Local.Socket}, Called: name, Address: s.Local.Address, CAFile: s.Local.CAFile}, nil
}

// ownNames is what this machine is called, without asking anybody.
func ownNames() []string {
	name, err := os.Hostname()
	if err != nil {
		return nil
	}
	short, _, _ := strings.Cut(name, ".")
	return []string{name, short}
}

// listen opens the port, with TLS if it is on.
func listen(s *settings.Settings, logger zerolog.Logger) (net.Listener, error) {
	var config *tls.Config
	if s.TLS.On {
		store := &tlsstore.Store{Dir: s.TLS.Dir, Strict: s.TLS.Strict}
		warn := func(pair *tlsstore.Pair) {
			for _, f := range pair.Findings {
				logger.Warn().Str("certificate", pair.CertFile).Msg(f.String())
			}
		}
		store.OnLoad = warn
		store.OnReload = func(pair *tlsstore.Pair, err error) {
			if err != nil {
				logger.Error().Err(err).Msg("the changed certificate can't be used; the one from before stays in use")
				return
			}
			logger.Info().Str("certificate", pair.CertFile).Msg("the changed certificate is in use")
			warn(pair)
		}
		var err error
		if config, err = store.TLSConfig(hostOf(s)); err != nil {
			return nil, err
		}
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	ln, err := net.Listen("tcp", s.Web.Listen)
	if err != nil {
		return nil, fmt.Errorf("web.listen: %w", err)
	}
	if config == nil {
		return ln, nil
	}
	return tls.NewListener(&wsproxy.Listener{Listener: ln}, config), nil
}

// hostOf is the name that browsers call the gate by; empty: it isn't known.
func hostOf(s *settings.Settings) string {
	_, rest, _ := strings.Cut(s.Web.Origin, "://")
	host, _, err := net.SplitHostPort(rest)
	if err != nil {
		return rest
	}
	return host
}

// heed does what hangups ask for, until ctx ends or stop is called.
func heed(ctx context.Context, hangups <-chan os.Signal, b *built, logger zerolog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-hangups:
				if err := b.sealer.Reload(); err != nil {
					logger.Error().Err(err).Msg("SIGHUP: the old keys stay in use")
					continue
				}
				logger.Info().Msg("SIGHUP: reread the cookies' keys; changed settings take effect after a restart")
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

// announce says what an operator should know.
func (p *program) announce(s *settings.Settings, b *built, at net.Addr, logger zerolog.Logger) {
	if os.Geteuid() == 0 && p.ready == nil {
		logger.Warn().Msg("shadowgate does not need root; run it under its unit's account")
	}
	if s.Accounts.File != "" {
		accounts := &signin.Accounts{Path: s.Accounts.File}
		switch err := accounts.Check(); {
		case errors.Is(err, fs.ErrNotExist):
			logger.Warn().Str("file", s.Accounts.File).Msg("there are no accounts: make one with shadowgate passwd --groups " + settings.Administrators + " NAME")
		case err != nil:
			logger.Error().Err(err).Msg("nobody can sign in with a password until this is fixed")
		}
	}
	if len(s.Access) == 0 {
		logger.Warn().Msg("there is no [[access]], so nobody has any rights")
	}
	for _, w := range warnings(s) {
		logger.Warn().Msg(w)
	}
	origin := s.Web.Origin
	if origin == "" {
		scheme := map[bool]string{true: "https", false: "http"}[s.TLS.On]
		origin = scheme + "://" + at.String()
	}
	logger.Info().Str("version", version.String()).Str("address", origin).Msg("ready")
	if p.ready != nil {
		p.ready(origin)
	}
}

// check says whether shadowgate would start, and what would refuse everybody.
func (p *program) check(s *settings.Settings) error {
	var wrong []error
	if s.Accounts.File != "" {
		if err := (&signin.Accounts{Path: s.Accounts.File}).Check(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			wrong = append(wrong, err)
		}
	}
	if _, err := (&signin.Tokens{Path: s.Tokens.File}).List(); s.Tokens.File != "" && err != nil {
		wrong = append(wrong, err)
	}
	if s.OIDC.Issuer != "" {
		if _, err := provider(s); err != nil {
			wrong = append(wrong, err)
		}
	}
	if s.TLS.On {
		if _, err := (&tlsstore.Store{Dir: s.TLS.Dir, Strict: s.TLS.Strict}).TLSConfig(hostOf(s)); err != nil {
			wrong = append(wrong, err)
		}
	}
	if o, err := ticketsFor(s, zerolog.Nop()); err != nil {
		wrong = append(wrong, err)
	} else if o != nil {
		o.Close()
	}
	if _, err := local(s); err != nil {
		wrong = append(wrong, err)
	}
	wrong = append(wrong, checkKeys(s)...)
	address := netip.MustParseAddrPort(s.Web.Listen).Addr()
	if ln, err := net.Listen("tcp", netip.AddrPortFrom(address, 0).String()); err != nil {
		wrong = append(wrong, fmt.Errorf("web.listen: %w", err))
	} else {
		_ = ln.Close()
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	for _, w := range warnings(s) {
		if _, err := fmt.Fprintf(p.stdout, "%s: warning: %s\n", p.config, w); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(p.stdout, "%s: fine\n", p.config)
	return err
}

// handedOver is where systemd puts credentials when it starts a service.
const handedOver = "/run/credentials/"

// checkKeys finds what is wrong with the keys of cookies and of the fleet. Those that the start makes, or
// that systemd hands over at the start, needn't be there.
func checkKeys(s *settings.Settings) (wrong []error) {
	add := func(err error, path string, made bool) {
		absent := errors.Is(err, fs.ErrNotExist) && (made || strings.HasPrefix(path+"/", handedOver))
		if err != nil && !absent {
			wrong = append(wrong, err)
		}
	}
	_, err := signin.OpenSealer(s.KeysFile(), false)
	add(err, s.KeysFile(), s.Session.Keys == "")
	if !s.Fleet() {
		return wrong
	}
	_, err = bus.OpenKeys(s.BusKeys(), false)
	add(err, s.BusKeys(), s.Bus.Listen != "" && s.Bus.Keys == "")
	_, err = busCA(s)
	add(err, s.Bus.CAFile, false)
	if s.Bus.Listen != "" && s.Bus.TLS && !s.TLS.On { // else that is looked at already
		_, err = (&tlsstore.Store{Dir: s.TLS.Dir, Strict: s.TLS.Strict}).TLSConfig(hostOf(s))
		add(err, s.TLS.Dir, false)
	}
	return wrong
}

// An agent puts this program's name into its requests.
type agent struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (a agent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "shadowgate/"+version.String())
	return a.RoundTripper.RoundTrip(r)
}
