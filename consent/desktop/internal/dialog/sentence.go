package dialog

import (
	"strconv"
	"strings"

	"vda.internal/shadow/consent"
)

// A tone is how a sentence looks.
type tone struct {
	words, names       *style
	wordsInk, namesInk *ink
	longest            int // pixels, for a name; a longer one is cut. 0 means any
}

// spans are a sentence in a tone. left is for the seconds.
func spans(s consent.Sentence, t tone, left int) []span {
	var all []span
	for _, p := range s {
		switch p.Role {
		case consent.Plain:
			all = append(all, span{text: p.Text, style: t.words, ink: t.wordsInk})
		case consent.Seconds:
			all = append(all, span{text: strconv.Itoa(left), style: t.names, ink: t.namesInk})
		case consent.Name:
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
