// Package proto has what package rfb and those below it share and nobody else needs.
package proto

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Short says that bytes end before what they begin with does, and how many more are needed at
// least. It wraps [io.ErrUnexpectedEOF].
type Short int

// Error implements error.
func (s Short) Error() string {
	return fmt.Sprintf("%v: at least %d bytes more", io.ErrUnexpectedEOF, int(s))
}

// Unwrap returns [io.ErrUnexpectedEOF].
func (s Short) Unwrap() error { return io.ErrUnexpectedEOF }

// The most of a text that is shown of a peer's, in bytes.
const (
	MaxReason = 1 << 10 // of a failure reason
	MaxName   = 4 << 10 // of a desktop name
)

// CleanText makes text from a peer fit to be shown: valid UTF-8, printable
// characters on one line, at most limit bytes.
func CleanText(s string, limit int) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "?") {
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case !unicode.IsPrint(r):
			continue
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
