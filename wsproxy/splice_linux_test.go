package wsproxy

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A pipe that nobody uses is closed after a while; one that is taken isn't.
func TestPipeSlot(t *testing.T) {
	open := func(p *pipe) bool {
		_, err := unix.FcntlInt(uintptr(p.r), unix.F_GETFD, 0)
		return err == nil
	}
	p, err := newPipe()
	require.NoError(t, err)
	size, err := unix.FcntlInt(uintptr(p.w), unix.F_GETPIPE_SZ, 0)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, size, minPipe)
	var s pipeSlot
	assert.Nil(t, s.take())
	s.put(p)
	require.Same(t, p, s.take())
	assert.Nil(t, s.take())
	assert.True(t, open(p))
	s.put(p)
	require.Eventually(t, func() bool { return !open(p) }, 5*time.Minute, 10*time.Millisecond)
	assert.Nil(t, s.take())
	s.close()
}

// What is left of a frame comes out of the pipe whole.
func TestPipeRest(t *testing.T) {
	p, err := newPipe()
	require.NoError(t, err)
	defer p.close()
	_, err = unix.Write(p.w, []byte("payload, and the next"))
	require.NoError(t, err)
	p.head, p.left = []byte{0x02, 0x07}, len("payload")
	rest, err := p.rest()
	require.NoError(t, err)
	assert.Equal(t, "\x02\x07payload", string(rest))
	require.NoError(t, unix.Close(p.w))
	p.w, err = unix.Dup(p.r) // for close
	require.NoError(t, err)
	p.head, p.left = nil, 100
	_, err = p.rest()
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}
