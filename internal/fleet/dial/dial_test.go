package dial_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet/dial"
)

// Servers that take connections and say nothing hold nobody whose context has ended.
func TestConnectToSilentServers(t *testing.T) {
	const servers = 30 // of which each could hold for ten seconds
	asked := make(chan struct{}, servers)
	var urls []string
	for range servers {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		var conns []net.Conn
		over := make(chan struct{})
		go func() {
			defer close(over)
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				conns = append(conns, c)
				asked <- struct{}{}
			}
		}()
		t.Cleanup(func() {
			_ = ln.Close()
			<-over
			for _, c := range conns {
				_ = c.Close()
			}
		})
		urls = append(urls, "nats://"+ln.Addr().String())
	}
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := dial.Connect(ctx, strings.Join(urls, ","), nil, dial.Options(key, "")...)
		done <- err
	}()
	<-asked
	cancel()
	select {
	case err := <-done:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(2 * time.Minute):
		require.Fail(t, "it is held")
	}
}
