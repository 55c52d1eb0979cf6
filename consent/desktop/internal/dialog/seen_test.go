package dialog

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What the server says of the window counts at once, and wherever the pointer is.
func TestACoveredWindowTakesNoYes(t *testing.T) {
	d := seen()
	d.inside = true
	assert.False(t, d.barred())
	d.setCovered(true)
	assert.True(t, d.barred())
	d.setCovered(false)
	assert.False(t, d.barred())
	assert.False(t, d.controls.clear, "Yes waits")
}
