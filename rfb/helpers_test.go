package rfb

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitFor bounds whatever a test waits for.
const waitFor = testenv.Patience

// epoch is when the filters of tests start.
var epoch = time.Unix(1_000_000, 0)

// unhex reads hexadecimal bytes, spaces ignored.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	require.NoError(t, err)
	return b
}

// unhexString is unhex for tables.
func unhexString(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// u16 and u32 are numbers as they go over the wire.
func u16(n ...uint16) (b []byte) {
	for _, n := range n {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return b
}

func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func join(b ...[]byte) []byte { return bytes.Join(b, nil) }

// wire is a message, given as a value or as a pointer, or a part of the
// handshake as it goes over the wire.
func wire(t testing.TB, m any) []byte {
	t.Helper()
	b, err := appended(m, nil)
	require.NoError(t, err)
	return b
}

func appended(m any, b []byte) ([]byte, error) {
	switch m := m.(type) {
	case encoding.BinaryAppender:
		return m.AppendBinary(b)
	case Message:
		return AppendMessage(b, m)
	}
	p := reflect.New(reflect.TypeOf(m))
	p.Elem().Set(reflect.ValueOf(m))
	return AppendMessage(b, p.Interface().(Message))
}

// read is the opposite of wire.
func read(m any, b []byte) error {
	if m, ok := m.(encoding.BinaryUnmarshaler); ok {
		return m.UnmarshalBinary(b)
	}
	return ReadMessage(b, m.(Message))
}

// cuts are ways to cut a stream of n bytes: whole, byte by byte, and some at
// random. Each is the lengths of its parts.
func cuts(n int) map[string][]int {
	ones := make([]int, n)
	for i := range ones {
		ones[i] = 1
	}
	all := map[string][]int{"whole": {n}, "bytes": ones}
	for seed, name := range []string{"random1", "random2", "random3"} {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		var parts []int
		for left := n; left > 0; {
			part := min(left, 1+r.IntN(1+r.IntN(40)))
			if r.IntN(10) == 0 {
				part = min(left, 1+r.IntN(5000))
			}
			parts = append(parts, part)
			left -= part
		}
		all[name] = parts
	}
	return all
}

// noVNCEncodings is what stock noVNC 1.7 lists, in its order.
var noVNCEncodings = []Encoding{
	1, 50, 7, -260, 16, 21, 5, 2, 6, 0, -26, -254, -223, -224, -258, -261, -308, -309, -312, -313, -307,
	-0x3f5e1a32, -316, 0x574d5664, -239,
}

// viewed is what becomes of noVNCEncodings.
var viewed = []Encoding{1, 7, 16, 5, 2, 6, 0, -26, -254, -223, -224, -261, -312, -313, -307}

// noVNC is what stock noVNC sends at the start of a session.
func noVNC(t testing.TB, width, height uint16) []byte {
	return join(
		wire(t, SetPixelFormat{pinned}),
		wire(t, SetEncodings{noVNCEncodings}),
		wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, width, height}}),
	)
}

// listed is a list of encodings as SetEncodings has it on the wire.
func listed(t testing.TB, list []Encoding) []byte {
	return wire(t, SetEncodings{list})[setEncodingsLen:]
}
