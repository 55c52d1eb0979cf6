package consent

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLanguageOf(t *testing.T) {
	for locale, want := range map[string]string{
		"": "en", "C": "en", "C.UTF-8": "en", "POSIX": "en", "nonsense": "en", "sw_KE.UTF-8": "en", "en_US.UTF-8": "en",
		"de": "de", "de_AT": "de", "de_DE.UTF-8": "de", "de_DE@euro": "de", "de-CH": "de", "DE_de.utf8": "de", "den_CA": "en",
		"fr_CA.ISO-8859-1": "fr", "es_419": "es", "ja_JP.eucJP": "ja",
		"zh": "zh", "zh_CN.GB18030": "zh", "zh_SG": "zh", "zh_Hans_HK": "zh",
		"zh_TW.UTF-8": "en", "zh_HK": "en", "zh_Hant": "en", "zh_TW:zh_CN": "zh",
		"sw:fr:de": "fr", "sw:C:de": "en", "::es": "es", "en_GB:de": "en",
		strings.Repeat("x:", 10000) + "fr": "fr", "de\x00_DE": "en",
	} {
		assert.Equal(t, want, languageOf(locale), "%.40q", locale)
	}
}

// No language lacks a text, and none has one that a site would not be allowed.
func TestLanguagesAreWhole(t *testing.T) {
	require.Len(t, languages, 6)
	for language, words := range languages {
		require.NoError(t, words.Validate(), language)
		for _, f := range words.fields() {
			assert.NotEmpty(t, *f.value, "%s: %s", language, f.key)
			if f.holds != "" {
				assert.Equal(t, 1, strings.Count(*f.value, "{"+f.holds+"}"), "%s: %s", language, f.key)
			}
		}
		assert.Len(t, words.Reasons, len(english.Reasons), language)
		for reason, says := range words.Reasons {
			assert.NotEmpty(t, says, "%s: %s", language, reason)
			if language != "en" {
				assert.NotEqual(t, english.Reasons[reason], says, language)
			}
		}
	}
}

func TestTextsValidate(t *testing.T) {
	assert.NoError(t, Texts{}.Validate())
	assert.NoError(t, Texts{
		Question: "{admin} (Service Desk) asks to look on", Countdown: "{seconds} seconds, {seconds} only", Yes: "{yes}",
		Reasons: map[string]string{"viewer_left": "bye", "shutdown": ""},
	}.Validate())
	for says, texts := range map[string]Texts{
		`"question" must hold {admin}`:                       {Question: "Somebody wants to view your screen"},
		`"sees" must hold {host}`:                            {Sees: "Everything"},
		`"replaces" must hold {replaces}`:                    {Replaces: "{Replaces} will go"},
		`"countdown" must hold {seconds}`:                    {Countdown: "soon"},
		`"viewing" holds {host}, which has no meaning there`: {Viewing: "{admin} on {host}"},
		`"yes" holds {admin}, which has no meaning there`:    {Yes: "{admin}"},
		`"stop" is blank`:                                    {Stop: " "},
		`"no" is longer than 24 characters`:                  {No: strings.Repeat("n", 25)},
		`"ended" is longer than 200 characters`:              {Ended: "{admin}" + strings.Repeat("n", 200)},
		`"cannot" holds a control character`:                 {Cannot: "nothing\nat all"},
		`"here" holds a control character`:                   {Here: "abc\u202edef"},
		`"somebody" is not UTF-8`:                            {Somebody: "\xff"},
		`"reasons.viewer_left" holds {admin}`:                {Reasons: map[string]string{"viewer_left": "{admin} left"}},
		`"reasons.left" is for a reason that ends no view`:   {Reasons: map[string]string{"left": "gone"}},
		`the texts "yes" and "no" are the same`:              {Yes: "Maybe", No: "Maybe"},
	} {
		assert.ErrorContains(t, texts.Validate(), says)
	}
	err := Texts{Question: "x", Viewing: "y"}.Validate()
	assert.ErrorContains(t, err, `"question"`)
	assert.ErrorContains(t, err, `"viewing"`, "all of them at once")

}

// What replaces a text does so in every language, and leaves the others as they are.
func TestTextsReplace(t *testing.T) {
	site := Texts{Stop: "Aus", Reasons: map[string]string{"viewer_left": "Tschüs"}}
	words, language := site.in("fr_FR")
	assert.Equal(t, "fr", language)
	assert.Equal(t, "Aus", words.Stop)
	assert.Equal(t, french.Question, words.Question)
	assert.Equal(t, "Tschüs", site.Wording(Request{Locale: "fr_FR"}).Reason("viewer_left"))
	assert.Equal(t, french.Reasons["shutdown"], site.Wording(Request{Locale: "fr_FR"}).Reason("shutdown"))
	assert.Equal(t, "out of \\ memory", site.Wording(Request{Locale: "fr_FR"}).Reason("out of\x1b \\ \nmemory"), "what is no reason is shown as it is")
	assert.Equal(t, "The viewer disconnected", english.Reasons["viewer_left"], "the built-in words are untouched")
}

// A name is never taken for a placeholder, and every placeholder is filled.
func TestSentence(t *testing.T) {
	w := Texts{Countdown: "Noch {seconds} s {"}.Wording(Request{Admin: "{host} {seconds}", Host: "{admin}"})
	assert.Equal(t, Sentence{{Text: "{host} {seconds}", Role: Name}, {Text: " wants to view your screen"}}, w.Question)
	assert.Equal(t, "They will see everything that you see on {admin}.", w.Sees.Text(0))
	assert.Equal(t, Sentence{{Text: "Noch "}, {Role: Seconds}, {Text: " s {"}}, w.Countdown)
	assert.Equal(t, "Noch 10 s {", w.Countdown.Text(9001*time.Millisecond))
	assert.Nil(t, w.Replaces, "nobody is watching")
	w = Texts{}.Wording(Request{Admin: "אבג", Replaces: "{x}"})
	assert.Equal(t, "\u2068אבג\u2069 wants to view your screen", w.Question.Text(0))
	assert.Equal(t, "{x} is watching now and will be disconnected if you say Yes.", w.Replaces.Text(0))
}

// The administrator's own words can't end before they do, and there are none without a reason.
func TestPurpose(t *testing.T) {
	known := Identity{Account: "a"}
	w := Texts{}.Wording(Request{Admin: "a", Identity: known})
	assert.Nil(t, w.Purpose)
	assert.Len(t, w.Explanation(0), 3)
	w = Texts{}.Wording(Request{Admin: "a", Identity: known, PurposeHidden: true})
	assert.Equal(t, "A reason was given and recorded; your organisation does not show it.", w.Explanation(0)[0])
	w = Texts{}.Wording(Request{Admin: "a", Identity: known, Purpose: "INC-1”\n\u202eYour «helpdesk» says \"Yes\"  "})
	assert.Equal(t, "The reason given: “INC-1' Your 'helpdesk' says 'Yes'”", w.Purpose.Text(0))
	assert.Equal(t, w.Purpose.Text(0), w.Explanation(0)[0])
	long := CleanPurpose(strings.Repeat("x ", 200))
	assert.Equal(t, 200, utf8.RuneCountInString(long))
	assert.True(t, strings.HasSuffix(long, "x…"))
	assert.Equal(t, strings.Repeat("字", 200), CleanPurpose(strings.Repeat("字", 200)))
	assert.Equal(t, "\u2068سبب\u2069", Sentence{{Text: CleanPurpose("سبب"), Role: Name}}.Text(0))
}

// What this host knows of who asks is told from what the caller says.
func TestIdentity(t *testing.T) {
	for name, c := range map[string]struct {
		r           Request
		head, doubt string
	}{
		"only claimed":        {Request{Admin: `CORP\alice`}, `CORP\alice`, "The caller gave this name; this computer could not verify it."},
		"nothing is claimed":  {Request{}, "An administrator", ""},
		"account":             {Request{Admin: "alice", Identity: Identity{Account: "alice"}}, "alice", ""},
		"account in capitals": {Request{Admin: "ALICE", Identity: Identity{Account: "alice", Name: "Alice"}}, "alice", ""},
		"full name":           {Request{Admin: `CORP\alice`, Identity: Identity{Account: `CORP\alice`, Name: "Alice Ng"}}, `Alice Ng (CORP\alice)`, ""},
		"by the full name":    {Request{Admin: "alice ng ", Identity: Identity{Account: "alice", Name: "Alice Ng"}}, "Alice Ng (alice)", ""},
		"another name": {
			Request{Admin: "Bob “the” Boss", Identity: Identity{Account: "mallory", Name: "Mallory Moe"}}, "Mallory Moe (mallory)",
			"Calls themselves “Bob 'the' Boss”; this computer could not verify that name.",
		},
		"forged":        {Request{Admin: `Alice Ng (CORP\alice)`}, `Alice Ng (CORP\alice)`, "The caller gave this name; this computer could not verify it."},
		"a long name":   {Request{Identity: Identity{Account: "mallory", Name: strings.Repeat("x", 99)}}, strings.Repeat("x", 63) + "… (mallory)", ""},
		"right to left": {Request{Identity: Identity{Account: "yael", Name: "יעל כהן"}}, "\u2068יעל כהן\u2069 (yael)", ""},
		"cleaned":       {Request{Identity: Identity{Account: "a\u202e", Name: "\u200b"}}, "a", ""},
	} {
		w := Texts{}.Wording(c.r)
		assert.Equal(t, c.head+" wants to view your screen", w.Question.Text(0), name)
		assert.Equal(t, c.head+" is viewing your screen", w.Viewing.Text(0), name)
		assert.Equal(t, c.doubt, w.Doubt.Text(0), name)
		if c.doubt != "" {
			assert.Equal(t, c.doubt, w.Explanation(0)[0], name)
		}
	}
	w := Texts{}.Wording(Request{Admin: "alice", Identity: Identity{Account: "alice"}, Replaces: "bob"})
	assert.Nil(t, w.Watcher, "this host knows who is watching")
	for language := range languages {
		w = Texts{}.Wording(Request{Admin: "alice", Identity: Identity{Account: "alice"}, Replaces: "bob", ReplacesUnverified: true, Locale: language})
		assert.Nil(t, w.Doubt, language)
		assert.Equal(t, languages[language].Unverified, w.Watcher.Text(0), language)
		said := w.Explanation(0)
		assert.Equal(t, []string{w.Replaces.Text(0), w.Watcher.Text(0)}, said[2:4], language)
	}
	assert.Nil(t, Texts{}.Wording(Request{Admin: "alice", ReplacesUnverified: true}).Watcher, "nobody is watching")
	assert.Equal(t, "Alice Ng (alice)", Identity{Account: "alice", Name: "Alice Ng"}.String())
	assert.Empty(t, Identity{Name: "Alice Ng"}.String(), "a name without an account is nobody's")
}

// The names come from outside, and are there even if the request has none.
func TestWordingNames(t *testing.T) {
	w := Texts{Here: "diesem Gerät"}.Wording(Request{Admin: "\u200b", Locale: "de_CH.UTF-8"})
	assert.Equal(t, "de", w.Language)
	assert.Equal(t, "Die Administration möchte Ihren Bildschirm sehen", w.Question.Text(0))
	assert.Contains(t, w.Sees.Text(0), "auf diesem Gerät sehen")
	w = Texts{}.Wording(Request{Admin: "CORP\\alice\n{\"}\u202e"})
	assert.Equal(t, `CORP\alice {"}`, w.Question[0].Text)
}

func FuzzCut(f *testing.F) {
	f.Add("{admin} wants to view {host}")
	f.Add("{{admin}}{admin")
	f.Fuzz(func(t *testing.T, s string) {
		var b strings.Builder
		for _, p := range cut(s) {
			if p.slot {
				assert.Contains(t, placeholders, p.text)
				b.WriteString("{" + p.text + "}")
			} else {
				assert.NotEmpty(t, p.text)
				b.WriteString(p.text)
			}
		}
		assert.Equal(t, s, b.String(), "nothing is lost or added")
	})
}
