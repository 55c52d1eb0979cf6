package policy

import (
	"strings"
	"unicode"
)

// MatchAny reports whether one of the patterns matches all of s. In them "*" stands for any
// characters, and case makes no difference.
func MatchAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if match(p, s, false) {
			return true
		}
	}
	return false
}

// coversAny reports whether one of the patterns matches whatever other does.
func coversAny(patterns []string, other string) bool {
	for _, p := range patterns {
		if match(p, other, true) {
			return true
		}
	}
	return false
}

// match reports whether pattern matches all of s, in which case makes no difference. With
// asPattern s is a pattern, too, whose stars only a star of the first can take: then what s matches,
// pattern does. It takes time in proportion to the product of both lengths at most.
func match(pattern, s string, asPattern bool) bool {
	p, text := fold(pattern), fold(s)
	i, j := 0, 0
	star, taken := -1, 0 // place of the last star, and the runes that it and what is before it have taken
	for j < len(text) {
		switch {
		case i < len(p) && p[i] == '*':
			star, taken = i, j
			i++
		case i < len(p) && p[i] == text[j] && !(asPattern && text[j] == '*'):
			i++
			j++
		case star >= 0:
			taken++
			i, j = star+1, taken
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// fold is s without regard to case: letters that are the same but for case become the same rune. None beyond ASCII
// is the same as one of ASCII, such as U+017F and s: a gate's access table keeps them apart.
// Bytes that aren't UTF-8 become U+FFFD, which is what users are never shown: see package consent.
func fold(s string) []rune {
	return []rune(strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			if next > unicode.MaxASCII || r <= unicode.MaxASCII {
				least = min(least, next)
			}
		}
		return least
	}, s))
}
