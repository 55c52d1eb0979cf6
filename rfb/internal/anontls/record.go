package anontls

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// A contentType is what is in a record (§6.2.1).
type contentType uint8

const (
	typeChangeCipherSpec contentType = 20
	typeAlert            contentType = 21
	typeHandshake        contentType = 22
	typeData             contentType = 23
)

const (
	version12 = 0x0303
	version10 = 0x0301 // in the first record, for servers that are particular about it (§E.1)

	headerLen   = 5
	maxPlain    = 1 << 14 // bytes in a record
	explicitLen = 8       // of the nonce, in each record
	tagLen      = 16
	maxSealed   = explicitLen + maxPlain + tagLen
	maxRecord   = headerLen + maxSealed
)

// A half is one direction. The zero half leaves records as they are.
type half struct {
	aead  cipher.AEAD // nil: none yet
	nonce [saltLen + explicitLen]byte
	seq   uint64
	extra [13]byte // what is authenticated besides; kept so that it needn't be made for each record
}

var errSpent = errors.New("no more records can be encrypted with these keys")

// prepare is the nonce and the additional data of the next record: the sequence number is the nonce's explicit
// part, so that none comes twice.
func (h *half) prepare(t contentType, n int) error {
	if h.seq == math.MaxUint64 {
		return errSpent
	}
	binary.BigEndian.PutUint64(h.extra[:], h.seq)
	h.extra[8] = byte(t)
	binary.BigEndian.PutUint16(h.extra[9:], version12)
	binary.BigEndian.PutUint16(h.extra[11:], uint16(n))
	h.seq++
	return nil
}

// seal appends a record with p, of at most maxPlain bytes, to b.
func (h *half) seal(b []byte, version uint16, t contentType, p []byte) ([]byte, error) {
	n := len(p)
	if h.aead != nil {
		n += explicitLen + tagLen
	}
	b = append(b, byte(t), byte(version>>8), byte(version), byte(n>>8), byte(n))
	if h.aead == nil {
		return append(b, p...), nil
	}
	binary.BigEndian.PutUint64(h.nonce[saltLen:], h.seq)
	if err := h.prepare(t, len(p)); err != nil {
		return nil, err
	}
	b = append(b, h.nonce[saltLen:]...)
	return h.aead.Seal(b, h.nonce[:], p, h.extra[:]), nil
}

// open returns what is in a record, in its place.
func (h *half) open(t contentType, p []byte) ([]byte, error) {
	if h.aead == nil {
		return p, nil
	}
	if len(p) < explicitLen+tagLen {
		return nil, wrong(alertDecodeError, "record of %d bytes", len(p))
	}
	copy(h.nonce[saltLen:], p)
	p = p[explicitLen:]
	if err := h.prepare(t, len(p)-tagLen); err != nil {
		return nil, err
	}
	p, err := h.aead.Open(p[:0], h.nonce[:], p, h.extra[:])
	if err != nil {
		return nil, wrong(alertBadRecordMAC, "a record was changed on its way")
	}
	return p, nil
}

// A reader takes a stream apart into records. A deadline that passes in the middle of one loses nothing.
type reader struct {
	from       io.Reader
	half       half
	agreed     bool // on the version
	buf        [2 * maxRecord]byte
	start, end int // of what was read and isn't taken
}

// next returns the next record, which is valid until the next call. io.EOF is an end between two records.
func (r *reader) next() (contentType, []byte, error) {
	if err := r.fill(headerLen); err != nil {
		return 0, nil, err
	}
	head := r.buf[r.start:]
	t, version, n := contentType(head[0]), binary.BigEndian.Uint16(head[1:]), int(binary.BigEndian.Uint16(head[3:]))
	limit := maxPlain
	if r.half.aead != nil {
		limit = maxSealed
	}
	switch {
	case t < typeChangeCipherSpec || t > typeData:
		return 0, nil, wrong(alertUnexpectedMessage, "record of type %d", t)
	case version>>8 != version12>>8, r.agreed && version != version12:
		return 0, nil, wrong(alertProtocolVersion, "record of version %#04x", version)
	case n > limit:
		return 0, nil, wrong(alertRecordOverflow, "record of %d bytes", n)
	}
	if err := r.fill(headerLen + n); err != nil {
		return 0, nil, err
	}
	sealed := r.buf[r.start+headerLen : r.start+headerLen+n]
	r.start += headerLen + n
	p, err := r.half.open(t, sealed)
	return t, p, err
}

// fill reads until n bytes are there.
func (r *reader) fill(n int) error {
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	if r.start+n > len(r.buf) {
		r.end = copy(r.buf[:], r.buf[r.start:r.end])
		r.start = 0
	}
	for empty := 0; r.end-r.start < n; {
		m, err := r.from.Read(r.buf[r.end:])
		r.end += m
		switch {
		case r.end-r.start >= n:
		case err == io.EOF && r.end > r.start:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case m == 0:
			if empty++; empty == 100 {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}
