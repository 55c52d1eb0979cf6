package api

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// patience bounds every wait for something that should happen at once.
const patience = testenv.Patience

func TestClientErrors(t *testing.T) {
	t.Run("no socket", func(t *testing.T) {
		_, err := Client{Socket: filepath.Join(t.TempDir(), "none")}.List(t.Context())
		require.ErrorIs(t, err, ErrUnreachable)
		require.ErrorContains(t, err, "is shadowd running?")
	})
	t.Run("nobody listens", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		require.NoError(t, err)
		ln.SetUnlinkOnClose(false)
		require.NoError(t, ln.Close())
		_, err = Client{Socket: path}.Sessions(t.Context())
		require.ErrorIs(t, err, ErrUnreachable)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
	t.Run("not allowed", func(t *testing.T) {
		err := Client{}.unreachable(t.Context(), &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)})
		require.ErrorIs(t, err, ErrUnreachable)
		require.ErrorContains(t, err, "be root or in the group")
	})
	for name, answer := range map[string]string{
		"goes away":       "",
		"half an answer":  "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
		"another program": "HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nouch",
		"not JSON":        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nouch",
	} {
		t.Run(name, func(t *testing.T) {
			client := answering(t, answer)
			_, err := client.List(t.Context())
			require.Error(t, err)
			assert.Equal(t, name == "goes away" || name == "half an answer", isUnreachable(err), "%v", err)
		})
	}
	t.Run("no event stream", func(t *testing.T) {
		_, err := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").Events(t.Context())
		require.ErrorContains(t, err, "isn't an event stream")
	})
}

func isUnreachable(err error) bool { return strings.Contains(err.Error(), ErrUnreachable.Error()) }

// answering is a client of a server that gives one answer.
func answering(t *testing.T, answer string) Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, answer)
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return Client{Socket: path}
}
