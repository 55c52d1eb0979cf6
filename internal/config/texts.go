package config

import (
	"errors"
	"strings"

	"vda.internal/shadow/consent"
)

// textKeys lists the keys of [consent.texts], bound to t.
func textKeys(t *consent.Texts) []key {
	word := func(name, comment string, field func(*consent.Texts) *string) key {
		return key{"consent.texts." + name, comment, text{field(t), func(s string) error {
			var one consent.Texts
			*field(&one) = s
			return textProblem(one.Validate())
		}}}
	}
	return []key{
		word("question", "words in place of the built-in ones, in every language; \"\" keeps those. The question: must hold {admin}",
			func(t *consent.Texts) *string { return &t.Question }),
		word("sees", "what a Yes allows: must hold {host}", func(t *consent.Texts) *string { return &t.Sees }),
		word("cannot", "what it doesn't allow", func(t *consent.Texts) *string { return &t.Cannot }),
		word("replaces", "what it ends: must hold {replaces}", func(t *consent.Texts) *string { return &t.Replaces }),
		word("purpose", "why, in the administrator's own words: must hold {purpose}", func(t *consent.Texts) *string { return &t.Purpose }),
		word("countdown", "what silence means: must hold {seconds}", func(t *consent.Texts) *string { return &t.Countdown }),
		word("countdown_yes", "the same where a rule says that it is a Yes: must hold {seconds}", func(t *consent.Texts) *string { return &t.CountdownYes }),
		word("notice", "where a rule says that the user isn't asked, only told: must hold {admin}", func(t *consent.Texts) *string { return &t.Notice }),
		word("begins", "when viewing begins then: must hold {seconds}", func(t *consent.Texts) *string { return &t.Begins }),
		word("unasked", "why viewing is allowed, in the notice and the banner: nobody had to be asked", func(t *consent.Texts) *string { return &t.Unasked }),
		word("unanswered", "the user didn't answer", func(t *consent.Texts) *string { return &t.Unanswered }),
		word("locked", "the screen was locked", func(t *consent.Texts) *string { return &t.Locked }),
		word("no", "the buttons", func(t *consent.Texts) *string { return &t.No }),
		word("yes", "", func(t *consent.Texts) *string { return &t.Yes }),
		word("viewing", "the banner: must hold {admin}", func(t *consent.Texts) *string { return &t.Viewing }),
		word("stop", "its button", func(t *consent.Texts) *string { return &t.Stop }),
		word("pause", "its buttons that pause, and go on", func(t *consent.Texts) *string { return &t.Pause }),
		word("resume", "", func(t *consent.Texts) *string { return &t.Resume }),
		word("paused", "the banner meanwhile: must hold {admin}", func(t *consent.Texts) *string { return &t.Paused }),
		word("away", "the banner while a lost viewer may return: must hold {admin}, and may hold {seconds}", func(t *consent.Texts) *string { return &t.Away }),
		word("ended", "the banner in the end: must hold {admin}", func(t *consent.Texts) *string { return &t.Ended }),
		{"consent.texts.reasons", "what it says then, by reason: {viewer_left = \"…\"}", dict{&t.Reasons, func(reason, words string) error {
			return textProblem(consent.Texts{Reasons: map[string]string{reason: words}}.Validate())
		}}},
		word("somebody", "in the place of {admin} and {host} if there is no name", func(t *consent.Texts) *string { return &t.Somebody }),
		word("here", "", func(t *consent.Texts) *string { return &t.Here }),
	}
}

// textProblem is an error of one text without the text's name, which the line in the file
// has.
func textProblem(err error) error {
	if err == nil {
		return nil
	}
	if _, named, ok := strings.Cut(err.Error(), `consent: text "`); ok {
		_, what, _ := strings.Cut(named, `"`)
		return errors.New(strings.TrimLeft(what, ": "))
	}
	return err
}
