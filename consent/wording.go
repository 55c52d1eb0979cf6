package consent

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A Wording is everything that a user is told about one request, in finished sentences: the
// [Texts] in the session's language, with the request's names in their places, cleaned. It
// is what a [Prompter] or a [Banner] shows.
type Wording struct {
	Language string // of the words, ISO 639-1

	Question  Sentence // the headline and the window's title
	Sees      Sentence // what a Yes allows
	Cannot    Sentence // what it doesn't
	Replaces  Sentence // what a Yes ends; nil: nothing
	Purpose   Sentence // why, in the administrator's own words; nil: no reason was given
	Countdown Sentence // what silence means, with the seconds that are left
	Notice    Sentence // the headline where the user is only told
	Begins    Sentence // when viewing begins then, with the seconds that are left
	Basis     Sentence // what allows the viewing without an answer; nil: an answer does
	No, Yes   string   // the buttons

	Viewing Sentence // the banner and its title
	Stop    string   // its button
	Pause   string   // the other button
	Resume  string   // the same during a pause
	Paused  Sentence // the banner during a pause
	Away    Sentence // the banner while a lost viewer may return, with the seconds that are left
	Ended   Sentence // the banner in the end

	admin, host, replaces, purpose string // cleaned
	reasons                        map[string]string
}

// Wording returns the words for r. Texts that don't pass [Texts.Validate] are used as they are.
func (t Texts) Wording(r Request) Wording {
	words, language := t.in(r.Locale)
	w := Wording{
		Language: language, No: words.No, Yes: words.Yes, Stop: words.Stop, reasons: words.Reasons,
		admin: or(clean(r.Admin), words.Somebody), host: or(clean(r.Host), words.Here), replaces: clean(r.Replaces),
		purpose: CleanPurpose(r.Purpose),
	}
	w.Question, w.Sees, w.Cannot = w.sentence(words.Question), w.sentence(words.Sees), w.sentence(words.Cannot)
	if w.replaces != "" {
		w.Replaces = w.sentence(words.Replaces)
	}
	if w.purpose != "" {
		w.Purpose = w.sentence(words.Purpose)
	}
	w.Countdown = w.sentence(words.Countdown)
	if r.SilenceAllows {
		w.Countdown = w.sentence(words.CountdownYes)
	}
	w.Notice, w.Begins = w.sentence(words.Notice), w.sentence(words.Begins)
	w.Basis = w.sentence(map[Basis]string{
		ByNotice: words.Unasked, ByRuleOnly: words.Unasked, BySilence: words.Unanswered, ByLock: words.Locked,
	}[r.Basis])
	w.Pause, w.Resume, w.Paused, w.Away = words.Pause, words.Resume, w.sentence(words.Paused), w.sentence(words.Away)
	w.Viewing, w.Ended = w.sentence(words.Viewing), w.sentence(words.Ended)
	return w
}

// Reason says why viewing has ended: the words for one of the shadow package's reasons
// ("viewer_left"), and any other text as it is, cleaned.
func (w Wording) Reason(why string) string { return or(w.reasons[why], cleanTo(why, maxText)) }

// Explanation is what follows the headline of a question as plain text, sentence by sentence.
// left is how long the user has.
func (w Wording) Explanation(left time.Duration) []string {
	var all []string
	for _, s := range []Sentence{w.Purpose, w.Sees, w.Cannot, w.Replaces, w.Countdown} {
		if len(s) > 0 {
			all = append(all, s.Text(left))
		}
	}
	return all
}

// sentence is a text with the names in their places.
func (w *Wording) sentence(text string) Sentence {
	var all Sentence
	for _, p := range cut(text) {
		switch {
		case !p.slot:
			all = append(all, Part{Text: p.text})
		case p.text == "seconds":
			all = append(all, Part{Role: Seconds})
		default:
			name := map[string]string{"admin": w.admin, "host": w.host, "replaces": w.replaces, "purpose": w.purpose}[p.text]
			all = append(all, Part{Text: name, Role: Name})
		}
	}
	return all
}

// A Sentence is words with names among them.
type Sentence []Part

// A Part of a sentence is shown as its role asks for.
type Part struct {
	Text string `json:"text,omitempty"`
	Role Role   `json:"role,omitempty"`
}

// A Role is what a part of a sentence is.
type Role string

// The roles.
const (
	Plain   Role = ""        // words
	Name    Role = "name"    // somebody's or something's: to be emphasised, with a direction of its own
	Seconds Role = "seconds" // how many are left; the part has no text
)

// Text is the sentence as plain text. A name that is written from right to left is kept apart
// by directional isolates (Unicode Standard Annex 9), or it would change the places of the
// words around it. left is for the seconds, which are rounded up.
func (s Sentence) Text(left time.Duration) string {
	var b strings.Builder
	for _, p := range s {
		switch {
		case p.Role == Seconds:
			b.WriteString(seconds(left))
		case p.Role == Name && strings.ContainsFunc(p.Text, leftwards):
			b.WriteString("\u2068" + p.Text + "\u2069")
		default:
			b.WriteString(p.Text)
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
