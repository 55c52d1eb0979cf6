package trace

import (
	"errors"
	"io"
	"iter"

	"vda.internal/shadow/rfb"
)

// A Trimmer passes chunks on up to the last message that each peer has completed:
// a capture usually ends where a connection did. It holds chunks back until it is
// known, so that its memory is that of the largest message, or update. The zero
// Trimmer is ready to use, for one session.
type Trimmer struct {
	Cut int64 // bytes that were left out, once the chunks have ended

	d    Decoder
	held []Chunk
	seen [3]int64 // by direction: bytes before held, so far as they were passed on
}

// Trim returns the chunks without what comes after the last message that each peer
// has completed. An error of chunks that wraps [io.ErrUnexpectedEOF] is returned
// after all that is complete. If something can't be read, or the handshake doesn't
// end, the error is that of [Decoder.Feed] or [Decoder.End], and what is held back
// is lost.
func (t *Trimmer) Trim(chunks iter.Seq2[Chunk, error]) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		var cut error
		for c, err := range chunks {
			if err == nil {
				err = t.feed(c)
			} else if errors.Is(err, io.ErrUnexpectedEOF) {
				cut = err
				break
			}
			if err != nil {
				yield(Chunk{}, err)
				return
			}
			if !t.pass(yield, false) {
				return
			}
		}
		if err := t.d.End(); err != nil && !t.d.Handshake().Done() {
			yield(Chunk{}, err)
			return
		}
		for range t.d.Feed(Chunk{From: rfb.FromServer}) { // a refusal without a reason is over now
		}
		if t.pass(yield, true) && cut != nil {
			yield(Chunk{}, cut)
		}
	}
}

func (t *Trimmer) feed(c Chunk) error {
	t.held = append(t.held, c)
	for _, err := range t.d.Feed(c) {
		if err != nil {
			return err
		}
	}
	return nil
}

// pass passes on the chunks that are complete, or at the end the parts that are.
// It reports false if nobody wants more.
func (t *Trimmer) pass(yield func(Chunk, error) bool, end bool) bool {
	for len(t.held) > 0 {
		c := t.held[0]
		n := min(int64(len(c.Data)), t.d.complete[c.From]-t.seen[c.From])
		if n < int64(len(c.Data)) && !end {
			return true
		}
		t.held = t.held[1:]
		t.seen[c.From] += n
		t.Cut += int64(len(c.Data)) - n
		if c.Data = c.Data[:n]; n > 0 && !yield(c, nil) {
			return false
		}
	}
	return true
}

// Events are those of a whole session: what [Decoder.Feed] makes of its chunks, and
// at the end the error of [Decoder.End], if there is one. An error comes with an
// Event that says where, and is the last.
func Events(chunks iter.Seq2[Chunk, error]) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var d Decoder
		for c, err := range chunks {
			if err != nil {
				yield(Event{At: d.now}, err)
				return
			}
			for e, err := range d.Feed(c) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
		if err := d.End(); err != nil {
			yield(d.where(err), err)
			return
		}
		for e, err := range d.Feed(Chunk{From: rfb.FromServer, At: d.now}) { // a refusal without a reason
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}
