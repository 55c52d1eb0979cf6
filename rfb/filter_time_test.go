package rfb

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFilterDelaysFullRequestsAndLosesNone(t *testing.T) {
	now := epoch
	f := newClientFilter(newAgreed(640, 480), false, nil, 0)
	feed := func(m FramebufferUpdateRequest) []byte {
		f.out = f.out[:0]
		_, err := f.feed(now, wire(t, m))
		require.NoError(t, err)
		return f.out
	}
	full := func(r Rect) FramebufferUpdateRequest { return FramebufferUpdateRequest{Rect: r} }
	all := full(Rect{0, 0, 640, 480})
	assert.Equal(t, wire(t, all), feed(all))
	assert.Equal(t, wire(t, all), feed(all))

	assert.Empty(t, feed(full(Rect{10, 10, 10, 10})))
	assert.Empty(t, feed(full(Rect{100, 200, 10, 10})))
	incremental := FramebufferUpdateRequest{true, Rect{1, 1, 1, 1}}
	assert.Equal(t, wire(t, incremental), feed(incremental), "incremental ones aren't delayed")

	at := f.wake(false)
	assert.Equal(t, epoch.Add(500*time.Millisecond), at)
	f.out = f.out[:0]
	_, err := f.feed(at.Add(-1), nil)
	require.NoError(t, err)
	assert.Empty(t, f.out)
	f.agreed.resize(105, 480) // meanwhile
	_, err = f.feed(at, nil)
	require.NoError(t, err)
	assert.Equal(t, wire(t, full(Rect{10, 10, 95, 200})), f.out)
	assert.Zero(t, f.wake(false), "nothing is owed any more")
}

func TestFilterDelaysEncodingsAndSendsTheLatest(t *testing.T) {
	f := newClientFilter(newAgreed(640, 480), false, nil, 0)
	list := func(n int) []byte { return wire(t, SetEncodings{[]Encoding{EncodingTight, Encoding(-512 + n)}}) }
	f.out = nil
	var want []byte
	for n := range 15 {
		_, err := f.feed(epoch, list(n))
		require.NoError(t, err)
		if n < encodingsRate.n {
			want = append(want, list(n)...)
		}
	}
	assert.Equal(t, want, f.out)
	f.out = nil
	at := f.wake(false)
	assert.Equal(t, epoch.Add(6*time.Second), at)
	_, err := f.feed(at, nil)
	require.NoError(t, err)
	assert.Equal(t, list(14), f.out)

	f.out = nil
	_, err = f.feed(at.Add(time.Hour), list(14))
	require.NoError(t, err)
	assert.Empty(t, f.out, "what the server knows isn't said again")
}

func TestFilterReadsAFloodSlowly(t *testing.T) {
	got := whole(t, bytes.Repeat(unhex(t, "03 01 0000 0000 0001 0001"), 1000))
	require.NoError(t, got.err)
	assert.Len(t, got.out, len(start(t))+1000*framebufferUpdateRequestLen)
	assert.Equal(t, 4*time.Second, got.took, "1000 messages at 200 a second, the first second's at once")
}

func TestFilterEndsAFloodOfInput(t *testing.T) {
	got := whole(t, bytes.Repeat(unhex(t, "05 00 0001 0001"), 100_000))
	require.ErrorIs(t, got.err, ErrForbidden)
	assert.Len(t, got.drops, dropRate.n, "a minute's at once")
	assert.Equal(t, start(t), got.out)

	// Twice as many as any mouse sends, for a minute.
	f := newClientFilter(newAgreed(640, 480), false, nil, 0)
	second, err := 0, error(nil)
	for ; err == nil; second++ {
		_, err = f.feed(epoch.Add(time.Duration(second)*time.Second), bytes.Repeat(unhex(t, "05 00 0001 0001"), 2000))
	}
	assert.Equal(t, 60, second)
}

// A person who moves the mouse in a noVNC that isn't told to be view-only sends
// as many messages a second as screen or mouse have, and may do so for as long as
// he likes. What else the viewer says doesn't wait for them.
func TestFilterLetsPeopleMoveTheMouse(t *testing.T) {
	for _, hertz := range []int{60, 144, 250, 1000} {
		f := newClientFilter(newAgreed(640, 480), false, nil, 0)
		move, request := unhex(t, "05 00 0001 0001"), unhex(t, "03 01 0000 0000 0001 0001")
		for i := range 10 * 60 * hertz { // ten minutes
			says := move
			if i%20 == 0 {
				says = request
			}
			f.out = f.out[:0]
			n, err := f.feed(epoch.Add(time.Duration(i)*time.Second/time.Duration(hertz)), says)
			require.NoError(t, err, "%d a second, after %d s", hertz, i/hertz)
			require.Equal(t, len(says), n)
			if i%20 == 0 {
				require.Equal(t, request, f.out)
			}
		}
	}
}

func TestFilterWantsMessagesFinished(t *testing.T) {
	for _, in := range []string{"04", "02 00 0002 00000001", "06 000000 00000010 01"} {
		f := newClientFilter(newAgreed(640, 480), false, nil, 0)
		_, err := f.feed(epoch, unhex(t, in))
		require.NoError(t, err)
		at := f.wake(false)
		assert.Equal(t, epoch.Add(messageTimeout), at)
		_, err = f.feed(at.Add(-1), []byte{0})
		require.NoError(t, err)
		_, err = f.feed(at, []byte{0})
		assert.ErrorIs(t, err, ErrLimit, "a byte now and then doesn't help")
	}
}

// What somebody has copied ends no view, however long it is and however slow the line, as long as it comes.
func TestFilterSkipsALongClipboard(t *testing.T) {
	for _, length := range []int{256<<10 + 1, 1 << 20, maxClientCutText} {
		f := newClientFilter(newAgreed(640, 480), false, nil, 0)
		in := append(unhex(t, "06 000000"), byte(length>>24), byte(length>>16), byte(length>>8), byte(length))
		at := epoch
		_, err := f.feed(at, in)
		require.NoError(t, err)
		f.out = f.out[:0]
		part := make([]byte, 32<<10)
		for left := length; left > 0; left -= len(part) {
			at = at.Add(messageTimeout/2 - 1)
			_, err := f.feed(at, part[:min(left, len(part))])
			require.NoError(t, err, "%d of %d bytes to come", left, length)
		}
		request := unhex(t, "03 01 0000 0000 0001 0001")
		_, err = f.feed(at, request)
		require.NoError(t, err)
		require.Equal(t, request, f.out)
	}
}

// So do all the screens that a SetDesktopSize can have.
func TestFilterSkipsManyScreens(t *testing.T) {
	request := unhex(t, "03 01 0000 0000 0001 0001")
	in := append(unhex(t, "fb 00 0400 0300 ff 00"), make([]byte, 16*255)...)
	got := whole(t, append(in, request...))
	require.NoError(t, got.err)
	require.Equal(t, append(start(t), request...), got.out)
}

// The time of a message is counted from its own beginning.
func TestFilterCountsTheTimeOfEachMessage(t *testing.T) {
	f := newClientFilter(newAgreed(640, 480), false, nil, 0)
	for _, before := range []string{"03 01 0000 0000 0001 0001", "0d", "02 00 0001 00000007"} {
		_, err := f.feed(epoch, unhex(t, before))
		require.NoError(t, err)
	}
	later := epoch.Add(time.Minute)
	for _, slow := range []string{"04", "03", "02 00 0002", "06 000000 00000010"} {
		f := *f
		for _, at := range []time.Duration{0, 1, messageTimeout - 1} {
			_, err := f.feed(later.Add(at), unhex(t, slow))
			require.NoError(t, err, "%s, %v after its beginning", slow, at)
			slow = "00"
			assert.Equal(t, later.Add(messageTimeout), f.wake(false))
		}
		_, err := f.feed(later.Add(messageTimeout), nil)
		assert.ErrorIs(t, err, ErrLimit)
	}
}
