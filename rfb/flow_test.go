package rfb

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fencing is a filter of a viewer that wants fences and continuous updates, of
// a server that knows both, with nothing to be sent.
func fencing(t testing.TB) *clientFilter {
	f := newClientFilter(newAgreed(640, 480), false, nil, 0)
	_, err := f.feed(epoch, wire(t, SetEncodings{[]Encoding{EncodingTight, EncodingContinuousUpdates, EncodingFence}}))
	require.NoError(t, err)
	require.True(t, f.agreed.knows(askedFences))
	f.out = f.out[:0]
	return f
}

// said feeds a filter and returns what it sends.
func (f *clientFilter) said(t testing.TB, now time.Time, in []byte) []byte {
	t.Helper()
	_, err := f.feed(now, in)
	require.NoError(t, err)
	out := f.out
	f.out = nil
	return out
}

func TestFencesAndContinuousUpdatesAreBothOrNeither(t *testing.T) {
	f, c := EncodingFence, EncodingContinuousUpdates
	for _, tt := range []struct{ in, want []Encoding }{
		{[]Encoding{7, f, c}, []Encoding{7, f, c}},
		{[]Encoding{c, 7, f, f, c}, []Encoding{c, 7, f}},
		{[]Encoding{7, f}, []Encoding{7}},
		{[]Encoding{7, c}, []Encoding{7}},
		{[]Encoding{f, c}, []Encoding{f, c, 0}},
	} {
		got, _ := asksFor(nil, listed(t, tt.in), false, true)
		assert.Equal(t, tt.want, got)
	}
	many := []Encoding{f}
	for e := EncodingFineQuality0; len(many) < 100; e++ {
		many = append(many, e)
	}
	got, _ := asksFor(nil, listed(t, append(many, c, EncodingTight)), false, true)
	assert.Len(t, got, maxEncodingsOut)
	assert.Subset(t, got, []Encoding{f, c, EncodingTight})
}

func TestContinuousUpdatesNeedTheServersWord(t *testing.T) {
	f := fencing(t)
	on := wire(t, EnableContinuousUpdates{true, Rect{0, 0, 65535, 65535}})
	assert.Empty(t, f.said(t, epoch, on), "x11vnc would close on it")
	f.agreed.learn(hasUpdates)
	assert.Equal(t, wire(t, EnableContinuousUpdates{true, Rect{0, 0, 640, 480}}), f.said(t, epoch, on))
	assert.Empty(t, f.said(t, epoch, wire(t, EnableContinuousUpdates{true, Rect{640, 0, 9, 9}})))
	off := wire(t, EnableContinuousUpdates{})
	assert.Equal(t, off, f.said(t, epoch, off))
}

func TestAnswersToFencesAreOurOwn(t *testing.T) {
	f := fencing(t)
	answer := func(payload string) []byte {
		return f.said(t, epoch, wire(t, Fence{FenceBlockBefore | FenceSyncNext | 1<<20, []byte(payload)}))
	}
	assert.Empty(t, answer("a"), "to no fence")
	require.True(t, f.agreed.fences.add(FenceRequest|FenceBlockBefore|1<<9, []byte("a"), epoch))
	require.True(t, f.agreed.fences.add(FenceRequest, []byte("b"), epoch))
	assert.Equal(t, wire(t, Fence{0, []byte("b")}), answer("b"))
	assert.Equal(t, wire(t, Fence{FenceBlockBefore, []byte("a")}), answer("a"))
	assert.Empty(t, answer("a"), "once")
	assert.Empty(t, f.said(t, epoch, wire(t, Fence{FenceRequest, nil})), "a viewer's own fence goes nowhere")

	_, err := f.feed(epoch, unhex(t, "f8 000000 00000000 41"))
	assert.ErrorIs(t, err, ErrLimit, "65 bytes")
}

func TestFencesAreAnsweredForAViewerThatDoesnt(t *testing.T) {
	f := fencing(t)
	require.True(t, f.agreed.fences.add(FenceRequest|FenceBlockBefore, []byte("a"), epoch))
	at := f.wake(false)
	assert.Equal(t, epoch.Add(fenceTime), at)
	assert.Empty(t, f.said(t, at.Add(-1), nil))
	assert.Equal(t, wire(t, Fence{FenceBlockBefore, []byte("a")}), f.said(t, at, nil))
	assert.Zero(t, f.wake(false))

	for n := range maxFences {
		require.True(t, f.agreed.fences.add(FenceRequest, []byte{byte(n)}, at))
	}
	assert.False(t, f.agreed.fences.add(FenceRequest, nil, at), "never more")
	assert.Len(t, f.said(t, at, nil), maxFences/2*(fenceLen+1), "a server with many doesn't wait")
}

func TestWalkerWithFences(t *testing.T) {
	fence, end := unhex(t, "f8 000000 80000001 03 616263"), []byte{150}
	in := join(end, fence, unhex(t, "f8 000000 80000002 00"), []byte{2})
	for cut, parts := range cuts(len(in)) {
		a := newAgreed(640, 480)
		a.learn(askedFences)
		w := newWalker(a, pinned, 0)
		var out []byte
		rest := append([]byte(nil), in...)
		for _, n := range parts {
			p, err := w.walk(rest[:n])
			require.NoError(t, err, cut)
			out = append(out, p...)
			rest = rest[n:]
		}
		assert.Equal(t, in, out)
		assert.True(t, a.knows(hasUpdates))
		got, ok := a.fences.answer([]byte("abc"))
		assert.True(t, ok)
		assert.Equal(t, FenceBlockBefore, got.flags)
		_, ok = a.fences.answer(nil)
		assert.True(t, ok)
	}
	for _, bad := range []string{"f8 000000 80000001 41", "f8 000000 00000001 00"} {
		a := newAgreed(640, 480)
		a.learn(askedFences)
		_, err := newWalker(a, pinned, 0).walk(unhex(t, bad))
		assert.Error(t, err, bad)
	}
}

// The whole relay: a fence that the viewer answers, and one that it doesn't.
func TestRelayNeverStallsAtAFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watch(t, &Relay{})
		require.NoError(t, x.viewer.SetDeadline(time.Time{}))
		require.NoError(t, x.server.SetDeadline(time.Time{}))
		list := wire(t, SetEncodings{[]Encoding{EncodingRaw, EncodingFence, EncodingContinuousUpdates}})
		x.viewer.sends(list)
		x.server.gets(list)
		fence := wire(t, Fence{FenceRequest | FenceBlockBefore, []byte{1}})
		answer := wire(t, Fence{FenceBlockBefore, []byte{1}})
		x.server.sends(fence)
		x.viewer.gets(fence)
		x.viewer.sends(answer)
		x.server.gets(answer)

		begin := time.Now()
		x.server.sends(fence)
		x.viewer.gets(fence)
		x.server.gets(answer)
		assert.Equal(t, fenceTime, time.Since(begin))
		x.viewer.sends(answer) // too late, and dropped
		on := wire(t, EnableContinuousUpdates{true, Rect{0, 0, 640, 480}})
		x.server.sends([]byte{150})
		x.viewer.gets([]byte{150})
		x.viewer.sends(on)
		x.server.gets(on)
		x.viewer.Close()
		<-x.done
	})
}

// TigerVNC's server, with continuous updates: it goes on for viewers that answer
// fences, for those that don't, and for those that know nothing of them.
func TestLiveTigerVNCNeverStalls(t *testing.T) {
	t.Parallel()
	x := startXvnc(t, "160x120")
	for i, tt := range []struct {
		name    string
		asks    []Encoding
		answers bool
	}{
		{"answers", []Encoding{EncodingFence, EncodingContinuousUpdates}, true},
		{"is silent", []Encoding{EncodingFence, EncodingContinuousUpdates}, false},
		{"asks for one only", []Encoding{EncodingFence}, false},
		{"knows nothing", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // two of them wait most of the time
			server := x.dial(t)
			conn, far := pipe(t)
			require.NoError(t, far.SetDeadline(time.Now().Add(6*waitFor)))
			done := background(func() error { return new(Relay).Run(t.Context(), conn, server) })
			far.gets([]byte("RFB 003.008\n"))
			far.sends([]byte("RFB 003.008\n"))
			far.gets([]byte{1, 1})
			far.sends([]byte{1})
			far.gets(u32(0))
			far.sends([]byte{1})
			v := &updatesViewer{t: t, conn: far, answers: tt.answers}
			v.shake()
			all := Rect{0, 0, 160, 120}
			far.sends(wire(t, SetEncodings{append([]Encoding{EncodingRaw}, tt.asks...)}), wire(t, FramebufferUpdateRequest{Rect: all}))
			v.until(1)
			steps := 8
			if len(tt.asks) == 2 && !tt.answers {
				steps = 2 // each waits until it is answered for
			}
			for step := range steps {
				before := v.updates
				x.do(t, "xsetroot", "-solid", fmt.Sprintf("#%02x%02x60", 16+step, 16*i)) // nobody else's colour: it is a change
				if !v.continuous {
					far.sends(wire(t, FramebufferUpdateRequest{true, all}))
				}
				v.until(before + 1)
			}
			assert.Equal(t, len(tt.asks) == 2, v.continuous)
			assert.Equal(t, len(tt.asks) == 2, v.fences > 0)
			far.Close()
			require.NoError(t, result(t, done))
		})
	}
}

// An updatesViewer reads updates, and does with fences what it is told to.
type updatesViewer struct {
	t          *testing.T
	conn       *peer
	answers    bool
	buf        []byte
	rects      int
	updates    int
	fences     int
	continuous bool
}

func (v *updatesViewer) more() {
	v.t.Helper()
	b := make([]byte, 64<<10)
	n, err := v.conn.Read(b)
	require.NoError(v.t, err)
	v.buf = append(v.buf, b[:n]...)
}

func (v *updatesViewer) shake() {
	for len(v.buf) < serverInitLen || len(v.buf) < serverInitLen+int(be32(v.buf[20:])) {
		v.more()
	}
	v.buf = v.buf[serverInitLen+int(be32(v.buf[20:])):]
}

// until reads until there were as many updates.
func (v *updatesViewer) until(updates int) {
	v.t.Helper()
	for v.updates < updates || v.rects > 0 {
		if v.rects > 0 {
			r, n, err := ParseRectangle(v.buf, pinned)
			if err != nil {
				v.more()
				continue
			}
			v.buf = v.buf[n:]
			if v.rects--; r.Encoding == EncodingLastRect {
				v.rects = 0
			}
			if v.rects == 0 {
				v.updates++
			}
			continue
		}
		m, n, err := ParseServerMessage(v.buf)
		if err != nil {
			v.more()
			continue
		}
		v.buf = v.buf[n:]
		switch m := m.(type) {
		case *FramebufferUpdate:
			v.rects = int(m.Rectangles)
		case *EndOfContinuousUpdates:
			v.continuous = true
			v.conn.sends(wire(v.t, EnableContinuousUpdates{true, Rect{0, 0, 160, 120}}))
		case *Fence:
			if v.fences++; v.answers {
				v.conn.sends(wire(v.t, Fence{m.Flags &^ FenceRequest, m.Payload}))
			}
		}
	}
}
