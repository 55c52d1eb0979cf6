package hosts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"vda.internal/shadow/internal/api"
)

// Local is the shadowd of this machine, behind its control socket.
type Local struct {
	Client  api.Client
	Called  string // its name in the gate
	Address string // IP address of its granted ports; empty: those of the name that it gives, as far as they are this machine's
	CAFile  string // authorities in PEM that may vouch for its certificate; empty: the system's
}

var _ Host = (*Local)(nil)

// Name implements [Host].
func (l *Local) Name() string { return l.Called }

// Sessions implements [Host].
func (l *Local) Sessions(ctx context.Context) ([]api.Session, error) { return l.Client.Sessions(ctx) }

// Shadows implements [Host].
func (l *Local) Shadows(ctx context.Context) ([]api.Status, error) { return l.Client.List(ctx) }

// Rules implements [Host].
func (l *Local) Rules(ctx context.Context) ([]api.Rule, error) { return l.Client.Rules(ctx) }

// TestRules implements [Host].
func (l *Local) TestRules(ctx context.Context, r api.Request) (*api.Verdict, error) {
	return l.Client.TestRules(ctx, r)
}

// Terms implements [Host].
func (l *Local) Terms(ctx context.Context) (api.Terms, error) { return l.Client.Terms(ctx) }

// Ask implements [Host].
func (l *Local) Ask(ctx context.Context, r api.Request) (*api.Grant, error) {
	return l.Client.Shadow(ctx, r)
}

// Stop implements [Host].
func (l *Local) Stop(ctx context.Context, id string) error { return l.Client.Stop(ctx, id) }

// Follow implements [Host].
func (l *Local) Follow(ctx context.Context) (Stream, error) {
	s, err := l.Client.Events(ctx)
	if err != nil {
		return nil, err // not a nil *EventStream in an interface
	}
	return s, nil
}

const dialTimeout = 5 * time.Second // for one address, TLS included

// Dial implements [Host].
func (l *Local) Dial(ctx context.Context, t Target) (net.Conn, error) {
	addresses, err := l.addresses(ctx, t.Host)
	if err != nil {
		return nil, err
	}
	var all error
	for _, a := range addresses {
		c, err := DialAddress(ctx, a, t, l.CAFile)
		if err == nil {
			return c, nil
		}
		all = errors.Join(all, err)
	}
	return nil, fmt.Errorf("%s, port %s: %w", l.Called, strconv.Itoa(t.Port), all)
}

// DialAddress connects to a target's port at an address, TLS included. caFile has the authorities that may
// vouch for the certificate, in PEM; empty: the system's.
func DialAddress(ctx context.Context, at netip.Addr, t Target, caFile string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(at, uint16(t.Port)).String())
	if err != nil {
		return nil, err
	}
	return Secure(ctx, c, t, caFile)
}

// Secure is c, a connection to a target's port, under TLS if that is on there. It closes c if that fails.
func Secure(ctx context.Context, c net.Conn, t Target, caFile string) (net.Conn, error) {
	if !t.TLS {
		return c, nil
	}
	pool, err := authorities(caFile)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	secured := tls.Client(c, &tls.Config{ServerName: t.Host, RootCAs: pool, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return secured, nil
}

// authorities reads a file anew, so that a renewed one counts from the next view on. Nil is the
// system's.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return pool, nil
}

// addresses are those of this machine that host means. The granted port is on this machine, so a
// name that leads elsewhere isn't followed; what is checked is what is dialled.
func (l *Local) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if l.Address != "" {
		a, err := netip.ParseAddr(l.Address)
		return []netip.Addr{a}, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("where the granted port is: %w; set local.address", err)
	}
	own, err := ownAddresses()
	if err != nil {
		return nil, fmt.Errorf("this machine's addresses: %w", err)
	}
	var here []netip.Addr
	for _, a := range found {
		if a = a.Unmap().WithZone(""); a.IsLoopback() || slices.Contains(own, a) {
			here = append(here, a)
		}
	}
	if len(here) == 0 {
		return nil, fmt.Errorf("shadowd says that the granted port is at %s, which isn't this machine; set local.address", host)
	}
	slices.SortFunc(here, netip.Addr.Compare) // a viewer that returns has to come from the same address
	return here, nil
}

func ownAddresses() ([]netip.Addr, error) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var all []netip.Addr
	for _, a := range found {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Addr().Unmap())
		}
	}
	return all, nil
}
