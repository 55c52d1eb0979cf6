package shadow_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

// A viewer that comes and says nothing has done nothing that isn't allowed.
func TestSilentViewerHasLeft(t *testing.T) {
	h := start(t, shadow.Config{})
	v, err := dial(t, h.granted(t, "s1", "alice").URL, nil)
	require.NoError(t, err)
	v.expect([]byte("RFB 003.008\n"))
	v.closed(4008, "viewer_left")
	assert.Equal(t, shadow.ViewerLeft, h.until(t, shadow.EventEnded).Reason)
}

// A viewer that floods and then drops its connection holds nobody up.
func TestViewerThatFloodsAndResets(t *testing.T) {
	h := start(t, shadow.Config{})
	g := h.granted(t, "s1", "alice")
	u, err := url.Parse(g.URL)
	require.NoError(t, err)
	c, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	r := bufio.NewReader(c)
	_, err = io.WriteString(c, "GET "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	require.NoError(t, err)
	_, err = http.ReadResponse(r, nil)
	require.NoError(t, err)
	frame := func(p []byte) []byte { // masked with 0
		return append([]byte{0x82, 0x80 | byte(len(p)), 0, 0, 0, 0}, p...)
	}
	for _, p := range []string{"RFB 003.008\n", "\x01", "\x01"} {
		_, err = c.Write(frame([]byte(p)))
		require.NoError(t, err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	request := frame([]byte{3, 1, 0, 0, 0, 0, 0, 2, 0, 1})
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
	for range 20000 { // far more than the relay takes in a second, and than the inbox holds
		if _, err = c.Write(request); err != nil {
			break
		}
	}
	require.NoError(t, c.(*net.TCPConn).SetLinger(0))
	c.Close()
	assert.Equal(t, shadow.ViewerLeft, h.until(t, shadow.EventEnded).Reason)
}

// The source's end is told at once, the viewer's greeting or not.
func TestSourceEndsWhileTheViewerGreets(t *testing.T) {
	h := start(t, shadow.Config{})
	v, err := dial(t, h.granted(t, "s1", "alice").URL, nil)
	require.NoError(t, err)
	v.expect([]byte("RFB 003.008\n"))
	h.source.fail(shadow.ErrSessionEnded)
	v.closed(1001, "session_ended")
	assert.Equal(t, shadow.SessionEnded, h.until(t, shadow.EventEnded).Reason)
}

func TestViewerAbsent(t *testing.T) {
	h := start(t, shadow.Config{ConnectTimeout: 20 * time.Millisecond})
	g := h.granted(t, "s1", "alice")
	assert.Equal(t, shadow.ViewerAbsent, h.until(t, shadow.EventEnded).Reason)
	_, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(g.Port), time.Second)
	require.Error(t, err)
}

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     func(h *host, g *shadow.Grant, v *viewer)
		code   int
		reason shadow.Reason
	}{
		{"session ends", func(h *host, _ *shadow.Grant, _ *viewer) { h.source.fail(shadow.ErrSessionEnded) }, 1001, shadow.SessionEnded},
		{"source fails", func(h *host, _ *shadow.Grant, _ *viewer) { h.source.fail(errors.New("killed")) }, 1011, shadow.SourceFailed},
		{"source just ends", func(h *host, _ *shadow.Grant, _ *viewer) { h.source.fail(nil) }, 1011, shadow.SourceFailed},
		{"stopped", func(h *host, g *shadow.Grant, _ *viewer) {
			_ = h.Stop(context.Background(), g.ID, shadow.StoppedByAdmin)
		}, 1000, shadow.StoppedByAdmin},
		{"stopped by the user", func(h *host, g *shadow.Grant, _ *viewer) {
			_ = h.Stop(context.Background(), g.ID, shadow.StoppedByUser)
		}, 4002, shadow.StoppedByUser},
		{"shutdown", func(h *host, _ *shadow.Grant, _ *viewer) { _ = h.Shutdown(context.Background()) }, 1001, shadow.Shutdown},
		{"forbidden message", func(_ *host, _ *shadow.Grant, v *viewer) { v.send([]byte{10, 1, 0, 9, 0, 9}) }, 1008, shadow.ViewerViolation},
		{"unknown message", func(_ *host, _ *shadow.Grant, v *viewer) { v.send([]byte{99}) }, 1002, shadow.ViewerViolation},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, shadow.Config{})
			g := h.granted(t, "s1", "alice")
			v := view(t, g.URL)
			v.update()
			var wg sync.WaitGroup
			wg.Go(func() { c.do(h, g, v) })
			v.closed(c.code, string(c.reason))
			wg.Wait()
			assert.Equal(t, c.reason, h.until(t, shadow.EventEnded).Reason)
		})
	}
}

// The source's end is noticed even before a viewer came.
func TestSourceEndsBeforeTheViewer(t *testing.T) {
	h := start(t, shadow.Config{})
	h.granted(t, "s1", "alice")
	h.source.fail(shadow.ErrSessionEnded)
	assert.Equal(t, shadow.SessionEnded, h.until(t, shadow.EventEnded).Reason)
}

func TestTextFrameIsAViolation(t *testing.T) {
	h := start(t, shadow.Config{})
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.text("hello")
	assert.Equal(t, shadow.ViewerViolation, h.until(t, shadow.EventEnded).Reason)
}

// A source that hangs while its viewer answers pings ends the view, and the viewer is told.
func TestSourceThatHangs(t *testing.T) {
	h := start(t, shadow.Config{})
	h.AnswerWithin(50 * time.Millisecond)
	v := view(t, h.granted(t, "s1", "alice").URL)
	v.update()
	h.source.mute.Store(true)
	v.send([]byte{3, 1, 0, 0, 0, 0, 0, 2, 0, 1})
	v.closed(1011, "source_failed")
	e := h.until(t, shadow.EventEnded)
	assert.Equal(t, shadow.SourceFailed, e.Reason)
	assert.Contains(t, e.Detail, "no answer to a request")
}
