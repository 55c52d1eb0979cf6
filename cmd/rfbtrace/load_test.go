package main

import (
	"io"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/trace"
)

// A recorded is a whole trace in memory.
type recorded struct {
	trace.Header
	Chunks []trace.Chunk
}

// load reads a file. Of one that was cut off it returns what there is as well as
// the error.
func load(name string) (*recorded, error) {
	s, err := open(name)
	if err != nil {
		return nil, err
	}
	defer s.close()
	t := &recorded{Header: s.Header}
	for c, err := range s.chunks() {
		if err != nil {
			return nil, err
		}
		t.Chunks = append(t.Chunks, c)
	}
	return t, s.cut
}

func (t *recorded) WriteTo(w io.Writer) (int64, error) {
	out, err := trace.NewWriter(w, t.Header)
	for _, c := range t.Chunks {
		if err == nil {
			err = out.Write(c)
		}
	}
	return 0, err
}

func (t *recorded) Stream(from rfb.Direction) (b []byte) {
	for _, c := range t.Chunks {
		if c.From == from {
			b = append(b, c.Data...)
		}
	}
	return b
}

func (t *recorded) Handshake() (*rfb.Handshake, error) {
	h := new(rfb.Handshake)
	for _, c := range t.Chunks {
		if err := h.Feed(c.From, c.Data); err != nil || h.Done() {
			return h, err
		}
	}
	return h, nil
}
