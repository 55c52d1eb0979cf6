// Package token has the tables that --token-plugin names: from a client's
// token to the target it is for.
//
//	source, err := token.New("TokenFile", "/etc/websockify/targets")
//	if err != nil {
//		return err
//	}
//	target, err := source.Lookup(ctx, "room1")
//	if errors.Is(err, token.ErrUnknown) {
//		return refuse()
//	}
//
// Nothing is kept from one lookup to the next: a changed file counts at once.
package token

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// A Source looks tokens up. Its methods may be called concurrently.
type Source interface {
	// Lookup returns ErrUnknown for a token that has no target. Any other
	// error means that it couldn't be found out.
	Lookup(ctx context.Context, token string) (Target, error)
}

// ErrUnknown: there is no target for that token.
var ErrUnknown = errors.New("not found")

// ErrUnknownPlugin: there is no plugin of that name here.
var ErrUnknownPlugin = errors.New("no such plugin")

// A Target is where a token leads: a path if it is a unix socket, else a host
// and a port, which may be a service's name.
type Target struct {
	Unix       string
	Host, Port string

	User, Password string // for an RFB server behind --view-only; empty: not said
}

// String is the target as the log shows it.
func (t Target) String() string {
	if t.Unix != "" {
		return t.Unix
	}
	return t.Host + ":" + t.Port
}

// Address is the target as package net wants it.
func (t Target) Address() (network, address string) {
	if t.Unix != "" {
		return "unix", t.Unix
	}
	return "tcp", net.JoinHostPort(t.Host, t.Port)
}

// ParseTarget reads "host:port", split at the last colon, with or without
// brackets round the host, or "unix_socket:/path".
func ParseTarget(s string) (Target, error) {
	s = strings.TrimSpace(s)
	if path, ok := strings.CutPrefix(s, "unix_socket:"); ok && path != "" {
		return Target{Unix: path}, nil
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 || i == len(s)-1 {
		return Target{}, fmt.Errorf("target %q has no port", s)
	}
	host, port := s[:i], s[i+1:]
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if strings.ContainsAny(host+port, " \t\r\n") {
		return Target{}, fmt.Errorf("target %q has a blank in it", s)
	}
	return Target{Host: host, Port: port}, nil
}

// Check returns what is wrong with a source at this moment, as far as that can
// be known without a token. It may be mended before anybody comes.
func Check(s Source) error {
	if c, ok := s.(interface{ check() error }); ok {
		return c.check()
	}
	return nil
}

// Plugins are the names that New takes.
var Plugins = []string{"TokenFile", "ReadOnlyTokenFile", "TokenFileName", "BaseTokenAPI", "JSONTokenApi",
	"JWTTokenApi", "TokenRedis", "UnixDomainSocketDirectory"}

// New makes the source of a plugin's name, with or without
// "websockify.token_plugins." in front. What source is depends on the plugin;
// a path in it is made absolute.
func New(plugin, source string) (Source, error) {
	name := strings.TrimPrefix(plugin, "websockify.token_plugins.")
	switch name {
	case "TokenFile", "ReadOnlyTokenFile", "TokenFileName", "JWTTokenApi", "UnixDomainSocketDirectory":
		if source == "" {
			return nil, fmt.Errorf("%s needs --token-source=PATH", name)
		}
		abs, err := filepath.Abs(source)
		if err != nil {
			return nil, err
		}
		source = abs
	}
	switch name {
	case "TokenFile", "ReadOnlyTokenFile":
		return files(source), nil
	case "TokenFileName":
		return newNames(source)
	case "BaseTokenAPI":
		return newAPI(source, parseText)
	case "JSONTokenApi":
		return newAPI(source, parseJSON)
	case "JWTTokenApi":
		return jwtKey(source), nil
	case "TokenRedis":
		return newRedis(source)
	case "UnixDomainSocketDirectory":
		return sockets(source), nil
	}
	return nil, fmt.Errorf("%w: %q (there are %s; for a Python class of your own use the Python websockify, or answer JSONTokenApi from a web service)",
		ErrUnknownPlugin, plugin, strings.Join(Plugins, ", "))
}
