package source

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow"
)

// A capture's lines are notes however they come; what isn't of its form is none, and one that talks without end is
// cut short.
func TestNotes(t *testing.T) {
	n := newNotes()
	for _, part := range []string{
		"shadowd capture: the X server lacks DAMAGE: so\nshadowd cap", "ture: now shown: the wh", "ole\npanic: oh\n\n",
		"shadowd capture: \x1b[31m\xff\u202e\n", "shadowd capture: " + strings.Repeat("x", 5000), "y\nshadowd capture: not complete",
	} {
		_, _ = n.Write([]byte(part))
	}
	assert.Equal(t, shadow.Note{Text: "the X server lacks DAMAGE: so"}, <-n.lines)
	assert.Equal(t, shadow.Note{Text: "now shown: the whole", Changed: true}, <-n.lines)
	assert.Equal(t, shadow.Note{Text: "?[31m??"}, <-n.lines)
	assert.Equal(t, shadow.Note{Text: strings.Repeat("x", maxNote-len(captureSays))}, <-n.lines)
	assert.Empty(t, n.lines)
	for range 5000 {
		_, _ = n.Write([]byte("\nshadowd capture: again\n"))
	}
	assert.Len(t, n.lines, maxNotes)
	_, _ = n.Write([]byte("\nshadowd capture: now shown: less\n"))
	var last shadow.Note
	for range maxNotes {
		last = <-n.lines
	}
	assert.Equal(t, shadow.Note{Text: "now shown: less", Changed: true}, last)
}
