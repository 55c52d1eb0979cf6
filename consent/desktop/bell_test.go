package desktop

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
)

// A tap counts the requests of one kind in what a client sends to its X server.
type tap struct {
	opcode byte
	seen   atomic.Int32
}

// serve hands a connection on to d's X server.
func (c *tap) serve(d *testhost.Desktop) func(net.Conn) {
	return func(client net.Conn) {
		server, err := net.Dial("unix", "/tmp/.X11-unix/X"+strings.TrimPrefix(d.Display, ":"))
		if err != nil {
			client.Close()
			return
		}
		var down sync.WaitGroup
		down.Go(func() { _, _ = io.Copy(client, server); client.Close() })
		_ = c.requests(io.TeeReader(client, server))
		server.Close()
		down.Wait()
	}
}

// requests reads the set-up and then request after request (X11 protocol, "Connection Setup", "Request Format").
func (c *tap) requests(r io.Reader) error {
	setup := make([]byte, 12)
	if _, err := io.ReadFull(r, setup); err != nil {
		return err
	}
	padded := func(n uint16) int64 { return int64(n+3) &^ 3 }
	names := padded(binary.LittleEndian.Uint16(setup[6:])) + padded(binary.LittleEndian.Uint16(setup[8:]))
	if _, err := io.CopyN(io.Discard, r, names); err != nil {
		return err
	}
	for head := make([]byte, 4); ; {
		if _, err := io.ReadFull(r, head); err != nil {
			return err
		}
		units := int64(binary.LittleEndian.Uint16(head[2:]))
		if units == 0 {
			return errors.New("a big request")
		}
		if head[0] == c.opcode {
			c.seen.Add(1)
		}
		if _, err := io.CopyN(io.Discard, r, 4*units-4); err != nil {
			return err
		}
	}
}

// The bell rings once for a question and for a notice, and for the banner of a viewing that the user learns of only by it; never
// unless it is wanted.
func TestBell(t *testing.T) {
	t.Parallel()
	d := gallery(t, 1, bare)
	const bell = 104
	loud, silent := quick, quick
	loud.Bell = true
	// shows has a question or a notice on the screen until it has rung as often as it should.
	shows := func(put func(X11, context.Context, consent.Request) (consent.Decision, error), want int32) func(X11, consent.Request, *tap) {
		return func(x X11, r consent.Request, rung *tap) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); _, _ = put(x, ctx, r) }()
			_, err := d.FindWindow(d.ctx, "consent")
			require.NoError(t, err)
			eventually(t, func() bool { return rung.seen.Load() >= want }, "it doesn't ring")
			cancel()
			<-done
			require.NoError(t, d.WaitNoWindow(d.ctx, "consent"))
		}
	}
	banner := func(basis consent.Basis, want int32) func(X11, consent.Request, *tap) {
		return func(x X11, r consent.Request, rung *tap) {
			r.Basis = basis
			s := showing(t.Context(), x, r)
			d.titled("is viewing", red)
			eventually(t, func() bool { return rung.seen.Load() >= want }, "it doesn't ring")
			s.Close()
			<-s.Done()
			require.NoError(t, s.Err())
			require.NoError(t, d.WaitNoWindow(d.ctx, "banner"))
		}
	}
	for name, c := range map[string]struct {
		x    X11
		do   func(X11, consent.Request, *tap)
		want int32
	}{
		"question":          {loud, shows(X11.Ask, 1), 1},
		"question, no bell": {silent, shows(X11.Ask, 0), 0},
		"notice":            {loud, shows(X11.Announce, 1), 1},
		"banner by a rule":  {loud, banner(consent.ByRuleOnly, 1), 1},
		"banner after Yes":  {loud, banner(consent.ByAnswer, 0), 0},
		"banner, no bell":   {silent, banner(consent.ByRuleOnly, 0), 0},
	} {
		rung := &tap{opcode: bell}
		r := request(d.Desktop)
		r.Timeout = time.Minute
		r.Display, r.Xauthority = fakeServer(t, rung.serve(d.Desktop)), relabel(t, d.Desktop)
		c.do(c.x, r, rung)
		assert.Equal(t, c.want, rung.seen.Load(), name)
	}
}
