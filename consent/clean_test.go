package consent

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		`CORP\alice`:                                 `CORP\alice`,
		"Zoë Ωμέγα 张伟":                               "Zoë Ωμέγα 张伟",
		"":                                           "",
		"  a \t\n b\u00a0\u3000c ":                   "a b c",
		"a\x00b\x1b[31mc\u009bd":                     "ab[31mcd",
		"\u202eecila\u202c":                          "ecila",
		"\u2066a\u2069\u200f\u200e\u061c":            "a",
		"a\u200b\u200d\ufeffb":                       "ab",
		"\u115f\u3164\u2800\uffa0":                   "",
		"a\u3164b":                                   "a b",
		"\ue000\U000f0000\U000e0041a":                "a",
		"bad\xff\xfeutf8":                            "badutf8",
		"e\u0301\u0302\u0303\u0304":                  "e\u0301\u0302",
		"\u0301a":                                    "a",
		strings.Repeat("a", 64):                      strings.Repeat("a", 64),
		strings.Repeat("a", 65):                      strings.Repeat("a", 63) + "…",
		strings.Repeat("a", 62) + " bcd":             strings.Repeat("a", 62) + "…",
		strings.Repeat("张", 1000):                    strings.Repeat("张", 63) + "…",
		strings.Repeat("a", 64) + "\u202e\u202e  \n": strings.Repeat("a", 64),
	} {
		assert.Equal(t, want, clean(in), "%q", in)
	}
}

// A reason may be in a language that is spelled with joiners; they stay where they spell something.
func TestJoiners(t *testing.T) {
	for in, want := range map[string]string{
		"می\u200cخواهم":                "می\u200cخواهم",
		"क्\u200dष":                    "क्\u200dष",
		"می\u200c\u200d\u200cخواهم":    "می\u200cخواهم",
		"a\u200cb":                     "ab",
		"می\u200cb":                    "میb",
		"\u200cمی\u200c":               "می",
		"می \u200cخ":                   "می خ",
		"می\u200c خ":                   "می خ",
		"می\u200c\u202eخ":              "میخ",
		strings.Repeat("م\u200c", 200): strings.Repeat("م\u200c", 99) + "م…",
	} {
		assert.Equal(t, want, CleanPurpose(in), "%q", in)
	}
	assert.Equal(t, "میخ", clean("می\u200cخ"), "a name goes without")
}

func FuzzClean(f *testing.F) {
	f.Add(`CORP\alice`)
	f.Add("\u202e\u0301\u0301\u0301 \xff")
	f.Add(strings.Repeat("ab ", 40))
	f.Fuzz(func(t *testing.T, s string) {
		c := clean(s)
		assert.True(t, utf8.ValidString(c))
		assert.LessOrEqual(t, utf8.RuneCountInString(c), maxName)
		assert.Equal(t, c, strings.Join(strings.Fields(c), " "))
		for _, r := range c {
			assert.True(t, unicode.IsGraphic(r) && !unicode.Is(unicode.C, r), "%U", r)
		}
		assert.Equal(t, c, clean(c), "clean once is clean")
		p := CleanPurpose(s)
		assert.True(t, utf8.ValidString(p))
		assert.LessOrEqual(t, utf8.RuneCountInString(p), maxPurpose)
		assert.Equal(t, p, CleanPurpose(p), "clean once is clean")
	})
}
