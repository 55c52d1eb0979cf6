package shadow_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
)

// The user is asked, and told of the viewer, in the session's language or in the one that
// counts for all.
func TestLanguage(t *testing.T) {
	for _, c := range []struct{ name, session, all, want string }{
		{"the session's", "de_DE.UTF-8", "", "de_DE.UTF-8"},
		{"not known", "", "", ""},
		{"one for all", "de_DE.UTF-8", "fr", "fr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := make(chan string, 1)
			b := newFakeBanner()
			h := start(t, shadow.Config{
				Sessions: oneSession{shadow.Session{Locale: c.session, Bus: "unix:path=/run/bus"}},
				Language: c.all,
				Prompter: consent.Func(func(_ context.Context, r consent.Request) (consent.Decision, error) {
					assert.Equal(t, "unix:path=/run/bus", r.Bus)
					asked <- r.Locale
					return consent.Granted, nil
				}),
				Banner: b,
			})
			g := h.granted(t, "s1", "alice")
			v := view(t, g.URL)
			defer v.hangUp()
			assert.Equal(t, c.want, next(t, asked))
			assert.Equal(t, c.want, next(t, b.shown).Locale)
		})
	}
}
