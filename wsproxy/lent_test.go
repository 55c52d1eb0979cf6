package wsproxy_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow/wsproxy"
)

// A holding connection's Write says that it has begun, and looks at what it was
// given until it may end.
type holding struct {
	net.Conn
	began     chan struct{}
	end       chan struct{}
	unchanged chan bool
}

func (h *holding) Write(p []byte) (int, error) {
	before := bytes.Clone(p)
	close(h.began)
	<-h.end
	h.unchanged <- bytes.Equal(before, p)
	return len(p), nil
}

// What is being written to a target stays as it is when the session ends
// meanwhile, whatever the viewer goes on sending.
func TestEndWhileTheTargetIsWrittenTo(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	target := &holding{near, make(chan struct{}), make(chan struct{}), make(chan bool, 1)}
	r := newRig(t, &wsproxy.Handler{Dial: func(context.Context, *http.Request) (net.Conn, error) { return target, nil }})
	c := r.dialRaw()
	c.frame(fin|opBinary, bytes.Repeat([]byte("A"), 50000))
	receive(t, target.began)
	c.frame(fin|opText, []byte("B"))
	// The connection is closed when all of this has been read and discarded.
	late := append(frame(fin|opBinary, bytes.Repeat([]byte("B"), 50000)), frame(fin|opClose, nil)...)
	c.wantEcho(wsproxy.StatusUnsupportedData, "Unsupported: Text frames are not supported", late...)
	close(target.end)
	assert.True(t, receive(t, target.unchanged), "bytes changed while they were written")
	assert.EqualValues(t, 50000, r.record().Received)
}
