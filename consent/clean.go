package consent

import (
	"strings"
	"unicode"
)

// maxName is how many runes of a name from outside are shown.
const maxName = 64

// maxPurpose is how many runes of an administrator's reason are shown.
const maxPurpose = 200

// maxMarks is how many combining marks may follow one another: enough for
// every written language, too few to paint over the neighbouring lines.
const maxMarks = 2

// clean makes text from outside safe to show as one short name: see cleanTo.
func clean(s string) string { return cleanTo(s, maxName) }

// CleanName is a name as users are shown it, but for its length: for whoever decides by it.
func CleanName(s string) string { return cleanTo(s, 4*maxName) }

// cleanTo makes text from outside safe to show in one line: controls, format
// characters (bidi overrides and zero-width ones among them), private and
// unassigned code points are dropped, every run of blanks becomes one space, and what is
// longer than most runes is cut and ends in "…".
func cleanTo(s string, most int) string {
	var b strings.Builder
	n, marks := 0, 0
	blank := false // a space is due before the next rune
	for _, r := range s {
		switch {
		case isBlank(r):
			blank = n > 0
			continue
		case r == unicode.ReplacementChar || !unicode.IsGraphic(r):
			continue
		case unicode.Is(unicode.M, r):
			if marks++; marks > maxMarks || n == 0 {
				continue
			}
		default:
			marks = 0
		}
		if blank {
			b.WriteByte(' ')
			n++
			blank = false
		}
		b.WriteRune(r)
		// One rune beyond the limit is enough to know that there is more.
		if n++; n > most {
			break
		}
	}
	if n <= most {
		return b.String()
	}
	return strings.TrimRight(string([]rune(b.String())[:most-1]), " ") + "…"
}

// CleanPurpose makes the reason that an administrator gives safe to show, in one line of at most
// 200 runes: as names are cleaned, and with quotation marks as apostrophes, so that the words can't
// seem to end before they do. It is what users are shown, what a pattern is held against, and what
// is recorded.
func CleanPurpose(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Quotation_Mark, r) {
			return '\''
		}
		return r
	}, cleanTo(s, maxPurpose))
}

// isBlank reports whether r shows nothing but room: what Unicode calls a space,
// and the letters that are drawn empty.
func isBlank(r rune) bool {
	switch r {
	case '\u115f', '\u1160', '\u2800', '\u3164', '\uffa0': // Hangul fillers, Braille blank
		return true
	}
	return unicode.IsSpace(r)
}

// or returns s, or instead if s is empty.
func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}
