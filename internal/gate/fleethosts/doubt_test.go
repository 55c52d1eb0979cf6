package fleethosts

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
)

// Who has a host's key doesn't fill the log with what isn't believed, and takes nothing from others' lines.
func TestDoubtsOfOneHost(t *testing.T) {
	var log bytes.Buffer
	d := New(nil, Options{Logger: zerolog.New(&log)})
	d.hosts["vda1"], d.hosts["vda2"] = new(Host), new(Host)
	for range 500 {
		d.doubt("vda1", errors.New("no signature")).Uint64("line", 1).Msg("it isn't believed")
	}
	assert.Less(t, strings.Count(log.String(), "vda1"), 100)
	d.doubt("vda2", errors.New("no signature")).Msg("it isn't believed")
	assert.Contains(t, log.String(), "vda2")

	log.Reset()
	for n := range 500 { // nor with names that nobody has
		d.doubt(fmt.Sprint("nobody", n), errors.New("no signature")).Msg("it isn't believed")
	}
	assert.Less(t, strings.Count(log.String(), "nobody"), 100)
	assert.Len(t, d.doubts, 3)
}
