package encode

import (
	"slices"

	"vda.internal/shadow/rfb"
)

// extend makes b n bytes longer; what they contain is to be written.
func extend(b []byte, n int) []byte {
	return slices.Grow(b, n)[:len(b)+n]
}

func appendU16(b []byte, v int) []byte { return append(b, byte(v>>8), byte(v)) }

func appendU32(b []byte, v uint32) []byte {
	return append(b, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// appendHead appends the header of a rectangle.
func appendHead(b []byte, x, y, width, height int, encoding rfb.Encoding) []byte {
	if uint(x)|uint(y)|uint(width)|uint(height) > 0xffff {
		panic("encode: rectangle beyond 65535")
	}
	b = appendU16(b, x)
	b = appendU16(b, y)
	b = appendU16(b, width)
	b = appendU16(b, height)
	return appendU32(b, uint32(encoding))
}
