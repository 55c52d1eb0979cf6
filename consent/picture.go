package consent

import (
	"time"

	"vda.internal/shadow/consent/internal/dialog"
)

// dialog is the question as its window shows it.
func (q question) dialog(left time.Duration) dialog.Question {
	words, language := q.Texts.in(q.Language)
	shown := dialog.Question{
		Language: language, Head: q.sentence(words.Question), Sees: q.sentence(words.Sees), Cannot: q.sentence(words.Cannot),
		Countdown: q.sentence(words.Countdown), No: words.No, Yes: words.Yes, Left: left,
	}
	if q.Replaces != "" {
		shown.Replaces = q.sentence(words.Replaces)
	}
	return shown
}

// notice is the banner as its window shows it.
func (q question) notice() dialog.Notice {
	words, language := q.Texts.in(q.Language)
	return dialog.Notice{Language: language, Viewing: q.sentence(words.Viewing), Stop: words.Stop, Ended: q.sentence(words.Ended)}
}

// sentence is a text with the question's names in their places.
func (q question) sentence(s string) dialog.Sentence {
	var all dialog.Sentence
	for _, p := range cut(s) {
		part := dialog.Part{Text: p.text}
		switch {
		case !p.slot:
		case p.text == "seconds":
			part.Role = dialog.Seconds
		default:
			part.Role = dialog.Name
			part.Text = map[string]string{"admin": q.Admin, "host": q.Host, "replaces": q.Replaces}[p.text]
		}
		all = append(all, part)
	}
	return all
}
