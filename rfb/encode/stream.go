package encode

import (
	"github.com/klauspost/compress/flate"
)

// A stream is a zlib stream (RFC 1950) that goes through many rectangles. It is
// written as a header and deflated blocks: no checksum is ever due, for it never
// ends, and the level can change in the middle.
type stream struct {
	w     *flate.Writer
	level int
	begun bool
	sink  sink
}

// A sink collects what it is given.
type sink struct{ b []byte }

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

// restart makes what comes next the beginning of another stream.
func (s *stream) restart() {
	if s.w != nil {
		s.w.Reset(&s.sink)
	}
	s.begun = false
}

// begin makes dst what the stream is written to, at a level from 1 to 6.
func (s *stream) begin(dst []byte, level int) {
	s.sink.b = dst
	if s.w == nil || s.level != level {
		s.w, _ = flate.NewWriter(&s.sink, level) // fails with other levels only
		s.level = level
	}
	if !s.begun {
		s.sink.b = append(s.sink.b, 0x78, 0x01)
		s.begun = true
	}
}

// write deflates p.
func (s *stream) write(p []byte) { _, _ = s.w.Write(p) } // a sink never fails

// end makes all that was written readable and returns it, behind what begin was
// given.
func (s *stream) end() []byte {
	_ = s.w.Flush()
	b := s.sink.b
	s.sink.b = nil
	return b
}

// levels of zlib for CompressLevel 0 to 9. Viewers whose user doesn't choose, such
// as noVNC and TigerVNC's, ask for 2. Of a tile of text level 6 makes 9 % fewer
// bytes than level 1, in twice the time; level 9 makes 17 % fewer, in a hundred
// times the time, which no viewer may ask of a server.
var levels = [...]int{1, 1, 1, 2, 2, 3, 3, 4, 5, 6}

// level is the zlib level that the viewer asked for, 1 unless it did.
func (h *hints) level() int {
	if h.compress < 0 {
		return levels[0]
	}
	return levels[h.compress]
}
