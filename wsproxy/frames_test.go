package wsproxy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/wsproxy"
)

func TestMessagesAreAStream(t *testing.T) {
	dial, targets := dialTo(t)
	r := newRig(t, &wsproxy.Handler{Dial: dial})
	c := r.dialRaw()
	target := receive(t, targets)
	big := bytes.Repeat([]byte("0123456789"), 20000)
	for _, f := range [][]byte{
		frame(fin|opBinary, []byte("one ")),
		frame(fin|opBinary, nil),
		frame(opBinary, nil), // an empty first fragment
		frame(opContinuation, []byte("two ")),
		frame(fin|opPing, []byte("between fragments")),
		frame(fin|opPong, []byte("unasked")),
		frame(opContinuation, nil),
		frame(fin|opContinuation, []byte("three ")),
		frame(fin|opBinary, big),
	} {
		c.write(f)
	}
	want := append([]byte("one two three "), big...)
	got := make([]byte, len(want))
	_, err := io.ReadFull(target, got)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got))
	first, payload := c.next()
	assert.Equal(t, byte(fin|opPong), first)
	assert.Equal(t, "between fragments", string(payload))
	c.closeWith(1000, "")
	c.wantEcho(1000, "")
	target.Close()
	record := r.record()
	assert.EqualValues(t, len(want), record.Received)
	assert.Zero(t, record.Sent)
	assert.Equal(t, c.LocalAddr().String(), record.Remote)
	assert.Positive(t, record.Duration)
}

func TestFramesBehindTheHandshake(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}})
	c := r.send(handshake(r.addr) + string(frame(fin|opBinary, []byte("early"))) + string(frame(fin|opBinary, []byte(" bird"))[:3]))
	c.write(frame(fin|opBinary, []byte(" bird"))[3:])
	b := make([]byte, 10)
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	assert.Equal(t, "early bird", string(b))
}

func TestBytesBecomeFrames(t *testing.T) {
	for _, size := range []int{1, 125, 126, 65535, 65536, 65537, 200_000, 3_000_000} {
		r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
			p := pattern(size)
			n, err := viewer.Write(p)
			clear(p) // Write must not have kept it
			assert.Equal(t, size, n)
			n, emptyErr := viewer.Write(nil) // no frame
			assert.NoError(t, emptyErr)
			assert.Zero(t, n)
			return err
		})})
		c := r.dialRaw()
		var got []byte
		frames := 0
		for len(got) < size {
			first, payload := c.next()
			require.Equal(t, byte(fin|opBinary), first)
			got = append(got, payload...)
			frames++
		}
		assert.True(t, bytes.Equal(pattern(size), got), "%d bytes", size)
		assert.LessOrEqual(t, frames, (size+65535)/65536, "as few as may be")
		c.wantClose(1000, "")
		assert.EqualValues(t, size, r.record().Sent)
	}
}

// pattern is n bytes that don't repeat soon.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return p
}

func TestForbiddenFrames(t *testing.T) {
	unmasked := append([]byte{fin | opBinary, 5}, "hello"...)
	huge := binary.BigEndian.AppendUint64([]byte{fin | opBinary, 0x80 | 127}, 1<<40)
	negative := binary.BigEndian.AppendUint64([]byte{fin | opBinary, 0x80 | 127}, 1<<63)
	key := make([]byte, 4)
	limit := make([]byte, 1000)
	for name, tc := range map[string]struct {
		frames []byte
		code   int
		reason string // its beginning
	}{
		"text":                  {frame(fin|opText, []byte("hello")), wsproxy.StatusUnsupportedData, "Unsupported: Text frames are not supported"},
		"empty text":            {frame(fin|opText, nil), wsproxy.StatusUnsupportedData, "Unsupported"},
		"fragmented text":       {frame(opText, []byte("hel")), wsproxy.StatusUnsupportedData, "Unsupported"},
		"too large":             {frame(fin|opBinary, make([]byte, 1001)), wsproxy.StatusMessageTooBig, "message larger than 1000 bytes"},
		"too large in pieces":   {append(frame(opBinary, limit), frame(fin|opContinuation, []byte{1})...), wsproxy.StatusMessageTooBig, "message larger"},
		"a tebibyte":            {append(append(huge, key...), make([]byte, 2000)...), wsproxy.StatusMessageTooBig, "message larger"},
		"negative length":       {append(negative, key...), wsproxy.StatusProtocolError, ""},
		"unmasked":              {unmasked, wsproxy.StatusProtocolError, "received unmasked frame"},
		"RSV1":                  {frame(fin|0x40|opBinary, nil), wsproxy.StatusProtocolError, ""},
		"RSV2":                  {frame(fin|0x20|opBinary, nil), wsproxy.StatusProtocolError, ""},
		"RSV3 on a ping":        {frame(fin|0x10|opPing, nil), wsproxy.StatusProtocolError, ""},
		"opcode 3":              {frame(fin|3, nil), wsproxy.StatusProtocolError, ""},
		"opcode 11":             {frame(fin|11, nil), wsproxy.StatusProtocolError, ""},
		"stray continuation":    {frame(fin|opContinuation, nil), wsproxy.StatusProtocolError, ""},
		"message in a message":  {append(frame(opBinary, nil), frame(fin|opBinary, nil)...), wsproxy.StatusProtocolError, ""},
		"fragmented ping":       {frame(opPing, nil), wsproxy.StatusProtocolError, ""},
		"long ping":             {frame(fin|opPing, make([]byte, 126)), wsproxy.StatusProtocolError, ""},
		"close of one byte":     {frame(fin|opClose, []byte{3}), wsproxy.StatusProtocolError, ""},
		"close 999":             {frame(fin|opClose, []byte{3, 231}), wsproxy.StatusProtocolError, ""},
		"close 1005":            {frame(fin|opClose, []byte{3, 237}), wsproxy.StatusProtocolError, ""},
		"close 5000":            {frame(fin|opClose, []byte{0x13, 0x88}), wsproxy.StatusProtocolError, ""},
		"close reason no UTF-8": {frame(fin|opClose, []byte{3, 232, 0xff}), wsproxy.StatusProtocolError, "close reason isn't UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			relayed := make(chan error, 1)
			r := newRig(t, &wsproxy.Handler{Dial: pipeDial, MaxMessage: 1000, Relay: relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
				_, err := io.Copy(io.Discard, viewer)
				relayed <- err
				return err
			})})
			c := r.dialRaw()
			c.write(tc.frames)
			code, reason := c.untilClose()
			assert.Equal(t, tc.code, code)
			assert.True(t, strings.HasPrefix(reason, tc.reason), reason)
			if code == wsproxy.StatusProtocolError {
				assert.NotEmpty(t, reason)
			}
			assert.Error(t, receive(t, relayed), "the stream doesn't end as if the viewer had closed")
			c.conn.Close()
			record := r.record()
			assert.Equal(t, tc.code, record.Code)
			assert.Equal(t, reason, record.Reason)
			assert.False(t, record.ByViewer)
			assert.Error(t, record.Err)
		})
	}
}

// The close frame is not lost by what the viewer goes on sending.
func TestMalformedWithMoreBehind(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}})
	c := r.dialRaw()
	c.write([]byte{fin | opBinary, 5})
	c.write(make([]byte, 4<<20))
	code, _ := c.untilClose()
	assert.Equal(t, wsproxy.StatusProtocolError, code)
	c.conn.Close()
	assert.Equal(t, wsproxy.StatusProtocolError, r.record().Code)
}

func TestLargestMessage(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}})
	c := r.dialRaw()
	c.frame(fin|opBinary, make([]byte, 1<<20))
	_, err := io.CopyN(io.Discard, c, 1<<20)
	require.NoError(t, err)
	// The rest of a message is read, not kept: the viewer's own close frame gets through.
	go func() {
		_, _ = c.Write(make([]byte, 4<<20))
		_, _ = c.writeFrame(fin|opClose, nil)
	}()
	_, err = io.Copy(io.Discard, c)
	require.NoError(t, err)
	record := r.record()
	assert.Equal(t, wsproxy.StatusMessageTooBig, record.Code)
}

func TestViewerCloses(t *testing.T) {
	for name, tc := range map[string]struct {
		payload []byte
		code    int
		reason  string
	}{
		"as noVNC does": {nil, wsproxy.StatusNoStatus, ""},
		"1000":          {[]byte{3, 232}, 1000, ""},
		"1001":          {append([]byte{3, 233}, "tab closed"...), 1001, "tab closed"},
		"4001":          {append([]byte{0x0f, 0xa1}, "not by us"...), 4001, "not by us"},
	} {
		t.Run(name, func(t *testing.T) {
			dial, targets := dialTo(t)
			r := newRig(t, &wsproxy.Handler{Dial: dial})
			c := r.dialRaw()
			target := receive(t, targets)
			c.frame(fin|opBinary, []byte("last words"))
			c.frame(fin|opClose, tc.payload)
			c.wantEcho(tc.code, tc.reason)
			got, err := io.ReadAll(target)
			require.NoError(t, err)
			assert.Equal(t, "last words", string(got))
			target.Close()
			record := r.record()
			assert.Equal(t, tc.code, record.Code)
			assert.Equal(t, tc.reason, record.Reason)
			assert.True(t, record.ByViewer)
			assert.NoError(t, record.Err)
		})
	}
}

func TestConnectionLost(t *testing.T) {
	for name, lose := range map[string]func(*raw){
		"reset":                 (*raw).reset,
		"closed":                func(c *raw) { c.conn.Close() },
		"half-closed":           func(c *raw) { _ = c.conn.(*net.TCPConn).CloseWrite() },
		"in the middle":         func(c *raw) { c.write(frame(fin|opBinary, []byte("half a message"))[:9]); c.conn.Close() },
		"in a header":           func(c *raw) { c.write([]byte{fin | opBinary}); c.conn.Close() },
		"between two fragments": func(c *raw) { c.frame(opBinary, nil); c.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			relayed := make(chan error, 1)
			r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
				_, err := io.Copy(io.Discard, viewer)
				relayed <- err
				return nil
			})})
			c := r.dialRaw()
			lose(c)
			assert.Error(t, receive(t, relayed), "not the end of a viewer that closed")
			record := r.record()
			assert.Equal(t, wsproxy.StatusAbnormalClosure, record.Code)
			assert.True(t, record.ByViewer)
			assert.Error(t, record.Err)
		})
	}
}

func FuzzViewer(f *testing.F) {
	f.Add(frame(fin|opBinary, []byte("hello")))
	f.Add(frame(fin|opText, []byte("hello")))
	f.Add(append(frame(opBinary, []byte("a")), frame(fin|opContinuation, []byte("b"))...))
	f.Add(frame(fin|opClose, []byte{3, 232}))
	f.Add(frame(fin|opPing, []byte("ping")))
	f.Add([]byte{fin | opBinary, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5})
	f.Add(append(frame(fin|opBinary, []byte("dropped with what follows")), fin|opBinary, 5))
	f.Add([]byte{fin | opBinary, 5, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, input []byte) {
		var got int64
		r := newRig(t, &wsproxy.Handler{Dial: pipeDial, MaxMessage: 1 << 10, Relay: relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
			n, err := io.Copy(io.Discard, viewer)
			got = n
			return err
		})})
		c := r.dialRaw()
		_, _ = c.conn.Write(input)
		_ = c.conn.(*net.TCPConn).CloseWrite()
		_, err := io.Copy(io.Discard, c) // the frames that come are well-formed
		require.NoError(t, ignoreEnd(err))
		record := r.record()
		assert.LessOrEqual(t, got, record.Received)
		assert.LessOrEqual(t, record.Received, int64(len(input)))
		if !record.ByViewer {
			assert.Contains(t, []int{wsproxy.StatusProtocolError, wsproxy.StatusUnsupportedData, wsproxy.StatusMessageTooBig}, record.Code)
			assert.Error(t, record.Err)
		}
	})
}

// ignoreEnd makes nothing of the ways in which a lost connection ends.
func ignoreEnd(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// A viewer that takes bulk quickly gets large frames, however they are made.
func TestFramesGrow(t *testing.T) {
	const total = 24 << 20
	for name, tc := range map[string]struct {
		change func(*httptest.Server)
		relay  wsproxy.Relay
		most   int
	}{
		"ws":                     {listening, nil, 1 << 20},
		"ws with a Relay":        {listening, relayFunc(copyDownwards), 512 << 10},
		"wss with a Listener":    {gathering, nil, 512 << 10},
		"wss without a Listener": {func(s *httptest.Server) { s.TLS = noTickets() }, nil, 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			dial, targets := dialTo(t)
			c := newRig(t, &wsproxy.Handler{Dial: dial, Relay: tc.relay}, tc.change).dialRaw()
			target := receive(t, targets)
			want := pattern(total)
			go func() { _, _ = target.Write(want) }()
			var got []byte
			largest := 0
			for len(got) < total {
				first, payload := c.next()
				require.Equal(t, byte(fin|opBinary), first)
				got, largest = append(got, payload...), max(largest, len(payload))
			}
			assert.True(t, bytes.Equal(want, got))
			assert.LessOrEqual(t, largest, tc.most)
			if tc.most > 64<<10 {
				assert.Greater(t, largest, 64<<10)
			}
			c.closeWith(1000, "")
		})
	}
}

// copyDownwards is a Relay's Run that reads much at a time from the target.
func copyDownwards(_ context.Context, viewer, target net.Conn) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{viewer}, struct{ io.Reader }{target}, make([]byte, 1<<20))
	return err
}
