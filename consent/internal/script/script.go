// Package script knows the directions of scripts.
package script

import "unicode"

// Leftwards reports whether r belongs to a script that is written from right to left.
func Leftwards(r rune) bool {
	return unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana, unicode.Nko, unicode.Adlam)
}
