package config

import (
	"errors"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/keyfile"
)

// textKeys lists the keys of [consent.texts], bound to t.
func textKeys(t *consent.Texts) []keyfile.Key {
	word := func(name, comment string, field func(*consent.Texts) *string) keyfile.Key {
		return keyfile.Line("consent.texts."+name, comment, keyfile.Text(field(t), func(s string) error {
			var one consent.Texts
			*field(&one) = s
			return textProblem(one.Validate())
		}))
	}
	return []keyfile.Key{
		word("question", "your own texts, used in every language; \"\" keeps the built-in one. The question; must contain {admin}",
			func(t *consent.Texts) *string { return &t.Question }),
		word("unverified", "added if the administrator's name is unverified", func(t *consent.Texts) *string { return &t.Unverified }),
		word("alias", "added if the caller gives a name other than its account's; must contain {alias}", func(t *consent.Texts) *string { return &t.Alias }),
		word("sees", "what a Yes allows; must contain {host}", func(t *consent.Texts) *string { return &t.Sees }),
		word("cannot", "what a Yes doesn't allow", func(t *consent.Texts) *string { return &t.Cannot }),
		word("replaces", "whose view a Yes ends; must contain {replaces}", func(t *consent.Texts) *string { return &t.Replaces }),
		word("purpose", "the administrator's reason; must contain {purpose}", func(t *consent.Texts) *string { return &t.Purpose }),
		word("withheld", "shown instead of the reason if purpose is hidden", func(t *consent.Texts) *string { return &t.Withheld }),
		word("countdown", "the countdown, if no answer means No; must contain {seconds}", func(t *consent.Texts) *string { return &t.Countdown }),
		word("countdown_yes", "the countdown, if a rule lets no answer mean Yes; must contain {seconds}", func(t *consent.Texts) *string { return &t.CountdownYes }),
		word("lock_yes", "what locking the screen means, if a rule lets it mean Yes", func(t *consent.Texts) *string { return &t.LockYes }),
		word("notice", "the notice, if a rule has the user informed rather than asked; must contain {admin}", func(t *consent.Texts) *string { return &t.Notice }),
		word("begins", "the notice's countdown; must contain {seconds}", func(t *consent.Texts) *string { return &t.Begins }),
		word("displaces", "whose view ends then; must contain {replaces}", func(t *consent.Texts) *string { return &t.Displaces }),
		word("unasked", "why the view is allowed, in the notice and the banner: a rule doesn't require asking", func(t *consent.Texts) *string { return &t.Unasked }),
		word("unanswered", "why the view is allowed: the user didn't answer", func(t *consent.Texts) *string { return &t.Unanswered }),
		word("locked", "why the view is allowed: the screen was locked", func(t *consent.Texts) *string { return &t.Locked }),
		word("no", "the question's buttons", func(t *consent.Texts) *string { return &t.No }),
		word("yes", "", func(t *consent.Texts) *string { return &t.Yes }),
		word("viewing", "the banner; must contain {admin}", func(t *consent.Texts) *string { return &t.Viewing }),
		word("stop", "the banner's buttons", func(t *consent.Texts) *string { return &t.Stop }),
		word("pause", "", func(t *consent.Texts) *string { return &t.Pause }),
		word("resume", "", func(t *consent.Texts) *string { return &t.Resume }),
		word("paused", "the banner while paused; must contain {admin}", func(t *consent.Texts) *string { return &t.Paused }),
		word("away", "the banner while a disconnected viewer may return; must contain {admin}, may contain {seconds}", func(t *consent.Texts) *string { return &t.Away }),
		word("ended", "the banner after the view has ended; must contain {admin}", func(t *consent.Texts) *string { return &t.Ended }),
		keyfile.Line("consent.texts.reasons", "why the view ended, by reason: {viewer_left = \"…\"}", keyfile.Dict(&t.Reasons, func(reason, words string) error {
			return textProblem(consent.Texts{Reasons: map[string]string{reason: words}}.Validate())
		})),
		word("somebody", "used for {admin} and {host} if there is no name", func(t *consent.Texts) *string { return &t.Somebody }),
		word("here", "", func(t *consent.Texts) *string { return &t.Here }),
	}
}

// textProblem is an error of one text without the text's name, which the line in the file has.
func textProblem(err error) error {
	if e, ok := errors.AsType[*consent.TextError](err); ok {
		return errors.New(e.Problem)
	}
	return err
}
