package wsproxy_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/wsproxy"
)

// The cases of the Autobahn test suite's server side, by its numbers. Left out
// is what can't be: 6.x and the text halves of 1.x, 5.x and 9.x, because a text
// message is refused (of 10.1.1, what is checked is fragments), and 12.x and 13.x, because compression is never
// negotiated (TestSubprotocol).

// A conformance case is what a client sends, through an echo, and what must
// come back.
type conformance struct {
	name  string
	sends []byte
	echo  string   // the stream
	pongs []string // their payloads
	code  int      // of the close frame
}

const (
	closedProperly = 1000
	malformed      = wsproxy.StatusProtocolError
)

// say joins frames, goodbye included.
func say(frames ...[]byte) []byte { return slices.Concat(append(frames, bye(1000, ""))...) }

func binaryFrame(s string) []byte        { return frame(fin|opBinary, []byte(s)) }
func part(opcode byte, s string) []byte  { return frame(opcode, []byte(s)) }
func ping(s string) []byte               { return frame(fin|opPing, []byte(s)) }
func bye(code int, reason string) []byte { return frame(fin|opClose, closing(code, reason)) }
func closing(code int, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

func framingCases() (all []conformance) {
	for _, size := range []int{0, 125, 126, 127, 128, 65535, 65536} { // 1.2.1 to 1.2.7
		p := string(pattern(size))
		all = append(all, conformance{fmt.Sprintf("1.2 %d bytes", size), say(binaryFrame(p)), p, nil, closedProperly})
	}
	// §5.2: the length has to be minimal. Like most, we don't insist.
	long := append([]byte{fin | opBinary, 0x80 | 126, 0, 2, 0, 0, 0, 0}, "hi"...)
	return append(all,
		conformance{"length not minimal", say(long), "hi", nil, closedProperly},
		conformance{"unmasked", append([]byte{fin | opBinary, 2}, "hi"...), "", nil, malformed},
		conformance{"unmasked ping", []byte{fin | opPing, 0}, "", nil, malformed},
		conformance{"top bit of the length", append(binary.BigEndian.AppendUint64([]byte{fin | opBinary, 0x80 | 127}, 1<<63|5), 1, 2, 3, 4), "", nil, malformed},
		conformance{"text", frame(fin|opText, []byte("hi")), "", nil, wsproxy.StatusUnsupportedData},
		conformance{"text in fragments", append(frame(opText, []byte("h")), frame(fin|opContinuation, []byte("i"))...), "", nil, wsproxy.StatusUnsupportedData},
	)
}

func pingCases() []conformance {
	many := [][]byte{}
	answers := []string{}
	for i := range 10 {
		many = append(many, ping(fmt.Sprint("ping ", i)))
		answers = append(answers, fmt.Sprint("ping ", i))
	}
	full := string(pattern(125))
	return []conformance{
		{"2.1 empty", say(ping("")), "", []string{""}, closedProperly},
		{"2.2 payload", say(ping("Hello, world!")), "", []string{"Hello, world!"}, closedProperly},
		{"2.3 binary", say(ping("\x00\xff\xfe\xfd\xfc\xfb\x00\xff")), "", []string{"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"}, closedProperly},
		{"2.4 125 bytes", say(ping(full)), "", []string{full}, closedProperly},
		{"2.5 126 bytes", say(ping(full + "x")), "", nil, malformed},
		{"2.7 unasked pong", say(frame(fin|opPong, nil)), "", nil, closedProperly},
		{"2.8 with payload", say(frame(fin|opPong, []byte("unasked"))), "", nil, closedProperly},
		{"2.9 then a ping", say(frame(fin|opPong, []byte("unasked")), ping("asked")), "", []string{"asked"}, closedProperly},
		{"2.10 ten pings", say(many...), "", answers, closedProperly},
	}
}

func reservedCases() (all []conformance) {
	for bits := byte(0x10); bits <= 0x70; bits += 0x10 { // 3.1 to 3.7
		all = append(all,
			conformance{fmt.Sprintf("3 RSV %#x", bits), say(frame(fin|bits|opBinary, []byte("hi"))), "", nil, malformed},
			conformance{fmt.Sprintf("3 RSV %#x on a ping", bits), say(frame(fin|bits|opPing, nil)), "", nil, malformed},
			conformance{fmt.Sprintf("3 RSV %#x on a close", bits), frame(fin|bits|opClose, closing(1000, "")), "", nil, malformed},
		)
	}
	for _, opcode := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} { // 4.1 and 4.2
		all = append(all,
			conformance{fmt.Sprintf("4 opcode %d", opcode), say(frame(fin|opcode, nil)), "", nil, malformed},
			conformance{fmt.Sprintf("4 opcode %d with payload", opcode), say(frame(fin|opcode, []byte("hi"))), "", nil, malformed},
		)
	}
	return all
}

func fragmentCases() []conformance {
	return []conformance{
		{"5.1 ping in two", say(part(opPing, "a"), part(fin|opContinuation, "b")), "", nil, malformed},
		{"5.2 pong in two", say(part(opPong, "a"), part(fin|opContinuation, "b")), "", nil, malformed},
		{"5.3 two fragments", say(part(opBinary, "one"), part(fin|opContinuation, "two")), "onetwo", nil, closedProperly},
		{"5.6 a ping between", say(part(opBinary, "one"), ping("p"), part(fin|opContinuation, "two")), "onetwo", []string{"p"}, closedProperly},
		{"5.9 nothing to continue", say(part(fin|opContinuation, "x"), binaryFrame("y")), "", nil, malformed},
		{"5.12 nothing to continue, no FIN", say(part(opContinuation, "x"), binaryFrame("y")), "", nil, malformed},
		{"5.15 nothing to continue behind a message, no FIN", say(part(opBinary, "one"), part(fin|opContinuation, "two"), part(opContinuation, "three"), binaryFrame("four")), "", nil, malformed},
		{"5.18 a message in a message", say(part(opBinary, "one"), part(fin|opBinary, "two")), "", nil, malformed},
		{"5.18 a beginning in a message", say(part(opBinary, "one"), part(opBinary, "two")), "", nil, malformed},
		{"5.18 a text in a message", say(part(opBinary, "one"), part(fin|opText, "two")), "", nil, malformed},
		{"5.20 five fragments, two pings", say(part(opBinary, "1"), part(opContinuation, "2"), ping("p1"), part(opContinuation, "3"), part(opContinuation, "4"), ping("p2"), part(fin|opContinuation, "5")), "12345", []string{"p1", "p2"}, closedProperly},
		{"empty fragments", say(part(opBinary, ""), part(opContinuation, ""), part(fin|opContinuation, "x")), "x", nil, closedProperly},
		{"empty messages", say(binaryFrame(""), part(opBinary, ""), part(fin|opContinuation, ""), binaryFrame("x")), "x", nil, closedProperly},
		{"continuation of what is over", say(part(opBinary, "1"), part(fin|opContinuation, "2"), part(fin|opContinuation, "3")), "", nil, malformed},
	}
}

func closeCases() (all []conformance) {
	all = []conformance{
		{"7.1.1 after data", say(binaryFrame("x")), "x", nil, closedProperly},
		{"7.1.2 twice", say(bye(1000, "")), "", nil, closedProperly},
		{"7.1.3 ping behind", append(bye(1000, ""), ping("late")...), "", nil, closedProperly},
		{"7.1.4 data behind", append(bye(1000, ""), binaryFrame("late")...), "", nil, closedProperly},
		{"7.1.5 within a message", say(part(opBinary, "x")), "x", nil, closedProperly},
		{"7.1.6 behind 256 KiB", append(say(binaryFrame(string(pattern(256<<10)))), ping("late")...), string(pattern(256 << 10)), nil, closedProperly},
		{"7.3.1 empty", frame(fin|opClose, nil), "", nil, wsproxy.StatusNoStatus},
		{"7.3.2 one byte", frame(fin|opClose, []byte{3}), "", nil, malformed},
		{"7.3.4 with a reason", bye(1000, "Grüße"), "", nil, closedProperly},
		{"7.3.5 with a long reason", bye(1000, strings.Repeat("*", 123)), "", nil, closedProperly},
		{"7.3.6 with one too long", bye(1000, strings.Repeat("*", 124)), "", nil, malformed},
		{"7.5.1 reason that isn't UTF-8", bye(1000, "\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited"), "", nil, malformed},
		{"fragmented close", frame(opClose, closing(1000, "")), "", nil, malformed},
	}
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} { // 7.7
		all = append(all, conformance{fmt.Sprint("7.7 code ", code), bye(code, "so"), "", nil, code})
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} { // 7.9, 7.13
		all = append(all, conformance{fmt.Sprint("7.9 code ", code), bye(code, ""), "", nil, malformed})
	}
	return all
}

func TestRFC6455(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}, PingInterval: -1})
	for _, tc := range slices.Concat(framingCases(), pingCases(), reservedCases(), fragmentCases(), closeCases()) {
		t.Run(tc.name, func(t *testing.T) {
			for _, piece := range []int{len(tc.sends), 997, 1} { // the suite's "chops"
				if piece == 1 && len(tc.sends) > 300 || piece == 997 && len(tc.sends) <= 997 {
					continue
				}
				c := r.dialRaw()
				conform(t, c, tc, piece)
				c.conn.Close()
				record := r.record()
				assert.Equal(t, tc.code, record.Code)
				assert.Equal(t, tc.code != malformed && tc.code != wsproxy.StatusUnsupportedData || strings.HasPrefix(tc.name, "7.7"), record.ByViewer)
			}
		})
	}
}

// conform sends the case in pieces of that size and looks at what comes.
func conform(t *testing.T, c *raw, tc conformance, piece int) {
	go func() {
		for p := range slices.Chunk(tc.sends, piece) {
			if _, err := c.conn.Write(p); err != nil {
				return // it was closed on us in the middle, as it may be
			}
		}
	}()
	var stream bytes.Buffer
	var pongs []string
	for {
		first, payload := c.next()
		switch first {
		case fin | opBinary:
			stream.Write(payload)
			continue
		case fin | opPong:
			pongs = append(pongs, string(payload))
			continue
		}
		require.Equal(t, byte(fin|opClose), first)
		code := wsproxy.StatusNoStatus
		if len(payload) > 0 {
			code = int(binary.BigEndian.Uint16(payload))
		}
		assert.Equal(t, tc.code, code)
		_, _ = c.conn.Write(frame(fin|opClose, nil)) // for a text message; else nobody reads it
		break
	}
	if tc.code != malformed && tc.code != wsproxy.StatusUnsupportedData { // else what went before needn't come through
		assert.Equal(t, tc.pongs, pongs)
		assert.True(t, strings.HasPrefix(tc.echo, stream.String()), "the echo is what was sent, as far as it came before the end")
	}
	require.NoError(t, c.conn.SetReadDeadline(time.Now().Add(patience)))
	_, err := c.r.ReadByte()
	require.Error(t, err, "nothing follows a close frame")
}

// 3.2 to 3.4, 4.1.3 to 4.1.5 and 4.2.3 to 4.2.5: what fails a connection is
// behind a good message and in front of a ping. The message is answered, the
// ping isn't.
func TestRFC6455FailureAfterAMessage(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}, PingInterval: -1})
	for _, tc := range []struct {
		name  string
		wrong []byte
	}{
		{"3.2", part(fin|0x20|opBinary, "hi")},
		{"3.3", part(fin|0x30|opBinary, "hi")},
		{"3.4", part(fin|0x40|opBinary, "hi")},
		{"4.1.3", part(fin|5, "")},
		{"4.1.4", part(fin|6, "hi")},
		{"4.1.5", part(fin|7, "")},
		{"4.2.3", part(fin|13, "")},
		{"4.2.4", part(fin|14, "hi")},
		{"4.2.5", part(fin|15, "")},
	} {
		for _, piece := range []int{100, 1} {
			t.Run(fmt.Sprint(tc.name, " in pieces of ", piece), func(t *testing.T) {
				c := r.dialRaw()
				c.write(binaryFrame("hello"))
				first, payload := c.next()
				require.Equal(t, byte(fin|opBinary), first)
				require.Equal(t, "hello", string(payload))
				go func() {
					for p := range slices.Chunk(append(tc.wrong, ping("late")...), piece) {
						if _, err := c.conn.Write(p); err != nil {
							return
						}
					}
				}()
				first, payload = c.next()
				require.Equal(t, byte(fin|opClose), first)
				assert.Equal(t, malformed, int(binary.BigEndian.Uint16(payload)))
				c.conn.Close()
				assert.Equal(t, malformed, r.record().Code)
			})
		}
	}
}

// 5.19: five fragments and two pings, with a pause in the middle of the message
// that ends when all that came before it is answered.
func TestRFC6455PauseInAMessage(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}, PingInterval: -1})
	c := r.dialRaw()
	answered := func(stream, pong string) {
		t.Helper()
		for got, ponged := "", false; got != stream || !ponged; {
			switch first, payload := c.next(); first {
			case fin | opBinary:
				got += string(payload)
				require.True(t, strings.HasPrefix(stream, got))
			case fin | opPong:
				require.False(t, ponged)
				require.Equal(t, pong, string(payload))
				ponged = true
			default:
				require.FailNow(t, "unexpected frame", "%#x", first)
			}
		}
	}
	c.write(slices.Concat(part(opBinary, "1"), part(opContinuation, "2"), ping("p1")))
	answered("12", "p1")
	c.write(slices.Concat(part(opContinuation, "3"), part(opContinuation, "4"), ping("p2"), part(fin|opContinuation, "5")))
	answered("345", "p2")
	c.closeWith(1000, "")
	c.wantEcho(1000, "")
}

// fragmented is p as one binary message in fragments of that size.
func fragmented(p []byte, size int) []byte {
	var b bytes.Buffer
	for from := 0; from < len(p); from += size {
		first := byte(opContinuation)
		if from == 0 {
			first = opBinary
		}
		if from+size >= len(p) {
			first |= fin
		}
		b.Write(frame(first, p[from:min(from+size, len(p))]))
	}
	return b.Bytes()
}

// 9.x and 10.1.1: large messages, whole, in fragments and in chops, and many
// messages, whose echo is complete.
func TestRFC6455Limits(t *testing.T) {
	big := pattern(16 << 20)
	type limit struct {
		name        string
		sends, echo []byte
		chop        int // bytes written at a time; 0: all
	}
	all := []limit{{"10.1.1 64 KiB by 1300 bytes", fragmented(big[:65536], 1300), big[:65536], 0}}
	for i, size := range []int{64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20} {
		all = append(all, limit{fmt.Sprintf("9.2.%d %d bytes at once", i+1, size), frame(fin|opBinary, big[:size]), big[:size], 0})
	}
	for i, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
		all = append(all, limit{fmt.Sprintf("9.4.%d 4 MiB by %d bytes", i+1, size), fragmented(big[:4<<20], size), big[:4<<20], 0})
	}
	mega := frame(fin|opBinary, big[:1<<20])
	for i, chop := range []int{64, 128, 256, 512, 1024, 2048} {
		all = append(all, limit{fmt.Sprintf("9.6.%d 1 MiB in chops of %d", i+1, chop), mega, big[:1<<20], chop})
	}
	var small bytes.Buffer
	for p := range slices.Chunk(big[:1<<20], 16) {
		small.Write(frame(fin|opBinary, p))
	}
	all = append(all, limit{"65536 messages at once", small.Bytes(), big[:1<<20], 0})
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}, MaxMessage: -1})
	for _, tc := range all {
		t.Run(tc.name, func(t *testing.T) {
			c := r.dialRaw()
			require.NoError(t, c.conn.SetDeadline(time.Now().Add(patience)))
			go func() {
				for p := range slices.Chunk(tc.sends, cmp.Or(tc.chop, len(tc.sends))) {
					if _, err := c.conn.Write(p); err != nil {
						return // what is read falls short
					}
				}
			}()
			got := make([]byte, len(tc.echo))
			_, err := io.ReadFull(c, got)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(tc.echo, got))
			c.closeWith(1000, "")
			c.wantEcho(1000, "")
			assert.EqualValues(t, len(tc.echo), r.record().Received)
		})
	}
}

// 9.8: a thousand messages, each sent when the one before has come back. An
// empty one has no echo in a stream, so that a ping's comes in its place.
func TestRFC6455RoundTrips(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}, PingInterval: -1})
	for i, size := range []int{0, 16, 64, 256, 1024, 4096} {
		t.Run(fmt.Sprintf("9.8.%d %d bytes", i+1, size), func(t *testing.T) {
			c := r.dialRaw()
			for i := range 1000 {
				p := bytes.Repeat([]byte{byte(i)}, size)
				if c.write(frame(fin|opBinary, p)); size == 0 {
					c.write(ping(fmt.Sprint(i)))
					first, payload := c.next()
					require.Equal(t, byte(fin|opPong), first)
					require.Equal(t, fmt.Sprint(i), string(payload))
					continue
				}
				got := make([]byte, size)
				require.NoError(t, c.conn.SetReadDeadline(time.Now().Add(patience)))
				_, err := io.ReadFull(c, got)
				require.NoError(t, err)
				require.True(t, bytes.Equal(p, got))
			}
			c.closeWith(1000, "")
			c.wantEcho(1000, "")
			assert.EqualValues(t, 1000*size, r.record().Received)
		})
	}
}
