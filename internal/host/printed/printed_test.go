package printed

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHeadKeepsTheBeginning(t *testing.T) {
	h := Head{Max: 5}
	for range 3 {
		n, err := h.Write([]byte("abc"))
		require.NoError(t, err)
		assert.Equal(t, 3, n)
	}
	assert.Equal(t, "abcab", string(h.Bytes()))
	assert.True(t, h.Over())

	h = Head{Max: 5, Strict: true}
	_, err := h.Write([]byte("abcde"))
	require.NoError(t, err)
	assert.False(t, h.Over())
	_, err = h.Write([]byte("f"))
	assert.Error(t, err)
	assert.True(t, h.Over())
}

func TestTailKeepsTheEnd(t *testing.T) {
	var log Tail
	for range 1000 {
		_, _ = log.Write([]byte("a line of the log\n"))
	}
	_, _ = log.Write([]byte(strings.Repeat("x", 2*TailSize)))
	assert.Len(t, log.String(), TailSize)
	_, _ = log.Write([]byte("\nthe end\n\n"))
	assert.Len(t, log.String(), TailSize)
	assert.Equal(t, "the end", log.Last())
	assert.Empty(t, new(Tail).Last())
}
