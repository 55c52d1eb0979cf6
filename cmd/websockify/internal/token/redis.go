package token

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	server "vda.internal/shadow/internal/redis"
)

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
		return nil, fmt.Errorf("--token-source of TokenRedis must be host[:port[:db[:password[:namespace]]]]")
	}
	parts = append(parts, make([]string, 5-len(parts))...)
	db, err := strconv.Atoi(cmp.Or(parts[2], "0"))
	if err != nil || db < 0 {
		return nil, fmt.Errorf("the Redis database %q isn't a number", parts[2])
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
		return nil, errors.New("a quote isn't closed")
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
		return Target{}, fmt.Errorf("from Redis: %w", err)
	}
	if strings.HasPrefix(strings.TrimSpace(value), "{") {
		var v struct {
			Host     string `json:"host"`
			User     string `json:"user"`
			Password string `json:"password"`
		}
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			return Target{}, fmt.Errorf("from Redis: %w", err)
		}
		t, err := ParseTarget(v.Host)
		t.User, t.Password = v.User, v.Password
		return t, err
	}
	return ParseTarget(value)
}

func (r *redis) get(ctx context.Context, token string) (string, error) {
	key := token
	if r.namespace != "" {
		key = r.namespace + ":" + token
	}
	value, err := server.Server{Address: net.JoinHostPort(r.host, r.port), DB: r.db, Password: r.password}.Do(ctx, "GET", key)
	if errors.Is(err, server.ErrNull) {
		return "", ErrUnknown
	}
	return value, err
}
