package dialog

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A menu over a window that has just come looks like a lock, but not for long.
func TestShutOnceIsNotLocked(t *testing.T) {
	d := seen()
	assert.False(t, d.staysShut(true))
	assert.False(t, d.staysShut(false))
	assert.False(t, d.staysShut(true))
	assert.True(t, d.staysShut(true))
}
