package quiet_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"vda.internal/shadow/internal/quiet"
)

func pair(t testing.TB, network string) (near, far net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, address)
	require.NoError(t, err)
	defer ln.Close()
	near, err = net.Dial(network, ln.Addr().String())
	require.NoError(t, err)
	far, err = ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func TestConn(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				near, far := pair(t, network)
				return quiet.New(near), quiet.New(far), func() { near.Close(); far.Close() }, nil
			})
		})
	}
}

func TestEnds(t *testing.T) {
	near, far := pair(t, "tcp")
	c := quiet.New(near)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	require.NoError(t, far.Close())
	_, err = c.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
	for err == nil || err == io.EOF { // the first is answered by a reset
		_, err = c.Write(make([]byte, 1<<10))
	}
	assert.ErrorIs(t, err, syscall.EPIPE)
}

// More than there is room for is written nevertheless, in order.
func TestLargeWrite(t *testing.T) {
	near, far := pair(t, "tcp")
	c := quiet.New(near)
	sent := make([]byte, 32<<20)
	for i := range sent {
		sent[i] = byte(i >> 8)
	}
	go func() {
		_, _ = c.Write(sent)
		c.Close()
	}()
	got, err := io.ReadAll(far)
	require.NoError(t, err)
	assert.Equal(t, sent, got)
}

func TestSetReadLowat(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux's")
	}
	near, far := pair(t, "tcp")
	c := quiet.New(near).(*quiet.Conn)
	require.NoError(t, c.SetReadLowat(1000))
	read := make(chan int, 1)
	go func() {
		n, _ := c.Read(make([]byte, 2000))
		read <- n
	}()
	for range 1000 {
		_, err := far.Write([]byte{1})
		require.NoError(t, err)
	}
	assert.NotZero(t, <-read)
}

func TestOthersStayWhatTheyAre(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	assert.Equal(t, near, quiet.New(near))
	assert.Nil(t, quiet.Raw(near))
}
