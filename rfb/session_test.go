package rfb

import (
	"io"
	"time"
)

// A Session is a capture. Package trace, which imports this one, does the rest: see
// Captures.
type Session struct {
	Server, Viewer, Note string
	Chunks               []Chunk
}

// A Chunk is what one peer sent at a time.
type Chunk struct {
	From Direction
	At   time.Duration
	Data []byte
}

// An Event is a message or a rectangle in a session.
type Event struct {
	From      Direction
	Offset    int64
	Len       int
	Name      string
	Message   Message
	Rectangle *Rectangle
}

// Captures are what the tests of this package have of package trace.
var Captures struct {
	Read   func(io.Reader) (*Session, error)
	Write  func(io.Writer, *Session) error
	Trim   func(*Session) error
	Events func(s *Session, each func(Event)) error
}

// Stream is everything that one peer sent.
func (s *Session) Stream(from Direction) (b []byte) {
	for _, c := range s.Chunks {
		if c.From == from {
			b = append(b, c.Data...)
		}
	}
	return b
}

// handshake is the session's, as far as it goes.
func (s *Session) handshake() (*Handshake, error) {
	h := new(Handshake)
	for _, c := range s.Chunks {
		if err := h.Feed(c.From, c.Data); err != nil || h.Done() {
			return h, err
		}
	}
	return h, nil
}
