package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
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

// Dial is a [shadow.Source] for a running RFB server: it connects to Network and Address whatever
// the session. Only root on this host may be able to reach a server without a password.
type Dial struct {
	Network string        // "tcp" or "unix"
	Address string        // "127.0.0.1:5900", or a path
	Timeout time.Duration // for connecting; 0 means 5 s

	// PasswordFile has the server's password in its first line; User is the user name, if the
	// server requires one besides. Empty: none. The file is read at every Open.
	User, PasswordFile string

	// CAFile is a PEM file with the CA certificates to verify the server's certificate, empty: the
	// system's; ServerName is the host name expected in it, empty: the host of Address. If either is
	// set, only VeNCrypt's X509 types are used, and else what [rfb.Client] takes of a server that proves nothing.
	CAFile, ServerName string

	// Sessions lists the host's sessions. The server always shows the same screen, whichever
	// session is requested, so Check refuses if sessions of more than one screen exist, and a view ends
	// when there is another: one user's Yes must not show another's screen. Nil: the caller must ensure this.
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
	return nil, pkg.Errorf("dial address %q is neither tcp:HOST:PORT nor unix:/PATH", s)
}

// Validate returns an error if a field of d is invalid.
func (d *Dial) Validate() error {
	switch {
	case d.Network == "" || d.Address == "":
		return pkg.New("the dial source has no address")
	case d.Network != "tcp" && d.Network != "unix":
		return pkg.Errorf("the dial source's network is %q, and neither tcp nor unix", d.Network)
	case d.Timeout < 0:
		return pkg.New("the dial source's timeout is negative")
	}
	_, err := d.client()
	return err
}

// client is how the server is greeted.
func (d *Dial) client() (*rfb.Client, error) {
	c := &rfb.Client{Username: d.User, Redial: d.dial}
	if d.PasswordFile != "" {
		b, err := readFile(d.PasswordFile)
		if err != nil {
			return nil, pkg.Errorf("the dial source's password: %w", err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		if c.Password = strings.TrimSuffix(line, "\r"); c.Password == "" {
			return nil, pkg.Errorf("the dial source's password: the first line of %s is empty", d.PasswordFile)
		}
	}
	if d.CAFile == "" && d.ServerName == "" {
		return c, nil
	}
	c.TLS = &tls.Config{ServerName: d.ServerName, MinVersion: tls.VersionTLS12}
	if d.ServerName == "" {
		host, _, err := net.SplitHostPort(d.Address)
		if err != nil {
			return nil, pkg.New("the dial source needs the name in its server's certificate")
		}
		c.TLS.ServerName = host
	}
	if d.CAFile != "" {
		b, err := readFile(d.CAFile)
		if err != nil {
			return nil, pkg.Errorf("the dial source's authorities: %w", err)
		}
		c.TLS.RootCAs = x509.NewCertPool()
		if !c.TLS.RootCAs.AppendCertsFromPEM(b) {
			return nil, pkg.Errorf("%s has no certificate in PEM", d.CAFile)
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

// Check returns nil if the server can only be showing s, and it accepts the login. Check logs in as
// Open does and disconnects before ClientInit, so a server that accepts only one connection in its
// lifetime can't be used.
func (d *Dial) Check(ctx context.Context, s *shadow.Session) error {
	if err := d.fits(ctx, s); err != nil {
		return err
	}
	client, err := d.client()
	if err != nil {
		return err
	}
	conn, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := client.Probe(ctx, conn); err != nil {
		return pkg.Errorf("%w", err)
	}
	leave(conn)
	return nil
}

// leaveTime is how long a server may take to notice that somebody has left.
const leaveTime = time.Second

// leave returns when the server has noticed, or hasn't in time: one that lets in a single connection at a
// time would refuse the next.
func leave(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(leaveTime)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, conn)
}

// fits reports whether d can be used for s, and its server can be showing s, and no other session.
func (d *Dial) fits(ctx context.Context, s *shadow.Session) error {
	if err := allMonitors(s, "a server that is dialled"); err != nil {
		return err
	}
	if err := d.Validate(); err != nil {
		return err
	}
	return d.Fits(ctx, s)
}

// Fits implements [shadow.Fitter]. A session of another screen than s's is an *[shadow.End]; any other error
// means that Sessions doesn't say whether there is one.
func (d *Dial) Fits(ctx context.Context, s *shadow.Session) error {
	if d.Sessions == nil {
		return nil
	}
	all, err := d.Sessions.Sessions(ctx)
	if err != nil {
		return pkg.Errorf("the sessions that %s may show: %w", d.Address, err)
	}
	var screens []string
	if s != nil && s.Display != "" {
		screens = append(screens, s.Screen())
	}
	listed := s == nil || s.ID == ""
	var unclear []*shadow.Session // of which nobody knows the screen
	for _, other := range all {
		own := s != nil && s.ID != "" && other.ID == s.ID
		switch r := other.Refusal(); {
		case own && isSame(other, s):
			listed = true
		case r != nil && r.Reason == shadow.SessionEnded, hasNobody(other):
		case other.Unavailable != nil && other.Display == "" && (own || r.Reason != shadow.NoUser): // root and who has no account are somebody, too
			listed = listed || own
			unclear = append(unclear, other)
		case !slices.Contains(screens, other.Screen()):
			screens = append(screens, other.Screen())
		}
	}
	switch {
	case len(screens) > 1:
		return &shadow.End{Reason: shadow.SourceFailed, Detail: fmt.Sprintf(
			"%s shows one of %d sessions, and cannot say which: with several sessions the source must be x11", d.Address, len(screens))}
	case len(unclear) > 0 && len(screens)+len(unclear) > 1:
		return pkg.Errorf("%s shows one of %d sessions, and one of them isn't known well enough: %s",
			d.Address, len(screens)+len(unclear), cmp.Or(unclear[0].Unavailable.Detail, unclear[0].Unavailable.Reason.Sentence()))
	case !listed:
		return &shadow.End{Reason: shadow.SessionEnded, Detail: "it is no longer listed, or its id belongs to another session now"}
	}
	return nil
}

// isSame reports whether other, which has s's id, is s, or of that nothing is known.
func isSame(other, s *shadow.Session) bool {
	if other.Unavailable != nil && other.Unavailable.Reason != shadow.NoUser {
		return other.Display == "" || other.Screen() == s.Screen()
	}
	return other.Unavailable == nil && other.UID == s.UID && other.Screen() == s.Screen()
}

// hasNobody reports whether no user can be seen in a session. One whose resolver says that its user can't be shadowed, as root or
// somebody without an account, has a user.
func hasNobody(s *shadow.Session) bool {
	return s.IsNobodys() || s.Unavailable == nil && s.User == ""
}

// Open connects and completes the handshake up to authentication; it returns an [rfb.ServerConn].
// The error wraps [rfb.ErrPassword], [rfb.ErrRefused], [rfb.ErrTimeout] or [rfb.ErrSecurity] if the
// server was reached.
func (d *Dial) Open(ctx context.Context, s *shadow.Session) (net.Conn, error) {
	if err := d.fits(ctx, s); err != nil {
		return nil, err
	}
	client, err := d.client()
	if err != nil {
		return nil, err
	}
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	greeted, err := client.Connect(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, pkg.Errorf("%w", err)
	}
	return greeted, nil
}

// dial connects to the server.
func (d *Dial) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: cmp.Or(d.Timeout, 5*time.Second)}
	conn, err := dialer.DialContext(ctx, d.Network, d.Address)
	if err != nil {
		return nil, pkg.Errorf("no RFB server: %w", err)
	}
	return conn, nil
}
