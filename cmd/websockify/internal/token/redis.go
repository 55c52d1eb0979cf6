package token

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// redisPatience bounds a lookup in Redis whose context has no earlier end.
const redisPatience = 10 * time.Second

// A redis is a Redis server in which the token, or "namespace:token", is the
// key of a target: "host:port", or JSON {"host": "host:port"}.
type redis struct {
	host, port          string
	db                  int
	password, namespace string
}

// newRedis takes "host[:port[:db[:password[:namespace]]]]". A part may be in
// double quotes to have colons in it; an empty one means the default.
func newRedis(source string) (Source, error) {
	parts, err := splitQuoted(source)
	if err != nil || len(parts) > 5 || parts[0] == "" {
		return nil, fmt.Errorf("token: --token-source of TokenRedis must be host[:port[:db[:password[:namespace]]]]")
	}
	parts = append(parts, make([]string, 5-len(parts))...)
	db, err := strconv.Atoi(cmp.Or(parts[2], "0"))
	if err != nil || db < 0 {
		return nil, fmt.Errorf("token: Redis database %q isn't a number", parts[2])
	}
	return &redis{parts[0], cmp.Or(parts[1], "6379"), db, parts[3], parts[4]}, nil
}

// splitQuoted splits at colons outside double quotes, which it takes off.
func splitQuoted(s string) ([]string, error) {
	parts, quoted := []string{""}, false
	for _, r := range s {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ':' && !quoted:
			parts = append(parts, "")
		default:
			parts[len(parts)-1] += string(r)
		}
	}
	if quoted {
		return nil, errors.New("token: a quote isn't closed")
	}
	return parts, nil
}

// Lookup implements Source. Each lookup has a connection of its own.
func (r *redis) Lookup(ctx context.Context, token string) (Target, error) {
	value, err := r.get(ctx, token)
	switch {
	case errors.Is(err, ErrUnknown):
		return Target{}, err
	case err != nil:
		return Target{}, fmt.Errorf("token: Redis: %w", err)
	}
	if strings.HasPrefix(strings.TrimSpace(value), "{") {
		var v struct {
			Host     string `json:"host"`
			User     string `json:"user"`
			Password string `json:"password"`
		}
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			return Target{}, fmt.Errorf("token: Redis: %w", err)
		}
		t, err := ParseTarget(v.Host)
		t.User, t.Password = v.User, v.Password
		return t, err
	}
	return ParseTarget(value)
}

func (r *redis) get(ctx context.Context, token string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(r.host, r.port))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	key := token
	if r.namespace != "" {
		key = r.namespace + ":" + token
	}
	var commands [][]string
	if r.password != "" {
		commands = append(commands, []string{"AUTH", r.password})
	}
	if r.db != 0 {
		commands = append(commands, []string{"SELECT", strconv.Itoa(r.db)})
	}
	commands = append(commands, []string{"GET", key})

	br := bufio.NewReader(io.LimitReader(conn, maxAnswer))
	reply := ""
	for _, c := range commands {
		if _, err := conn.Write(appendCommand(nil, c)); err != nil {
			return "", err
		}
		if reply, err = readReply(br); err != nil {
			return "", err
		}
	}
	return reply, nil
}

// appendCommand writes a command in Redis's protocol, RESP 2.
func appendCommand(b []byte, words []string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b
}

// readReply reads a simple or a bulk string. Null is ErrUnknown.
func readReply(br *bufio.Reader) (string, error) {
	line, err := br.ReadSlice('\n')
	if err != nil {
		return "", unexpected(err)
	}
	kind, text := line[0], strings.TrimRight(string(line[1:]), "\r\n")
	switch kind {
	case '+':
		return text, nil
	case '-':
		return "", fmt.Errorf("%s", text)
	case '$':
	default:
		return "", fmt.Errorf("unexpected reply %q", line)
	}
	n, err := strconv.Atoi(text)
	switch {
	case err == nil && n == -1:
		return "", ErrUnknown
	case err != nil || n < 0 || n > maxAnswer:
		return "", fmt.Errorf("unexpected length %q", text)
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(br, b); err != nil {
		return "", unexpected(err)
	}
	if b[n] != '\r' || b[n+1] != '\n' {
		return "", errors.New("a string has no end")
	}
	return string(b[:n]), nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
