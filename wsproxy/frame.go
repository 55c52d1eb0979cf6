package wsproxy

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
)

// Opcodes (RFC 6455 §5.2), and what stands in a header besides.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPong         = 10

	finBit  = 0x80 // of the first byte
	maskBit = 0x80 // of the second
)

// Opcodes with the FIN bit set: this end never fragments.
const (
	finBinary = 0x82
	finClose  = 0x88
	finPing   = 0x89
	finPong   = 0x8a
)

// maxHeader is the longest header of a frame that isn't masked.
const maxHeader = 10

// appendHeader appends the header of an unmasked frame of n payload bytes.
func appendHeader(b []byte, first byte, n int) []byte {
	switch {
	case n <= 125:
		return append(b, first, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, first, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, first, 127), uint64(n))
}

// closeFrame is the close frame for a code and reason; [StatusNoStatus] gives
// an empty one.
func closeFrame(code int, reason string) []byte {
	if code == StatusNoStatus {
		return []byte{finClose, 0}
	}
	reason = cut(reason)
	b := appendHeader(make([]byte, 0, 2+2+len(reason)), finClose, 2+len(reason))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return append(b, reason...)
}

// unmask sets dst to src without its mask (RFC 6455 §5.3). The key's first
// byte is its lowest. What is returned is the key for the byte that follows.
func unmask(dst, src []byte, key uint32) uint32 {
	next := bits.RotateLeft32(key, -8*(len(src)%4))
	dst = dst[:len(src)]
	wide := uint64(key)<<32 | uint64(key)
	if len(src) >= wideMask {
		var mask [wideMask]byte
		for i := 0; i < wideMask; i += 8 {
			binary.LittleEndian.PutUint64(mask[i:], wide)
		}
		for len(src) >= wideMask {
			subtle.XORBytes(dst, src, mask[:])
			dst, src = dst[wideMask:], src[wideMask:]
		}
	}
	for len(src) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^wide)
		dst, src = dst[8:], src[8:]
	}
	for i := range src {
		dst[i] = src[i] ^ byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return next
}

// wideMask is how many bytes are unmasked at a time. It is a multiple of 8.
const wideMask = 512
