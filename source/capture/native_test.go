package capture

import (
	"context"
	"errors"
	"image"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
)

// A viewerLine is a viewer's, which can be slow.
type viewerLine struct {
	net.Conn
	slow atomic.Bool
	said tap // what the viewer has said
}

func (l *viewerLine) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	l.said.mu.Lock()
	l.said.written = append(l.said.written, p[:n]...)
	l.said.mu.Unlock()
	return n, err
}

func (l *viewerLine) Write(p []byte) (written int, err error) {
	for written < len(p) && err == nil {
		part := p[written:]
		if l.slow.Load() {
			const bytes = 2000
			part = part[:min(bytes, len(part))]
			time.Sleep(bytes * 8 * time.Second / 128_000) // 128 kbit/s, which is what is tested
		}
		var n int
		n, err = l.Conn.Write(part)
		written += n
	}
	return written, err
}

// TigerVNC's viewer, which wants fewer colours by itself when its line is slow, shows the screen after that, also when
// nothing had happened for a time.
func TestTigerVNCBehindARelay(t *testing.T) {
	t.Parallel()
	testenv.Program(t, "xtigervncviewer", "tigervnc-viewer")
	for silence := time.Second; !changesColors(t, silence); silence *= 4 {
		require.Less(t, silence, patience)
	}
}

// changesColors reports false if so short a silence is too short on this machine.
func changesColors(t *testing.T, silence time.Duration) bool {
	const width, height = 320, 240
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: width, Height: height})
	a := newArtist(t, d, rand.New(rand.NewPCG(17, 18)), 24)
	w := &canvas{a.wins[0].id, image.Pt(width, height)}
	a.resize(w)
	desk := testhost.Require(t, testhost.Options{Width: 500, Height: 400})

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	child := start(t, d, "--pointer=false")
	viewer, err := desk.Spawn("xtigervncviewer", "-SecurityTypes=None", "-RemoteResize=0",
		"127.0.0.1::"+strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
	require.NoError(t, err)
	conn, err := ln.Accept()
	require.NoError(t, err)
	to, up := &viewerLine{Conn: conn}, &tap{Conn: child.Conn}
	var wg sync.WaitGroup
	var ended atomic.Value
	wg.Go(func() {
		if err := (&rfb.Relay{ServerTimeout: silence}).Run(context.Background(), to, up); err != nil {
			ended.Store(err)
		}
		conn.Close()
	})
	defer func() { viewer.Stop(0, time.Second); wg.Wait() }()
	viewerSaid, relaySaid := &relayed{soakViewer: &soakViewer{t: t}, up: &to.said}, &relayed{soakViewer: &soakViewer{t: t}, up: up}
	slow := func() bool {
		err, _ := ended.Load().(error)
		return errors.Is(err, rfb.ErrTimeout)
	}
	// until waits for something, and reports false if the relay has ended because this machine is too slow.
	until := func(what string, there func() bool) bool {
		t.Helper()
		for deadline := time.Now().Add(patience); !there(); time.Sleep(50 * time.Millisecond) {
			if slow() {
				return false
			}
			require.Nil(t, ended.Load(), what)
			require.True(t, time.Now().Before(deadline), what)
			select {
			case <-viewer.Done():
				require.Fail(t, "the viewer has ended", what)
			default:
			}
		}
		return true
	}
	// shown is whether the viewer has a picture of one colour, as far as so few colours can show it.
	shown := func(color [3]uint8, off int) func() bool {
		return func() bool {
			shot, err := desk.Screenshot(t.Context())
			require.NoError(t, err)
			n := 0
			for i := 0; i < len(shot.Pix); i += 4 {
				far := 0
				for c := range 3 {
					far = max(far, int(shot.Pix[i+c])-int(color[c]), int(color[c])-int(shot.Pix[i+c]))
				}
				if far <= off {
					n++
				}
			}
			return n >= width*height*95/100
		}
	}
	requests := func(n int) func() bool {
		from := up.size()
		return func() bool { return len(relaySaid.said(from)) >= n }
	}
	low := func() bool {
		for _, m := range viewerSaid.said(clientHandshake) {
			if f, ok := m.(*rfb.SetPixelFormat); ok && f.Format.BitsPerPixel == 8 {
				return true
			}
		}
		return false
	}

	a.ink(0xc83214, 0)
	a.rectangle(w, 0, 0, width, height)
	a.sync()
	if !until("the picture", shown([3]uint8{200, 50, 20}, 6)) || !until("signs of life", requests(4)) {
		return false
	}
	to.slow.Store(true)
	small := &canvas{w.id, image.Pt(70, 70)} // many updates of some 0.2 s each: more don't count for more
	if !until("fewer colours", func() bool {
		a.noise(small)
		a.sync()
		return low()
	}) {
		return false
	}
	to.slow.Store(false)
	a.ink(0x0a78f0, 0)
	a.rectangle(w, 0, 0, width, height)
	a.sync()
	if !until("the picture in few colours", shown([3]uint8{10, 120, 240}, 66)) {
		return false
	}
	assert.Empty(t, child.stderr.String())
	return true
}
