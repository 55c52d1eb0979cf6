package consent

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// explanation is what follows the headline of a question as plain text: its sentences.
func (q question) explanation(words Texts, left time.Duration) []string {
	all := []string{q.text(words.Sees, left), q.text(words.Cannot, left)}
	if q.Replaces != "" {
		all = append(all, q.text(words.Replaces, left))
	}
	return append(all, q.text(words.Countdown, left))
}

// text is a sentence with its placeholders filled. A name that is written from right to
// left is kept apart by directional isolates (Unicode Standard Annex 9), or it would change
// the places of the words around it.
func (q question) text(sentence string, left time.Duration) string {
	names := map[string]string{"admin": q.Admin, "host": q.Host, "replaces": q.Replaces, "seconds": seconds(left)}
	var b strings.Builder
	for _, p := range cut(sentence) {
		switch {
		case !p.slot:
			b.WriteString(p.text)
		case strings.ContainsFunc(names[p.text], leftwards):
			b.WriteString("\u2068" + names[p.text] + "\u2069")
		default:
			b.WriteString(names[p.text])
		}
	}
	return b.String()
}

// seconds is a time in whole seconds, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// leftwards reports whether r belongs to a script that is written from right to left.
func leftwards(r rune) bool {
	return unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana, unicode.Nko, unicode.Adlam)
}
