package shadow

import (
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A lowatered is a source's connection that can wake seldom.
type lowatered struct {
	net.Conn
	n int
}

func (l *lowatered) SetReadLowat(n int) error {
	if n == 0 {
		panic("oops")
	}
	l.n = n
	return nil
}

// What a source's connection can do the relay learns, and a panic in it is an error.
func TestSourceWakesSeldom(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	assert.ErrorIs(t, newSourceConn(near).SetReadLowat(5), errors.ErrUnsupported)
	can := &lowatered{Conn: near}
	assert.NoError(t, newSourceConn(can).SetReadLowat(5))
	assert.Equal(t, 5, can.n)
	assert.Error(t, newSourceConn(can).SetReadLowat(0))
}
