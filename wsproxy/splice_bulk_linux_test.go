package wsproxy_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/wsproxy"
)

// A frame that was begun when a write deadline expired gets through, though
// most of it was still in a pipe: the viewer reads on to whole frames and the
// goodbye behind them.
func TestDeadlineInMidPipe(t *testing.T) {
	dial, targets := dialTo(t)
	viewers, expired := make(chan net.Conn, 1), make(chan error, 1)
	r := newRig(t, &wsproxy.Handler{Dial: dial, WriteTimeout: patience, Relay: relayFunc(func(ctx context.Context, viewer, target net.Conn) error {
		viewers <- viewer
		_, err := viewer.(io.ReaderFrom).ReadFrom(target)
		expired <- err
		<-ctx.Done()
		return nil
	})}, listening)
	r.readBuffer = 8 << 10
	c := r.dialRaw()
	target := receive(t, targets)
	sent := pattern(24 << 20)
	go func() { _, _ = target.Write(sent) }()
	got := make([]byte, 3<<20) // by now it is bulk
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	// Nobody reads any more: the rest is more than fits on the way.
	require.NoError(t, receive(t, viewers).SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	require.ErrorIs(t, receive(t, expired), os.ErrDeadlineExceeded)
	down := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		down <- r.h.Shutdown(ctx)
	}()
	rest, err := io.ReadAll(c) // up to the close frame
	require.NoError(t, err)
	got = append(got, rest...)
	assert.True(t, bytes.HasPrefix(sent, got))
	_, _ = c.conn.Write(frame(fin|opClose, nil))
	record := r.record()
	assert.Equal(t, wsproxy.StatusGoingAway, record.Code)
	assert.EqualValues(t, len(got), record.Sent)
	assert.NoError(t, receive(t, down))
}
