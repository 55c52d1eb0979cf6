package wsproxy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPace(t *testing.T) {
	var p pace
	assert.Equal(t, minFrame, p.limit(maxFrame), "nothing is known")
	for size := minFrame; size < maxFrame; size *= 2 {
		assert.Equal(t, size, p.limit(maxFrame))
		p.took(100, 0)
		assert.Equal(t, size, p.limit(maxFrame), "a small frame says nothing")
		p.took(size, quick-1)
	}
	p.took(maxFrame, 0)
	assert.Equal(t, maxFrame, p.limit(maxFrame))
	assert.Equal(t, copyFrame, p.limit(copyFrame))
	p.took(maxFrame, slow)
	assert.Equal(t, maxFrame, p.limit(maxFrame), "as large as may be")
	for range 10 {
		p.took(100, time.Second)
	}
	assert.Equal(t, minFrame, p.limit(maxFrame), "a slow viewer gets small frames")
}
