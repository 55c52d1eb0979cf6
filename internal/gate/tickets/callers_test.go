package tickets

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Who holds connections to the API holds no more than a crowd of them: the oldest goes.
func TestCallersOfTheAPI(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := new(API).Server()
	srv.ReadTimeout = time.Hour // the crowd's size is what is looked at
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	defer func() { _ = srv.Close(); <-done }()
	var first net.Conn
	for range maxCallers + 1 {
		c, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		if first == nil {
			first = c
		}
	}
	require.NoError(t, first.SetReadDeadline(time.Now().Add(callerTime/2)))
	_, err = first.Read(make([]byte, 1))
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the oldest is still there")
}
