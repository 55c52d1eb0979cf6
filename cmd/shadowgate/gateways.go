package main

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/gate/settings"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/tickets"
	"vda.internal/shadow/internal/redis"
)

// ticketsFor is what other front ends are to have, without the port of its API; nil: nothing.
func ticketsFor(s *settings.Settings, logger zerolog.Logger) (*tickets.Office, error) {
	g := s.Gateways
	if g.Address == "" {
		return nil, nil
	}
	c := tickets.Config{
		Address: netip.MustParseAddr(g.Address), First: g.FirstPort, Last: g.LastPort, Host: g.Host,
		From: settings.Networks(g.From), Valid: g.Valid, Logger: logger,
	}
	if g.Redis != "" {
		c.Redis = &tickets.Redis{Server: redis.Server{Address: g.Redis, DB: g.RedisDB}, Namespace: g.RedisNamespace}
		if g.RedisPassword != "" {
			var err error
			if c.Redis.Password, err = signin.ReadSecret(g.RedisPassword); err != nil {
				return nil, fmt.Errorf("gateways.redis_password_file: %w", err)
			}
		}
	}
	if g.Listen != "" {
		secret, err := signin.ReadSecret(g.Secret)
		if err == nil {
			c.API, err = tickets.NewAPI(secret, c.From)
		}
		if err != nil {
			return nil, fmt.Errorf("gateways.secret_file: %w", err)
		}
	}
	if g.GuacamoleKey != "" {
		key, err := signin.ReadSecret(g.GuacamoleKey)
		if err == nil {
			c.Key, err = tickets.ParseKey(key)
		}
		if err != nil {
			return nil, fmt.Errorf("gateways.guacamole_key_file: %w", err)
		}
	}
	return tickets.New(c)
}

// serveTickets answers at gateways.listen, if that is set, until stop is called.
func serveTickets(s *settings.Settings, o *tickets.Office) (stop func(), err error) {
	if o == nil || o.API == nil {
		return func() {}, nil
	}
	ln, err := net.Listen("tcp", s.Gateways.Listen)
	if err != nil {
		return nil, fmt.Errorf("gateways.listen: %w", err)
	}
	srv := o.API.Server()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln) // ends with Close
	}()
	return func() {
		_ = srv.Close()
		<-served
	}, nil
}
