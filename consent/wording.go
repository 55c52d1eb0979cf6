package consent

import (
	"strconv"
	"strings"
	"time"

	"vda.internal/shadow/consent/internal/script"
)

// A Wording is everything that a user is told about one request, in finished sentences: the
// [Texts] in the session's language, with the request's names in their places, cleaned. It
// is what a [Prompter] or a [Banner] shows.
type Wording struct {
	Language string // of the words, ISO 639-1

	Question  Sentence // the headline and the window's title
	Doubt     Sentence // what is only claimed of who asks; nil: nothing
	Sees      Sentence // what a Yes allows
	Cannot    Sentence // what it doesn't
	Replaces  Sentence // what a Yes ends; nil: nothing
	Watcher   Sentence // what is only claimed of whom Replaces or Displaces names; nil: nothing
	Purpose   Sentence // why, in the administrator's own words, or that it isn't shown; nil: no reason was given
	Locks     Sentence // that locking the screen is a Yes; nil: it isn't
	Countdown Sentence // what silence means, with the seconds that are left
	Notice    Sentence // the headline where the user is only told
	Begins    Sentence // when viewing begins then, with the seconds that are left
	Displaces Sentence // what it ends then, in the place of Replaces; nil: nothing
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
	identity                       Identity
	reasons                        map[string]string
}

// Wording returns the words for r. Texts that don't pass [Texts.Validate] are used as they are.
func (t Texts) Wording(r Request) Wording {
	words, language := t.in(r.Locale)
	w := Wording{
		Language: language, No: words.No, Yes: words.Yes, Stop: words.Stop, reasons: words.Reasons,
		admin: or(clean(r.Admin), words.Somebody), host: or(clean(r.Host), words.Here), replaces: clean(r.Replaces),
		purpose: CleanPurpose(r.Purpose), identity: Identity{Account: clean(r.Identity.Account), Name: clean(r.Identity.Name)},
	}
	w.Doubt = w.doubt(words, clean(r.Admin))
	w.Question, w.Sees, w.Cannot = w.sentence(words.Question), w.sentence(words.Sees), w.sentence(words.Cannot)
	if w.replaces != "" {
		w.Replaces, w.Displaces = w.sentence(words.Replaces), w.sentence(words.Displaces)
		if r.ReplacesUnverified {
			w.Watcher = w.sentence(words.Unverified)
		}
	}
	switch {
	case w.purpose != "":
		w.Purpose = w.sentence(words.Purpose)
	case r.PurposeHidden:
		w.Purpose = w.sentence(words.Withheld)
	}
	if r.LockAllows {
		w.Locks = w.sentence(words.LockYes)
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
func (w Wording) Reason(why string) string { return or(w.reasons[why], cleanTo(why, maxText, false)) }

// Explanation is what follows the headline of a question as plain text, sentence by sentence.
// left is how long the user has.
func (w Wording) Explanation(left time.Duration) []string {
	var all []string
	for _, s := range []Sentence{w.Doubt, w.Purpose, w.Sees, w.Cannot, w.Replaces, w.Watcher, w.Locks, w.Countdown} {
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
		case p.text == "admin":
			all = append(all, w.who()...)
		default:
			name := map[string]string{"host": w.host, "replaces": w.replaces, "purpose": w.purpose, "alias": unquoted(w.admin)}[p.text]
			all = append(all, Part{Text: name, Role: Name})
		}
	}
	return all
}

// who is the administrator: the full name and the account where they are known, each with a direction of
// its own, else what the caller says.
func (w *Wording) who() Sentence {
	switch id := w.identity; {
	case id.Account == "":
		return Sentence{{Text: w.admin, Role: Name}}
	case id.String() == id.Account:
		return Sentence{{Text: id.Account, Role: Name}}
	default:
		return Sentence{{Text: id.Name, Role: Name}, {Text: " ("}, {Text: id.Account, Role: Name}, {Text: ")"}}
	}
}

// doubt says what is only claimed of the administrator, who is stated to be somebody; nil: nothing.
func (w *Wording) doubt(words Texts, stated string) Sentence {
	switch {
	case stated == "":
	case w.identity.Account == "":
		return w.sentence(words.Unverified)
	case !w.identity.Is(stated):
		return w.sentence(words.Alias)
	}
	return nil
}

// A Sentence is text with names in it.
type Sentence []Part

// A Part of a sentence is shown as its role asks for.
type Part struct {
	Text string `json:"text,omitempty"` // one line, cleaned
	Role Role   `json:"role,omitempty"` // empty: plain words
}

// A Role is what a part of a sentence is.
type Role string

// The roles.
const (
	Plain   Role = ""        // words
	Name    Role = "name"    // somebody's or something's: to be emphasised, with a direction of its own
	Seconds Role = "seconds" // how many are left; the part has no text
)

// Text returns the sentence as plain text. A right-to-left name is enclosed in directional isolates
// (Unicode Standard Annex 9), so that it doesn't reorder the words around it. left is the remaining
// time; it is rounded up to seconds.
func (s Sentence) Text(left time.Duration) string {
	var b strings.Builder
	for _, p := range s {
		switch {
		case p.Role == Seconds:
			b.WriteString(seconds(left))
		case p.Role == Name && strings.ContainsFunc(p.Text, script.Leftwards):
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
