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
	})
}
