package websockify

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"vda.internal/shadow/cmd/websockify/internal/token"
	"vda.internal/shadow/rfb"
)

// A viewer is the relay of --view-only. It greets each target in the way that the options and
// the token plugin say.
type viewer struct{ s *server }

// Run implements wsproxy.Relay.
func (v viewer) Run(ctx context.Context, conn, target net.Conn) error {
	ss := ctx.Value(sessionKey{}).(*session)
	client, err := v.s.greeter(ss.target)
	if err != nil {
		target.Close()
		return err
	}
	if v.s.o.targetProxyProtocol == "" { // else a connection has to begin with who the client is
		client.Redial = func(ctx context.Context) (net.Conn, error) { return v.s.reach(ctx, ss) }
	}
	if ss.file != nil {
		conn = ss.file.TapViewer(conn)
	}
	relay := &rfb.Relay{OnDrop: v.s.metrics.drop, Client: client, AskViewer: true}
	return relay.Run(ctx, conn, target)
}

// greeter is how a target is greeted. The token plugin's password counts before the file's,
// which is read at every session: a new one counts from the next on.
func (s *server) greeter(t token.Target) (*rfb.Client, error) {
	c := &rfb.Client{Username: s.o.targetUser, Password: t.Password}
	if t.User != "" {
		c.Username = t.User
	}
	if c.Password == "" && s.o.targetPasswordFile != "" {
		var err error
		if c.Password, err = firstLine(s.o.targetPasswordFile); err != nil {
			return nil, fmt.Errorf("--target-password-file: %w", err)
		}
	}
	if (s.o.sslTargetCAFile != "" || s.o.sslTargetName != "" || s.o.sslTargetInsecure) && !s.target.on {
		var err error
		if c.TLS, err = s.target.config(t.Host); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// firstLine is the first line of a file; there must be something in it.
func firstLine(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan()
	line := strings.TrimSuffix(lines.Text(), "\r")
	if err := lines.Err(); err != nil {
		return "", err
	}
	if line == "" {
		return "", errors.New("its first line is empty")
	}
	return line, nil
}
