package desktop

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
)

// fakeServer listens as a display and does with each connection what it is told
// until the test ends. It is trusted: it belongs to whoever runs the test.
func fakeServer(t *testing.T, serve func(net.Conn)) (display string) {
	t.Helper()
	var l net.Listener
	var path string
	for try := 0; l == nil; try++ { // a number that nobody has, nor has left behind
		path = "/tmp/.X11-unix/X" + strconv.Itoa(10_000+rand.IntN(50_000))
		var err error
		if l, err = net.Listen("unix", path); err != nil {
			require.ErrorIs(t, err, syscall.EADDRINUSE)
			require.Less(t, try, 100)
		}
	}
	require.NoError(t, os.Chmod(path, 0o777))
	var all sync.WaitGroup
	var mu sync.Mutex
	conns := []io.Closer{l}
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			all.Go(func() { serve(conn) })
		}
	})
	t.Cleanup(func() {
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return ":" + strings.TrimPrefix(path, "/tmp/.X11-unix/X")
}

// real is a connection handed on to a real X server, whose answers turn bad after n bytes.
func real(d *testhost.Desktop, n int64, then func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		server, err := net.Dial("unix", "/tmp/.X11-unix/X"+strings.TrimPrefix(d.Display, ":"))
		if err != nil {
			conn.Close()
			return
		}
		var up sync.WaitGroup
		up.Go(func() {
			_, _ = io.Copy(server, conn)
			server.Close()
		})
		_, _ = io.CopyN(conn, server, n)
		server.Close() // ends the other copy with its next write
		then(conn)
		conn.Close()
		up.Wait()
	}
}

// Whatever a hostile X server says, or doesn't, it is no Yes, and it is over in time.
func TestFakeServer(t *testing.T) {
	t.Parallel()
	d := testhost.Require(t, testhost.Options{Width: 640, Height: 480})
	silent := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) } // until the child ends
	garbage := func(c net.Conn) {
		var seed [32]byte
		noise := io.LimitReader(rand.NewChaCha8(seed), 1<<20)
		_, _ = io.Copy(c, noise)
		silent(c)
	}
	zeros := func(c net.Conn) { _, _ = c.Write(make([]byte, 1<<16)); silent(c) }
	// A press and a release of every key and button, over and over.
	presses := func(c net.Conn) {
		var b bytes.Buffer
		for i := range 1 << 12 {
			e := make([]byte, 32)
			e[0], e[1] = byte(2+i%4), byte(i/4)
			b.Write(e)
		}
		_, _ = c.Write(b.Bytes())
		silent(c)
	}
	const ever = 1 << 40
	for name, c := range map[string]struct {
		after int64
		then  func(net.Conn)
	}{
		"silent from the start":   {0, silent},
		"silent after the set-up": {3000, silent},
		"silent later":            {5000, silent},
		"hangs up at once":        {0, func(net.Conn) {}},
		"hangs up later":          {5000, func(net.Conn) {}},
		"garbage":                 {0, garbage},
		"garbage after a while":   {4000, garbage},
		"garbage later":           {6001, garbage},
		"zeros":                   {0, zeros},
		"zeros later":             {5000, zeros},
		"every key":               {5000, presses},
		"good":                    {ever, silent},
	} {
		r := request(d)
		r.Display, r.Timeout = fakeServer(t, real(d, c.after, c.then)), 2*time.Second
		r.Xauthority = relabel(t, d)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			got, err := quick.Ask(t.Context(), r)
			assert.NotEqual(t, consent.Granted, got, "%v", err)
			assert.Less(t, time.Since(begun), 5*time.Minute, "the deadline was 2 s")
			if c.after == ever {
				assert.NoError(t, err)
				assert.Equal(t, consent.TimedOut, got, "the test's own fault otherwise")
			}
		})
	}
}

// relabel is a file with the desktop's cookies that are good for every display.
func relabel(t *testing.T, d *testhost.Desktop) string {
	t.Helper()
	data, err := os.ReadFile(d.Xauthority)
	require.NoError(t, err)
	own := strings.TrimPrefix(d.Display, ":")
	old := append([]byte{0, byte(len(own))}, own...)
	require.True(t, bytes.Contains(data, old))
	file := t.TempDir() + "/Xauthority"
	require.NoError(t, os.WriteFile(file, bytes.ReplaceAll(data, old, []byte{0, 0}), 0o644))
	for dir := t.TempDir(); dir != "/tmp" && dir != "/"; dir = dir[:strings.LastIndex(dir, "/")] {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	return file
}
