package consent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Texts are the words that a user sees. A zero field means the built-in words of the
// session's language, see [Request]; one that is set is shown in every language. A
// placeholder stands where a name or a number goes: each field says which it must hold, at
// least once, and it may hold no other. What a name itself holds is never taken for one.
type Texts struct {
	Question   string `toml:"question,omitempty"`   // the headline and the window's title; holds {admin}
	Unverified string `toml:"unverified,omitempty"` // where the name is only what the caller says; holds nothing
	Alias      string `toml:"alias,omitempty"`      // where the caller uses another name than its account's; holds {alias}

	Sees      string `toml:"sees,omitempty"`      // what a Yes allows; holds {host}
	Cannot    string `toml:"cannot,omitempty"`    // what it doesn't; holds nothing
	Replaces  string `toml:"replaces,omitempty"`  // what a Yes ends; holds {replaces}
	Purpose   string `toml:"purpose,omitempty"`   // why, in the administrator's own words, so in quotation marks; holds {purpose}
	Withheld  string `toml:"withheld,omitempty"`  // that a reason was given and isn't shown; holds nothing
	Countdown string `toml:"countdown,omitempty"` // what silence means; holds {seconds}

	CountdownYes string `toml:"countdown_yes,omitempty"` // what silence means where a rule says that it is a Yes; holds {seconds}

	LockYes string `toml:"lock_yes,omitempty"` // what locking the screen means where a rule says that it is a Yes; holds nothing

	No  string `toml:"no,omitempty"`  // the buttons; hold nothing, and differ
	Yes string `toml:"yes,omitempty"` // see No

	Notice string `toml:"notice,omitempty"` // the headline where the user isn't asked, only told; holds {admin}
	Begins string `toml:"begins,omitempty"` // when viewing begins then; holds {seconds}

	Displaces string `toml:"displaces,omitempty"` // what that ends; holds {replaces}

	Unasked    string `toml:"unasked,omitempty"`    // why it is allowed: nobody had to be asked; these hold nothing
	Unanswered string `toml:"unanswered,omitempty"` // the user didn't answer
	Locked     string `toml:"locked,omitempty"`     // the screen was locked

	Viewing string            `toml:"viewing,omitempty"` // the banner and its title; holds {admin}
	Stop    string            `toml:"stop,omitempty"`    // its button; holds nothing
	Pause   string            `toml:"pause,omitempty"`   // the button that pauses; holds nothing
	Resume  string            `toml:"resume,omitempty"`  // and the one that ends the pause
	Paused  string            `toml:"paused,omitempty"`  // the banner meanwhile; holds {admin}
	Away    string            `toml:"away,omitempty"`    // the banner while a lost viewer may return; holds {admin}, and may hold {seconds}
	Ended   string            `toml:"ended,omitempty"`   // the banner in the end; holds {admin}
	Reasons map[string]string `toml:"reasons,omitempty"` // why it ended, by the reason's word ("viewer_left"); hold nothing

	Somebody string `toml:"somebody,omitempty"` // {admin} of a request without one; holds nothing
	Here     string `toml:"here,omitempty"`     // {host} of a request without one; holds nothing
}

// Bounds of a text, in runes.
const (
	maxText  = 200 // a sentence
	maxLabel = 24  // a button
)

// A text is one field of Texts.
type text struct {
	key   string
	value *string
	holds string // its placeholder, without the braces; empty: none
	most  int    // runes
}

// fields are the texts of t besides the reasons.
func (t *Texts) fields() []text {
	return []text{
		{"question", &t.Question, "admin", maxText},
		{"unverified", &t.Unverified, "", maxText},
		{"alias", &t.Alias, "alias", maxText},
		{"sees", &t.Sees, "host", maxText},
		{"cannot", &t.Cannot, "", maxText},
		{"replaces", &t.Replaces, "replaces", maxText},
		{"purpose", &t.Purpose, "purpose", maxText},
		{"withheld", &t.Withheld, "", maxText},
		{"countdown", &t.Countdown, "seconds", maxText},
		{"countdown_yes", &t.CountdownYes, "seconds", maxText},
		{"lock_yes", &t.LockYes, "", maxText},
		{"notice", &t.Notice, "admin", maxText},
		{"begins", &t.Begins, "seconds", maxText},
		{"displaces", &t.Displaces, "replaces", maxText},
		{"unasked", &t.Unasked, "", maxText},
		{"unanswered", &t.Unanswered, "", maxText},
		{"locked", &t.Locked, "", maxText},
		{"no", &t.No, "", maxLabel},
		{"yes", &t.Yes, "", maxLabel},
		{"viewing", &t.Viewing, "admin", maxText},
		{"stop", &t.Stop, "", maxLabel},
		{"pause", &t.Pause, "", maxLabel},
		{"resume", &t.Resume, "", maxLabel},
		{"paused", &t.Paused, "admin", maxText},
		{"away", &t.Away, "admin", maxText},
		{"ended", &t.Ended, "admin", maxText},
		{"somebody", &t.Somebody, "", maxName},
		{"here", &t.Here, "", maxName},
	}
}

// A TextError is what is wrong with one of the [Texts].
type TextError struct {
	Key     string // the field's name in lower case, or such as "reasons.viewer_left" for a reason
	Problem string // the rest of a sentence: "must hold {admin}"
}

// Error implements error.
func (e *TextError) Error() string { return string(pkg) + ": " + e.Text() }

// Text is the error without this package's name.
func (e *TextError) Text() string { return fmt.Sprintf("text %q %s", e.Key, e.Problem) }

// Validate says what is wrong with the texts that are set: a [*TextError] for each.
func (t Texts) Validate() error {
	var all []error
	for _, f := range t.fields() {
		if *f.value != "" {
			all = append(all, f.validate())
		}
	}
	for reason, words := range t.Reasons {
		f := text{"reasons." + reason, &words, "", maxText}
		switch _, known := english.Reasons[reason]; {
		case !known:
			all = append(all, &TextError{f.key, "is for a reason that ends no view"})
		case words != "":
			all = append(all, f.validate())
		}
	}
	if t.Yes != "" && t.Yes == t.No {
		all = append(all, pkg.New(`the texts "yes" and "no" are the same`))
	}
	return errors.Join(all...)
}

// validate says what is wrong with one text.
func (f text) validate() error {
	problem := func(format string, args ...any) error {
		return &TextError{f.key, fmt.Sprintf(format, args...)}
	}
	s := *f.value
	switch {
	case !utf8.ValidString(s):
		return problem("is not UTF-8")
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return problem("holds a control character")
	case strings.TrimSpace(s) == "":
		return problem("is blank")
	case utf8.RuneCountInString(s) > f.most:
		return problem("is longer than %d characters", f.most)
	}
	found := false
	for _, p := range cut(s) {
		switch {
		case !p.slot:
		case p.text == f.holds:
			found = true
		case f.key == "away" && p.text == "seconds":
		default:
			return problem("holds {%s}, which has no meaning there", p.text)
		}
	}
	if f.holds != "" && !found {
		return problem("must hold {%s}", f.holds)
	}
	return nil
}

// placeholders are those that there are.
var placeholders = []string{"admin", "host", "replaces", "purpose", "alias", "seconds"}

// A piece of a sentence is words or the name of a placeholder.
type piece struct {
	text string
	slot bool
}

// cut takes a sentence apart. A brace that begins no placeholder is words.
func cut(s string) []piece {
	var all []piece
	for s != "" {
		at, name := len(s), ""
		for _, p := range placeholders {
			if i := strings.Index(s, "{"+p+"}"); i >= 0 && i < at {
				at, name = i, p
			}
		}
		if at > 0 {
			all = append(all, piece{text: s[:at]})
		}
		if name == "" {
			break
		}
		all = append(all, piece{text: name, slot: true})
		s = s[at+len(name)+2:]
	}
	return all
}

// in is t with its zero fields in the language of a locale, and that language's tag.
func (t Texts) in(locale string) (Texts, string) {
	language := languageOf(locale)
	whole := languages[language]
	set, into := t.fields(), whole.fields()
	for i := range set {
		if *set[i].value != "" {
			*into[i].value = *set[i].value
		}
	}
	if len(t.Reasons) > 0 {
		reasons := make(map[string]string, len(whole.Reasons))
		for _, from := range []map[string]string{whole.Reasons, t.Reasons} {
			for reason, words := range from {
				if words != "" {
					reasons[reason] = words
				}
			}
		}
		whole.Reasons = reasons
	}
	return whole, language
}

// languageOf is the first language of a locale, or of a list with colons, that there are
// words for (setlocale(3), and gettext's LANGUAGE).
func languageOf(locale string) string {
	for name := range strings.SplitSeq(locale, ":") {
		name, _, _ = strings.Cut(name, "@")
		name, _, _ = strings.Cut(name, ".")
		name = strings.ToLower(strings.ReplaceAll(name, "-", "_"))
		if name == "c" || name == "posix" {
			break
		}
		language, rest, _ := strings.Cut(name, "_")
		if language == "zh" && slices.ContainsFunc([]string{"tw", "hk", "mo", "hant"}, func(s string) bool { return strings.HasPrefix(rest, s) }) {
			continue // these write the traditional characters
		}
		if _, ok := languages[language]; ok {
			return language
		}
	}
	return "en"
}
