package vendors

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
)

// FuzzMessages: what parses is written as something as long that parses to the same, and nothing
// less parses.
func FuzzMessages(f *testing.F) {
	for _, tt := range typed {
		f.Add(unhex(f, tt.bytes), tt.from == rfb.FromViewer)
	}
	f.Fuzz(func(t *testing.T, b []byte, fromViewer bool) {
		parse := ParseServerMessage
		if fromViewer {
			parse = ParseClientMessage
		}
		m, n, err := parse(b)
		if err != nil {
			known := errors.Is(err, rfb.ErrMalformed) || errors.Is(err, rfb.ErrLimit) || errors.Is(err, io.ErrUnexpectedEOF)
			require.True(t, known, "%v", err)
			return
		}
		require.LessOrEqual(t, n, len(b))
		again := wire(t, m)
		require.Len(t, again, n)
		second, n2, err := parse(again)
		require.NoError(t, err)
		assert.Equal(t, n, n2)
		assert.Equal(t, m, second)
		_, _, err = parse(b[:n-1])
		assert.Error(t, err)
	})
}
