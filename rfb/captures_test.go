package rfb_test

import (
	"io"
	"iter"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/trace"
)

func init() {
	rfb.Captures.Read = readSession
	rfb.Captures.Write = writeSession
	rfb.Captures.Trim = func(s *rfb.Session) error {
		var kept []rfb.Chunk
		for c, err := range new(trace.Trimmer).Trim(chunks(s)) {
			if err != nil {
				return err
			}
			kept = append(kept, rfb.Chunk(c))
		}
		s.Chunks = kept
		return nil
	}
	rfb.Captures.Events = func(s *rfb.Session, each func(rfb.Event)) error {
		for e, err := range trace.Events(chunks(s)) {
			if err != nil {
				return err
			}
			each(rfb.Event{From: e.From, Offset: e.Offset, Len: e.Len, Name: e.Name(), Message: e.Message, Rectangle: e.Rectangle})
		}
		return nil
	}
}

func readSession(r io.Reader) (*rfb.Session, error) {
	t, err := trace.NewReader(r)
	if err != nil {
		return nil, err
	}
	s := &rfb.Session{Server: t.Server, Viewer: t.Viewer, Note: t.Note}
	for c, err := range t.Chunks() {
		if err != nil {
			return nil, err
		}
		s.Chunks = append(s.Chunks, rfb.Chunk(c))
	}
	return s, nil
}

func writeSession(w io.Writer, s *rfb.Session) error {
	t, err := trace.NewWriter(w, trace.Header{Server: s.Server, Viewer: s.Viewer, Note: s.Note})
	for _, c := range s.Chunks {
		if err != nil {
			return err
		}
		err = t.Write(trace.Chunk(c))
	}
	return err
}

func chunks(s *rfb.Session) iter.Seq2[trace.Chunk, error] {
	return func(yield func(trace.Chunk, error) bool) {
		for _, c := range s.Chunks {
			if !yield(trace.Chunk(c), nil) {
				return
			}
		}
	}
}
