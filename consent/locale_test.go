package consent

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestExecLocale(t *testing.T) {
	for locale, want := range map[string][]string{
		"":                     {"LANG=C.UTF-8"},
		"C":                    {"LANG=C.UTF-8"},
		"de":                   {"LANG=C.UTF-8", "LANGUAGE=de"},
		"de_DE.ISO-8859-15":    {"LANG=de_DE.UTF-8", "LANGUAGE=de_DE"},
		"sr_RS@latin":          {"LANG=sr_RS.UTF-8@latin", "LANGUAGE=sr_RS@latin"},
		"fr:de_DE.UTF-8:C":     {"LANG=de_DE.UTF-8", "LANGUAGE=fr:de_DE"},
		"../../evil:$(x):de\n": {"LANG=C.UTF-8"},
	} {
		assert.Equal(t, want, localeEnviron(locale), locale)
	}
}
