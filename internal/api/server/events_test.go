package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
)

func event(typ shadow.EventType, reason shadow.Reason) shadow.Event {
	return shadow.Event{Time: time.Unix(5, 0).UTC(), Type: typ, ID: "ab12", Session: "42", Admin: "a\nb", Reason: reason}
}

func TestEvents(t *testing.T) {
	e := &fakeEngine{}
	client, _ := serve(t, e, Options{})
	events, err := client.Events(t.Context())
	require.NoError(t, err)
	defer events.Close()

	// Nothing that happens after Events has returned is missed.
	want := []shadow.Event{event(shadow.EventRequested, ""), event(shadow.EventRefused, shadow.Denied)}
	for _, one := range want {
		e.send(one)
	}
	for _, one := range want {
		got, err := events.Next()
		require.NoError(t, err)
		assert.Equal(t, one, got)
	}
	e.dropAll() // too slow
	_, err = events.Next()
	require.ErrorIs(t, err, api.ErrUnreachable)
	require.ErrorContains(t, err, "ended the event stream")
}

func TestEventsClose(t *testing.T) {
	e := &fakeEngine{}
	client, _ := serve(t, e, Options{})
	metrics := 1 // reads the events, too
	events, err := client.Events(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return e.subscribers() == metrics+1 }, patience, time.Millisecond)
	require.NoError(t, events.Close())
	require.Eventually(t, func() bool { return e.subscribers() == metrics }, patience, time.Millisecond)

	ctx, cancel := context.WithCancel(t.Context())
	events, err = client.Events(ctx)
	require.NoError(t, err)
	defer events.Close()
	cancel()
	_, err = events.Next()
	require.ErrorIs(t, err, context.Canceled)
}

// A reader that takes nothing is let go.
func TestEventsStalled(t *testing.T) {
	var e *fakeEngine
	for limit := 20 * time.Millisecond; ; limit *= 4 { // a busy machine may not write the beginning in that time
		e = &fakeEngine{}
		h := NewHandler(e, Options{})
		h.writeTimeout = limit
		client, _ := serveHandler(t, h)
		events, err := client.Events(t.Context())
		if err != nil && limit < time.Minute {
			continue
		}
		require.NoError(t, err)
		defer events.Close()
		break
	}
	long := event(shadow.EventRefused, shadow.Denied)
	long.Detail = strings.Repeat("x", 32<<10)
	require.Eventually(t, func() bool {
		e.sendIfRoom(long)
		return e.subscribers() == 1 // the metrics
	}, patience, time.Millisecond)
}

// What goes over the wire, byte by byte, the heartbeat included.
func TestEventWire(t *testing.T) {
	e := &fakeEngine{}
	h := NewHandler(e, Options{})
	h.heartbeat = 5 * time.Millisecond
	client, _ := serveHandler(t, h)
	conn, err := net.Dial("unix", client.Socket)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, "GET /v1/events HTTP/1.0\r\n\r\n") // 1.0: no chunks
	require.NoError(t, err)
	lines := bufio.NewScanner(conn)
	next := func() string {
		t.Helper()
		require.True(t, lines.Scan(), "%v", lines.Err())
		return lines.Text()
	}
	header := map[string]bool{}
	for line := next(); line != ""; line = next() {
		header[line] = true
	}
	assert.Contains(t, header, "HTTP/1.0 200 OK")
	assert.Contains(t, header, "Content-Type: text/event-stream")
	assert.Equal(t, ": subscribed", next())
	assert.Empty(t, next())
	assert.Equal(t, ": alive", next())
	assert.Empty(t, next())

	e.send(event(shadow.EventEnded, shadow.ViewerLeft))
	line := next()
	for ; line == ": alive" || line == ""; line = next() {
	}
	assert.Equal(t, "event: ended", line)
	assert.Equal(t, `data: {"time":"1970-01-01T00:00:05Z","type":"ended","id":"ab12","session":"42","admin":"a\nb","reason":"viewer_left"}`, next())
	assert.Empty(t, next())
}
