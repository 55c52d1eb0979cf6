// Package dial has how every member of a fleet connects to the bus: how it proves its key, and how it
// comes back when the connection breaks.
package dial

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

const (
	connectTime = 10 * time.Second       // of one attempt, TLS included
	firstWait   = 200 * time.Millisecond // before the first attempt to come back
	lastWait    = 20 * time.Second       // and before any, at most
	pingTime    = 10 * time.Second       // between two; the connection is gone if two aren't answered
	flushTime   = 5 * time.Second        // for the other end to take what is written
)

// Options are what every connection has. It is tried for ever, also at first.
func Options(key nkeys.KeyPair, jwt string) []nats.Option {
	return []nats.Option{
		nats.UserJWT(func() (string, error) { return jwt, nil }, key.Sign),
		nats.Timeout(connectTime), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.CustomReconnectDelay(Wait), nats.PingInterval(pingTime), nats.MaxPingsOutstanding(2), nats.FlusherTimeout(flushTime),
		nats.IgnoreAuthErrorAbort(),
	}
}

// Connect connects as [nats.Connect] does, which knows no context and may be held by servers that take
// connections and say nothing. When ctx ends nobody waits for that any more, and a connection that comes of it
// is closed. n, which may be nil, is told how the connection is doing.
func Connect(ctx context.Context, servers string, n *Notice, options ...nats.Option) (*nats.Conn, error) {
	type result struct {
		nc  *nats.Conn
		err error
	}
	done := make(chan result)
	go func() { // for as long as an attempt at each server takes
		if n != nil {
			options = append(n.options(), options...)
		}
		nc, err := nats.Connect(servers, options...)
		if err == nil && n != nil {
			go n.watch(nc)
		}
		select {
		case done <- result{nc, err}:
		case <-ctx.Done():
			if err == nil {
				nc.Close()
			}
		}
	}()
	select {
	case r := <-done:
		return r.nc, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Wait is how long to wait after so many attempts: the bound doubles, and chance takes a part of it, so
// that those who lost the same server don't come back at once.
func Wait(attempts int) time.Duration {
	most := lastWait
	if attempts < 8 {
		most = min(lastWait, firstWait<<max(0, attempts))
	}
	return most/4 + rand.N(most*3/4)
}
