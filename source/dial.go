package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/rfb"
)

// Dial is a [shadow.Source] for RFB servers that run already: it connects to Network and
// Address whatever the session. A server without a password must be where only
// this host's root can reach it.
type Dial struct {
	Network string        // "tcp" or "unix"
	Address string        // "127.0.0.1:5900", or a path
	Timeout time.Duration // for connecting; 0 means 5 s

	// PasswordFile has the server's password in its first line, and User is the
	// one that goes with it where the server wants both. Empty: there is none.
	// The file is read at every Open.
	User, PasswordFile string

	// CAFile has the authorities, in PEM, that may vouch for the server's
	// certificate, and ServerName is the certificate's; empty: the host of
	// Address. With either of them set VeNCrypt's X509 types are preferred to what
	// is in clear text.
	CAFile, ServerName string

	// Sessions are the host's. The server shows what it shows, whichever session
	// is asked for, so with more than one user's session Check refuses: one
	// user's Yes must not show another's screen. Nil leaves that to the caller.
	Sessions shadow.Resolver
}

// ParseDial reads the configuration's form, "tcp:127.0.0.1:5900" or
// "unix:/path".
func ParseDial(s string) (*Dial, error) {
	network, address, ok := strings.Cut(s, ":")
	if ok && network == "tcp" {
		if _, _, err := net.SplitHostPort(address); err == nil {
			return &Dial{Network: network, Address: address}, nil
		}
	}
	if ok && network == "unix" && strings.HasPrefix(address, "/") {
		return &Dial{Network: network, Address: address}, nil
	}
	return nil, fmt.Errorf("source: dial address %q is neither tcp:HOST:PORT nor unix:/PATH", s)
}

// Validate says what is wrong with d, or returns nil.
func (d *Dial) Validate() error {
	switch {
	case d.Network == "" || d.Address == "":
		return errors.New("source: the dial source has no address")
	case d.Network != "tcp" && d.Network != "unix":
		return fmt.Errorf("source: the dial source's network is %q, and neither tcp nor unix", d.Network)
	case d.Timeout < 0:
		return errors.New("source: the dial source's timeout is negative")
	}
	_, err := d.client()
	return err
}

// client is how the server is greeted; nil: as one without a password.
func (d *Dial) client() (*rfb.Client, error) {
	c := &rfb.Client{Username: d.User}
	if d.PasswordFile != "" {
		b, err := readFile(d.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("source: the dial source's password: %w", err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		if c.Password = strings.TrimSuffix(line, "\r"); c.Password == "" {
			return nil, fmt.Errorf("source: the dial source's password: the first line of %s is empty", d.PasswordFile)
		}
	}
	if d.CAFile == "" && d.ServerName == "" {
		return c, nil
	}
	c.TLS = &tls.Config{ServerName: d.ServerName, MinVersion: tls.VersionTLS12}
	if d.ServerName == "" {
		host, _, err := net.SplitHostPort(d.Address)
		if err != nil {
			return nil, errors.New("source: the dial source needs the name in its server's certificate")
		}
		c.TLS.ServerName = host
	}
	if d.CAFile != "" {
		b, err := readFile(d.CAFile)
		if err != nil {
			return nil, fmt.Errorf("source: the dial source's authorities: %w", err)
		}
		c.TLS.RootCAs = x509.NewCertPool()
		if !c.TLS.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("source: %s has no certificate in PEM", d.CAFile)
		}
	}
	return c, nil
}

// readFile reads a file that somebody has written: not one without an end.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 4<<20))
}

// Check reports whether d has an address, and whether there is but one session
// that its server can be showing. Whether a server answers is seen by Open.
func (d *Dial) Check(ctx context.Context, s *shadow.Session) error {
	if err := allMonitors(s, "a server that is dialled"); err != nil {
		return err
	}
	if err := d.Validate(); err != nil {
		return err
	}
	if d.Sessions == nil {
		return nil
	}
	all, err := d.Sessions.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("source: the sessions that %s may show: %w", d.Address, err)
	}
	var screens []string
	for _, s := range all {
		if r := s.Refusal(); r != nil && (r.Reason == shadow.NoUser || r.Reason == shadow.SessionEnded) {
			continue
		}
		if !slices.Contains(screens, s.Screen()) {
			screens = append(screens, s.Screen())
		}
	}
	if len(screens) > 1 {
		return fmt.Errorf("source: %s shows one of %d sessions, nobody knows which: with several sessions the source must be x11", d.Address, len(screens))
	}
	return nil
}

// Open connects, and greets the server: what it returns is an [rfb.ServerConn].
// The error wraps [rfb.ErrPassword], [rfb.ErrRefused], [rfb.ErrTimeout] or
// [rfb.ErrSecurity] if the server was reached.
func (d *Dial) Open(ctx context.Context, s *shadow.Session) (net.Conn, error) {
	if err := d.Check(ctx, s); err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: d.Timeout}
	if d.Timeout == 0 {
		dialer.Timeout = 5 * time.Second
	}
	conn, err := dialer.DialContext(ctx, d.Network, d.Address)
	if err != nil {
		return nil, fmt.Errorf("source: no RFB server: %w", err)
	}
	client, err := d.client()
	if err != nil {
		conn.Close()
		return nil, err
	}
	greeted, err := client.Connect(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("source: %w", err)
	}
	return greeted, nil
}
