package rfb

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
)

// A turn is what the two directions of a session tell each other so that the
// pixel format changes at the same place in the server's stream for the server
// and for the walker. It is safe for concurrent use.
//
// RFB has no answer to SetPixelFormat: a server uses the new format for the
// updates that it composes after it has read the message, and one that it
// composed before may still be under way. So the format is changed only where
// no update can be:
//
//   - The filter counts the requests that went to the server, the walker the
//     updates with pixels that came. One request is answered by one update, or
//     several by one (RFC 6143 §7.5.3), so that the count is never too small.
//     When it is zero the next update is one that will be requested after the
//     SetPixelFormat. This holds for libvncserver, QEMU (whose worker may still
//     encode an update in the old format after SetPixelFormat was read, but
//     only one that was requested), Xvnc and rfb/encode. Updates that have no
//     pixels aren't counted, for QEMU and libvncserver send those unasked.
//   - Where a request is waiting for the screen to change, the count doesn't
//     come down by itself, and two probes bring it down: the relay asks for one
//     pixel, which a server sends at once, and when a rectangle with it has come
//     for another one, each time another, so that an answer is that to a question. The update with the second was composed after everything
//     else that was requested had been answered, or with it (servers send what
//     was asked for and no more, the first update took all older requests with
//     it, and the first probe left one other pixel to be sent at most). Nothing
//     is requested meanwhile.
//   - Requests that were answered by one update would be counted for ever. A sign
//     of life (see [pulse]) puts that right on a screen that is still: an update that has its
//     pixel and nothing else was composed after the server had read that request, and
//     took all older ones with it.
//   - A server with fences says itself where the change is: the answer to a
//     fence with SyncNext, which Xvnc, TurboVNC and KasmVNC know, stands between
//     the last update in the old format and the first in the new one.
type turn struct {
	busy  atomic.Bool   // the walker has bytes of the server's, or is in the middle of a message
	heard atomic.Uint32 // how often it had some
	some  atomic.Bool   // next, probes or signs are set, or a fence is out; written under mu

	mu     sync.Mutex
	owed   uint64       // updates that may come for what was requested; never too few
	sent   uint64       // requests so far
	signs  []sign       // that have been asked for and not come, the oldest first
	next   *PixelFormat // of the next update; nil: as before
	fence  []byte       // payload of a fence that isn't answered; nil: there is none
	after  PixelFormat  // of what comes after its answer
	probes []Rect       // one pixel each, that were asked for; the last is waited for
	probed bool         // it has come

	awaited atomic.Bool   // the filter waits for news
	taken   atomic.Bool   // a sign of life that the viewer wasn't shown has answered its request, too
	news    chan struct{} // has a value after something happened that the filter waits for
}

// A sign is one pixel that was asked for as a sign of life.
type sign struct {
	at  Rect
	nth uint64 // request of the session
}

// maxSigns is how many signs are waited for: the oldest is forgotten.
const maxSigns = 4

// requested counts a request that is being sent.
func (t *turn) requested() {
	t.mu.Lock()
	t.owed++
	t.sent++
	t.mu.Unlock()
}

// signed notes that the request that was counted last is for a sign of life.
func (t *turn) signed(at Rect) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.signs) == maxSigns {
		t.signs = append(t.signs[:0], t.signs[1:]...)
	}
	t.signs = append(t.signs, sign{at, t.sent})
	t.note()
}

// unsigned notes that the viewer wants to be shown what is at r.
func (t *turn) unsigned(r Rect) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.signs = slices.DeleteFunc(t.signs, func(s sign) bool { return s.at == r })
	t.note()
}

// lives takes an update that has nothing but r, and reports whether that is a sign of life.
// What is owed is what has been requested since. If the viewer isn't shown it, hidden, whatever it waits for is to be
// requested once more.
func (t *turn) lives(r Rect, hidden bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.signs, func(s sign) bool { return s.at == r })
	if i < 0 {
		return false
	}
	t.owed = min(t.owed, t.sent-t.signs[i].nth)
	t.signs = append(t.signs[:0], t.signs[i+1:]...)
	t.note()
	if hidden {
		t.taken.Store(true)
		t.wake()
	} else if t.owed == 0 {
		t.tell()
	}
	return true
}

// quiet reports whether no update with pixels can be under way.
func (t *turn) quiet() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.owed == 0
}

// set makes f the format of the next update or, with a fence, of what comes
// after its answer.
func (t *turn) set(f PixelFormat, fence []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fence == nil {
		t.next = &f
	} else {
		t.fence, t.after = fence, f
	}
	t.note()
}

// fencing reports whether a fence of ours hasn't been answered.
func (t *turn) fencing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fence != nil
}

// ask notes that a pixel is being asked for.
func (t *turn) ask(r Rect) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.probes, t.probed = append(t.probes, r), false
	t.note()
}

// settle forgets pixels and requests: all of them have been answered.
func (t *turn) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.probes, t.probed, t.owed, t.signs = nil, false, 0, t.signs[:0]
	t.note()
}

// answered reports whether the pixel that was asked for has come.
func (t *turn) answered() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.probed
}

func (t *turn) note() {
	t.some.Store(t.next != nil || t.fence != nil || t.probes != nil || len(t.signs) > 0)
}

// tell wakes the filter, if it waits for anything.
func (t *turn) tell() {
	if t.awaited.Load() {
		t.wake()
	}
}

func (t *turn) wake() {
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// begins is called at the beginning of an update. It returns the format that
// begins to hold, and the pixels that were asked for.
func (t *turn) begins() (f *PixelFormat, probes []Rect) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, t.next = t.next, nil
	t.note()
	return f, t.probes
}

// came counts an update with pixels.
func (t *turn) came() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.owed > 0 {
		t.owed--
	}
	if t.owed == 0 {
		t.tell()
	}
}

// found notes that a probe's pixel has come.
func (t *turn) found(probe Rect) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.probes); n > 0 && t.probes[n-1] == probe {
		t.probed = true
		t.tell()
	}
}

// fenced takes the answer to a fence. It reports false if it is none of ours.
func (t *turn) fenced(payload []byte) (f PixelFormat, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fence == nil || !bytes.Equal(t.fence, payload) {
		return f, false
	}
	t.next, t.fence = nil, nil
	t.note()
	t.tell()
	return t.after, true
}

// outstanding reports whether a fence of ours waits for its answer, and pixels
// whether the relay has asked for some: the walker looks more closely then.
func (t *turn) outstanding() (fence, pixels bool) {
	if !t.some.Load() {
		return false, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fence != nil, t.probes != nil || len(t.signs) > 0
}
