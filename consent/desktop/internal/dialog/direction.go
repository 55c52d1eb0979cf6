package dialog

import (
	"slices"
	"unicode"

	"github.com/go-text/typesetting/bidi"

	"vda.internal/shadow/consent/internal/script"
)

// levelsOf are the embedding levels of the runes of spans (Unicode Standard Annex 9). A
// name counts as a first-strong isolate: its direction doesn't move the words around it, nor
// theirs the name.
func levelsOf(spans []span) []int {
	var words []rune
	for _, s := range spans {
		if s.name {
			words = append(words, unicode.ReplacementChar) // one neutral in its place
		} else {
			words = append(words, []rune(s.text)...)
		}
	}
	outer := implicit(words)
	var all []int
	for _, s := range spans {
		if !s.name {
			n := len([]rune(s.text))
			all, outer = append(all, outer[:n]...), outer[n:]
			continue
		}
		around := (outer[0] + 1) &^ 1
		for _, l := range implicit([]rune(s.text)) {
			all = append(all, around+l)
		}
		outer = outer[1:]
	}
	return all
}

// implicit are the levels of text without embeddings or isolates. The library tells runs
// apart by their direction only, and so takes a number that stands behind text from right to
// left (level 2) together with words from left to right behind it (0).
func implicit(text []rune) []int {
	levels := make([]int, len(text))
	var p bidi.Paragraph
	runs := p.Segment(text, bidi.Neutral)
	for i := range runs.NumRuns() {
		r := runs.Run(i)
		end := r.End
		if r.Level == 2 && !startsLeftwards(text) {
			end = r.Start
			for end < r.End && !unicode.IsSpace(text[end]) && !unicode.IsLetter(text[end]) {
				end++
			}
		}
		for j := r.Start; j < end; j++ {
			levels[j] = int(r.Level)
		}
	}
	return levels
}

// startsLeftwards reports whether the first letter of text runs from right to left, and
// the text with it (rule P2).
func startsLeftwards(text []rune) bool {
	i := slices.IndexFunc(text, unicode.IsLetter)
	return i >= 0 && script.Leftwards(text[i])
}

// visual is a line's clusters from left to right (UAX 9, rule L2).
func (l *line) visual() []cluster {
	all := slices.Clone(l.clusters)
	most := 0
	for _, c := range all {
		most = max(most, c.level)
	}
	for level := most; level > 0; level-- {
		for i := 0; i < len(all); i++ {
			j := i
			for j < len(all) && all[j].level >= level {
				j++
			}
			slices.Reverse(all[i:j])
			i = max(i, j-1)
		}
	}
	return all
}
