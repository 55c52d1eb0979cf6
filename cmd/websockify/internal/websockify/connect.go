package websockify

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"vda.internal/shadow/cmd/websockify/internal/tlsport"
	"vda.internal/shadow/cmd/websockify/internal/token"
)

// connect dials a target. IPv4 comes before IPv6, as in the Python program,
// which then stops; here each address has its turn.
func (s *server) connect(ctx context.Context, t token.Target) (net.Conn, error) {
	start := time.Now()
	var conn net.Conn
	var err error
	if s.program != nil {
		conn, err = s.reachProgram(ctx, t)
	} else {
		conn, err = dialTarget(ctx, new(net.Dialer), t)
	}
	if err == nil && s.target.on {
		conn, err = s.target.handshake(ctx, conn, t.Host)
	}
	s.metrics.dialed(time.Since(start), err)
	return conn, err
}

func dialTarget(ctx context.Context, d *net.Dialer, t token.Target) (net.Conn, error) {
	if ip, ok := parseIPv4(t.Host); ok {
		t.Host = ip.String()
	}
	network, address := t.Address()
	if network == "unix" {
		return d.DialContext(ctx, network, address)
	}
	// A host without IPv4 shows at once, so that IPv6 has all of the time then.
	first := ctx
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		first, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	conn, err4 := d.DialContext(first, "tcp4", address)
	if err4 == nil {
		return conn, nil
	}
	conn, err6 := d.DialContext(ctx, "tcp6", address)
	if err6 == nil {
		return conn, nil
	}
	if hasNoAddress(err6) {
		return nil, err4
	}
	if hasNoAddress(err4) {
		return nil, err6
	}
	return nil, fmt.Errorf("%w; %w", err4, err6)
}

// hasNoAddress: the host has no address of the family that was dialled.
func hasNoAddress(err error) bool {
	if _, ok := errors.AsType[*net.AddrError](err); ok {
		return true
	}
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

// A targetTLS is how the target's certificate is verified.
type targetTLS struct {
	on       bool
	caFile   string // empty: the system's authorities
	name     string // that the certificate must have; empty: the target's host
	insecure bool
}

// check reads the file of authorities, to fail early.
func (t targetTLS) check() error {
	_, err := t.config("")
	return err
}

// config is for a target's host, of which one on a unix socket has none but this machine.
func (t targetTLS) config(host string) (*tls.Config, error) {
	config := &tls.Config{ServerName: cmp.Or(t.name, host, "localhost"), InsecureSkipVerify: t.insecure, MinVersion: tls.VersionTLS12}
	if t.caFile == "" {
		return config, nil
	}
	b, err := os.ReadFile(t.caFile)
	if err != nil {
		return nil, fmt.Errorf("--ssl-target-cafile: %w", err)
	}
	if config.RootCAs, err = tlsport.Authorities(t.caFile, b); err != nil {
		return nil, fmt.Errorf("--ssl-target-cafile: %w", err)
	}
	return config, nil
}

// handshake makes conn a TLS connection.
func (t targetTLS) handshake(ctx context.Context, conn net.Conn, host string) (net.Conn, error) {
	config, err := t.config(host)
	if err == nil {
		secure := tls.Client(conn, config)
		if err = secure.HandshakeContext(ctx); err == nil {
			return secure, nil
		}
	}
	conn.Close()
	return nil, err
}

// tlsVersions are the choices of --ssl-version.
var tlsVersions = map[string]uint16{
	"default": tls.VersionTLS12,
	"tlsv1_1": tls.VersionTLS11,
	"tlsv1_2": tls.VersionTLS12,
	"tlsv1_3": tls.VersionTLS13,
}
