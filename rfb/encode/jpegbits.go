package encode

import (
	"encoding/binary"
	"math/bits"
)

// A bitWriter writes a scan's bits, and a zero after each byte 0xff (ITU T.81
// §F.1.2.3).
type bitWriter struct {
	dst  []byte
	bits uint64 // the lowest used are still to be written
	used uint
}

// flush32 writes 32 bits.
func (w *bitWriter) flush32() {
	w.used -= 32
	v := uint32(w.bits >> w.used)
	if inverse := ^v; (inverse-0x01010101)&^inverse&0x80808080 == 0 { // no byte is 0xff
		w.dst = binary.BigEndian.AppendUint32(w.dst, v)
		return
	}
	for shift := 24; shift >= 0; shift -= 8 {
		b := byte(v >> shift)
		if w.dst = append(w.dst, b); b == 0xff {
			w.dst = append(w.dst, 0)
		}
	}
}

// end writes what is left, filled up with ones.
func (w *bitWriter) end() {
	if fill := -w.used & 7; fill > 0 {
		w.bits = w.bits<<fill | (1<<fill - 1)
		w.used += fill
	}
	for w.used > 0 {
		w.used -= 8
		b := byte(w.bits >> w.used)
		if w.dst = append(w.dst, b); b == 0xff {
			w.dst = append(w.dst, 0)
		}
	}
}

// A huffman has the code of each symbol: the code in the upper bits, its length
// in the lowest eight.
type huffman [256]uint32

// newHuffman makes the codes from the number of codes of each length, and the
// symbols (ITU T.81 annex C).
func newHuffman(counts *[16]uint8, symbols []byte) *huffman {
	h := new(huffman)
	code, i := uint32(0), 0
	for length, n := range counts {
		for range n {
			h[symbols[i]] = code<<8 | uint32(length+1)
			code++
			i++
		}
		code <<= 1
	}
	return h
}

// block writes a block: the difference of its mean from last, and the runs of
// zeros and the coefficients behind them (ITU T.81 §F.1.2).
func (w *bitWriter) block(c *coefs, last int32, dc, ac *huffman) (mean int32) {
	acc, used := w.bits, w.used
	if c.set&1 != 0 {
		mean = c.value[0]
	}
	code, n := symbol(dc, 0, mean-last)
	acc, used = acc<<(n&63)|code, used+n
	at := 0
	for set := c.set &^ 1; set != 0; set &= set - 1 {
		next := bits.TrailingZeros64(set)
		run := next - at - 1
		at = next
		for ; run > 15; run -= 16 {
			if used >= 32 {
				w.bits, w.used = acc, used
				w.flush32()
				used = w.used
			}
			const zeros = 0xf0
			n := uint(ac[zeros] & 0xff)
			acc, used = acc<<(n&63)|uint64(ac[zeros]>>8), used+n
		}
		if used >= 32 {
			w.bits, w.used = acc, used
			w.flush32()
			used = w.used
		}
		code, n := symbol(ac, run<<4, c.value[next&63])
		acc, used = acc<<(n&63)|code, used+n
	}
	w.bits, w.used = acc, used
	if used >= 32 {
		w.flush32()
	}
	if at < 63 {
		n := uint(ac[0] & 0xff)
		w.bits, w.used = w.bits<<(n&63)|uint64(ac[0]>>8), w.used+n
		if w.used >= 32 {
			w.flush32()
		}
	}
	return mean
}

// symbol is the code of v after a run, and its bits behind it: a negative number
// is written less one. Shifts here are masked so that the compiler knows that they
// are less than 64.
func symbol(h *huffman, run int, v int32) (code uint64, length uint) {
	sign := v >> 31
	size := uint(bits.Len32(uint32((v ^ sign) - sign)))
	entry := h[(uint(run)|size)&0xff]
	return uint64(entry>>8)<<(size&63) | uint64(uint32(v+sign))&(1<<(size&63)-1), uint(entry&0xff) + size
}
