package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"

	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/fleet/dial"
	"vda.internal/shadow/internal/fleet/dialout"
	"vda.internal/shadow/internal/fleet/registry"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/fleethosts"
	"vda.internal/shadow/internal/gate/settings"
	"vda.internal/shadow/tlsstore"
)

// A fleetOf is the fleet that the settings describe.
type fleetOf struct {
	keys   *bus.Keys
	server *bus.Server // nil: the servers are somebody else's
	conn   *bus.Conn
	ca     string
}

// openFleet starts the bus, or connects to it. The caller closes it.
func openFleet(ctx context.Context, s *settings.Settings, logger zerolog.Logger) (*fleetOf, error) {
	f := &fleetOf{}
	var err error
	if f.keys, err = bus.OpenKeys(s.BusKeys(), s.Bus.Listen != "" && s.Bus.Keys == ""); err != nil {
		return nil, err
	}
	if f.ca, err = busCA(s); err != nil {
		return nil, err
	}
	to := bus.Target{Servers: s.Bus.Servers, Notice: &dial.Notice{Logger: logger}}
	if s.Bus.Listen != "" {
		if f.server, err = startBus(s, f.keys, logger); err != nil {
			return nil, err
		}
		to.Server = f.server
	} else if to.TLS, err = tlsOf(f.ca); err != nil {
		return nil, err
	}
	if f.conn, err = f.keys.Connect(ctx, gateName(s), to); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *fleetOf) close() {
	if f.conn != nil {
		f.conn.Close()
	}
	if f.server != nil {
		f.server.Close()
	}
}

// into gives a gate the fleet's hosts, their audits, and the place where hosts enrol.
func (f *fleetOf) into(c *gate.Config, s *settings.Settings) {
	o := fleethosts.Options{
		Fleet: f.keys.Fleet(), CAFile: s.Bus.HostCA, Logger: c.Logger,
		Size: bus.Size{AuditBytes: int64(s.Bus.AuditMiB) << 20, Replicas: s.Bus.Replicas},
	}
	o.Revoked = func(list []bus.Revocation) error { return f.keys.KeepRevoked(s.BusDir(), list) }
	if o.Address = cmp.Or(s.Bus.Views, s.Web.Origin); o.Address != "" {
		c.Views = new(dialout.Desk)
		o.Views = c.Views
	}
	if f.server != nil {
		o.Revoked = f.server.Revoke
	}
	d := fleethosts.New(f.conn, o)
	c.Directory = d
	c.Activity = d.Activity(c.Activity)
	r := f.registry(s)
	for _, host := range c.Hosts {
		r.Reserved = host.Name() // the local one
	}
	c.Enrol = r.Handler(c.Logger)
}

func (f *fleetOf) registry(s *settings.Settings) *registry.Registry {
	return &registry.Registry{Conn: f.conn, Keys: f.keys, Servers: busURLs(s), CA: f.ca}
}

// startBus starts the server in this gate.
func startBus(s *settings.Settings, keys *bus.Keys, logger zerolog.Logger) (*bus.Server, error) {
	o := bus.Options{
		Name: gateName(s), Keys: keys, Dir: s.BusDir(), Listen: s.Bus.Listen, Logger: logger,
		Cluster: s.Bus.Cluster, Routes: s.Bus.Routes,
	}
	if s.Bus.TLS {
		config, err := (&tlsstore.Store{Dir: s.TLS.Dir, Strict: s.TLS.Strict}).TLSConfig(hostOf(s))
		if err != nil {
			return nil, fmt.Errorf("bus.tls: %w", err)
		}
		o.TLS = config
	}
	return bus.Start(o)
}

// busCA is what hosts pin; empty: the system's authorities.
func busCA(s *settings.Settings) (string, error) {
	if s.Bus.CAFile == "" {
		return "", nil
	}
	data, err := os.ReadFile(s.Bus.CAFile)
	if err != nil {
		return "", fmt.Errorf("bus.ca: %w", err)
	}
	if _, err := tlsOf(string(data)); err != nil {
		return "", fmt.Errorf("bus.ca: %s: %w", s.Bus.CAFile, err)
	}
	return string(data), nil
}

// tlsOf trusts authorities in PEM; nil: there are none but the system's.
func tlsOf(ca string) (*tls.Config, error) {
	if ca == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(ca)) {
		return nil, errors.New("there is no certificate in PEM")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// gateName is what this gate is called in hosts' audits.
func gateName(s *settings.Settings) string {
	if s.Bus.Name != "" {
		return s.Bus.Name
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "gate"
	}
	return name
}

// busURLs is where hosts are told that the bus is.
func busURLs(s *settings.Settings) []string {
	if len(s.Bus.URLs) > 0 {
		return s.Bus.URLs
	}
	if len(s.Bus.Servers) > 0 {
		return s.Bus.Servers
	}
	scheme := map[bool]string{true: "tls", false: "nats"}[s.Bus.TLS]
	host, port, _ := net.SplitHostPort(s.Bus.Listen)
	if u, err := url.Parse(s.Web.Origin); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	return []string{scheme + "://" + net.JoinHostPort(host, port)}
}

// reach connects to the bus from a command: to the gate that runs on this machine, or to the
// organisation's servers.
func reach(ctx context.Context, s *settings.Settings) (*fleetOf, error) {
	if !s.Fleet() {
		return nil, errors.New("this gate has no fleet: set bus.listen or bus.servers, and start shadowgate")
	}
	f := &fleetOf{}
	var err error
	if f.keys, err = bus.OpenKeys(s.BusKeys(), false); err != nil {
		return nil, fmt.Errorf("%w; has shadowgate run with this configuration, and are you root or its account?", err)
	}
	if f.ca, err = busCA(s); err != nil {
		return nil, err
	}
	to := bus.Target{Servers: s.Bus.Servers, Once: true}
	if s.Bus.Listen != "" {
		to.Dir = s.BusDir()
	} else if to.TLS, err = tlsOf(f.ca); err != nil {
		return nil, err
	}
	if f.conn, err = f.keys.Connect(ctx, gateName(s), to); err != nil {
		return nil, fmt.Errorf("%w; does shadowgate run?", err)
	}
	return f, nil
}
