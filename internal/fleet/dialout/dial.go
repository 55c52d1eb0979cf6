package dialout

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	dialTime  = 10 * time.Second // TLS and the upgrade included
	maxAnswer = 8 << 10          // bytes of the gate's answer
)

// Dial connects to a gate, "https://HOST[:PORT]", with a ticket of its and the proof that the caller is
// whom it is for. config says which authorities
// vouch for the gate; nil: the system's. Plain http is for loopback addresses. The caller closes the connection.
func Dial(ctx context.Context, gate, ticket, proof string, config *tls.Config) (net.Conn, error) {
	u, err := check(gate)
	if err != nil {
		return nil, err
	}
	if !isToken(ticket) || !isToken(proof) {
		return nil, errors.New("the ticket can't be one")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	if u.Scheme == "https" {
		c, err = secure(ctx, c, u.Hostname(), config)
	}
	if err == nil {
		err = upgrade(c, u.Host, ticket, proof)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("%s: %w", gate, err)
	}
	return c, nil
}

// isToken reports whether s can stand in a header.
func isToken(s string) bool {
	return len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// check reads a gate's address.
func check(gate string) (*url.URL, error) {
	u, err := url.Parse(gate)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%.80q isn't a gate's address", gate)
	}
	a, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !a.Unmap().IsLoopback()) {
		return nil, fmt.Errorf("%s: a view travels over https only", gate)
	}
	return u, nil
}

func secure(ctx context.Context, c net.Conn, name string, config *tls.Config) (net.Conn, error) {
	own := &tls.Config{}
	if config != nil {
		own = config.Clone()
	}
	own.ServerName, own.MinVersion, own.NextProtos = name, tls.VersionTLS12, []string{"http/1.1"}
	secured := tls.Client(c, own)
	return secured, secured.HandshakeContext(ctx)
}

// upgrade shows the ticket and the proof. It reads nothing of what comes behind the answer.
func upgrade(c net.Conn, host, ticket, proof string) error {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %s\r\n%s: %s\r\n\r\n", Path, host, protocol, ticketHeader, ticket, proofHeader, proof); err != nil {
		return err
	}
	var answer strings.Builder
	for one := make([]byte, 1); !strings.HasSuffix(answer.String(), "\r\n\r\n"); answer.Write(one) {
		if answer.Len() >= maxAnswer {
			return errors.New("its answer is too long")
		}
		if _, err := io.ReadFull(c, one); err != nil {
			return err
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer.String())), nil)
	if err != nil {
		return errors.New("it gave no HTTP answer")
	}
	if resp.StatusCode != http.StatusSwitchingProtocols || !strings.EqualFold(resp.Header.Get("Upgrade"), protocol) {
		return fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return nil
}
