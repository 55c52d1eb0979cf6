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
func clean(s string) string { return cleanTo(s, maxName, false) }

// CleanName returns a name as users see it, except for its length, for code that decides by name.
func CleanName(s string) string { return cleanTo(s, 4*maxName, false) }

// cleanTo makes text from outside safe to show in one line: controls, format
// characters (bidi overrides and zero-width ones among them), private and
// unassigned code points are dropped, every run of blanks becomes one space, and what is
// longer than most runes is cut and ends in "…". With joiners, what some scripts are spelled with
// stays: see isJoiner.
func cleanTo(s string, most int, joiners bool) string {
	var b strings.Builder
	n, marks := 0, 0
	blank := false    // a space is due before the next rune
	var before rune   // the one written last
	var joiner string // one that is due before the next rune, if that is of the script
	for _, r := range s {
		due := joiner
		joiner = ""
		switch {
		case isJoiner(r):
			if joiners && !blank && n < most && unicode.In(before, joining...) {
				joiner = string(r)
			}
			continue
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
		switch {
		case blank:
			b.WriteByte(' ')
			n++
			blank = false
		case due != "" && unicode.In(r, joining...):
			b.WriteString(due)
			n++
		}
		b.WriteRune(r)
		before = r
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

// CleanPurpose makes an administrator's reason safe to show in one line of at most 200 runes. It
// cleans the text as it does names, and replaces quotation marks by apostrophes, so that the text
// can't appear to end early. The result is what users see, what a pattern must match, and what is
// recorded.
func CleanPurpose(s string) string { return unquoted(cleanTo(s, maxPurpose, true)) }

// joining has the scripts in which a joiner is a matter of spelling.
var joining = []*unicode.RangeTable{
	unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati,
	unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar,
}

// isJoiner reports whether r is ZERO WIDTH NON-JOINER or ZERO WIDTH JOINER: Persian and the scripts
// of India have words that are misspelled without. They don't show by themselves, so names, which
// decide who somebody is, go without all the same.
func isJoiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

// unquoted is s with quotation marks as apostrophes, to stand between quotation marks.
func unquoted(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Quotation_Mark, r) {
			return '\''
		}
		return r
	}, s)
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
