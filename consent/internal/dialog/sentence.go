package dialog

import (
	"strconv"
	"strings"
)

// A Sentence is words with names among them.
type Sentence []Part

// A Part of a sentence is shown as its role asks for.
type Part struct {
	Text string
	Role Role
}

// A Role is what a part of a sentence is.
type Role uint8

// The roles.
const (
	Words   Role = iota
	Name         // somebody's or something's: emphasised, and with a direction of its own
	Seconds      // how many are left; the text doesn't count
)

// String is the sentence in one, for where only plain text goes. A name that is written
// from right to left stands in isolates, or it would change the places of the words.
func (s Sentence) String() string {
	var b strings.Builder
	for _, p := range s {
		if p.Role == Name && strings.ContainsFunc(p.Text, leftwards) {
			b.WriteString(string(isolate) + p.Text + string(endIsolate))
		} else {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

// First-strong isolates keep a name's direction from the words around it.
const (
	isolate    = '\u2068'
	endIsolate = '\u2069'
)

// A tone is how a sentence looks.
type tone struct {
	words, names       *style
	wordsInk, namesInk *ink
	longest            int // pixels, for a name; a longer one is cut. 0 means any
}

// spans are the sentence in a tone. left is for the seconds.
func (s Sentence) spans(t tone, left int) []span {
	var all []span
	for _, p := range s {
		switch p.Role {
		case Words:
			all = append(all, span{text: p.Text, style: t.words, ink: t.wordsInk})
		case Seconds:
			all = append(all, span{text: strconv.Itoa(left), style: t.names, ink: t.namesInk})
		case Name:
			n := span{text: p.Text, style: t.names, ink: t.namesInk, name: true}
			if t.longest > 0 {
				n.text = fit(n, t.longest)
			}
			all = append(all, n)
		}
	}
	return all
}

// fit is the text of a span, cut and with "…" behind it if it is longer than width.
func fit(s span, width int) string {
	lines := breakLines([]span{s}, width, 1)
	if len(lines) == 0 {
		return s.text
	}
	var b strings.Builder
	for _, c := range lines[0].clusters {
		b.WriteString(string(c.text))
	}
	return b.String()
}
