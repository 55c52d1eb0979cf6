package consent

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"vda.internal/shadow/consent/internal/process"
)

// Exec asks through a command: a site's own dialog, or zenity or kdialog in a
// script. It runs as the session's user in / with this environment and no other:
//
//	DISPLAY, XAUTHORITY  the session's display; XAUTHORITY only if there is one
//	PATH                 /usr/bin:/bin
//	LANG, LANGUAGE       the session's language, in UTF-8: C.UTF-8 without a country;
//	                     LANGUAGE only if a language is known
//	CONSENT_QUESTION     the whole question in that language, as Texts has it: a
//	                     headline, an empty line, and a sentence a line
//	CONSENT_TITLE        the headline alone
//	CONSENT_YES          the word for the button that grants, and
//	CONSENT_NO           for the one that refuses
//	CONSENT_ADMIN        who asks: full name and account where this host knows them
//	CONSENT_ACCOUNT      the account; empty: CONSENT_ADMIN is only what the caller says
//	CONSENT_HOST         the name of this host
//	CONSENT_REPLACES     who is watching now and would be ended; may be empty
//	CONSENT_PURPOSE      why, in the administrator's own words; may be empty
//	CONSENT_SESSION      the session's id
//	CONSENT_TIMEOUT      whole seconds that the user has
//
// The names are cleaned: no control characters, no line breaks, 64 characters at most, 200 for the
// purpose. They are still untrusted text: pass them to a program as arguments, never to a shell as
// code, and turn off markup if the dialog supports it.
//
// The exit status is the answer, with zenity's codes:
//
//	0  granted
//	1  denied
//	2  closed
//	4  locked
//	5  timeout: the user has seen the question and not answered
//
// The command must find out itself whether the screen is locked: the checks of desktop.X11 and
// desktop.Notify aren't made for it. What the caller knows of the session still applies, such as
// logind's LockedHint, which package shadow reads before the question and after a Yes. Under any other
// lock nobody sees the question, and its time runs out.
//
// Any other status, and death by a signal, refuses with an error. A command that is still running
// when ctx ends gets SIGTERM, then SIGKILL, and its status is ignored. Beware of programs that exit
// with 0 without a Yes, such as xmessage when its own -timeout passes. The directory dist has scripts
// for zenity and kdialog.
type Exec struct {
	Command []string // the program's path and its arguments; empty refuses with an error

	// Run runs cmd as r's user, and returns once it has ended and has been reaped: by itself, or because
	// ctx has ended. Its error is nil for exit status 0, an [*exec.ExitError] for any other end, and
	// something else if cmd could not be run. Use runas.Run of package consent/runas; nil refuses with
	// an error. It is a field so that this package needs only the standard library.
	Run func(ctx context.Context, cmd *exec.Cmd, r Request) error

	// Texts replace the words of the question. The zero value means the built-in words in the
	// session's language. Texts that [Texts.Validate] rejects refuse with its error.
	Texts Texts
}

// Ask implements [Prompter]. If ctx has no deadline, r.Timeout is one.
func (p Exec) Ask(ctx context.Context, r Request) (Decision, error) {
	switch {
	case len(p.Command) == 0:
		return Denied, pkg.New("no command to ask with")
	case p.Run == nil:
		return Denied, pkg.New("Exec.Run is nil: nothing runs the command")
	}
	if err := p.Texts.Validate(); err != nil {
		return Denied, err
	}
	ctx, cancel, left := process.Bound(ctx, r.Timeout)
	defer cancel()
	if ctx.Err() != nil {
		return ended(ctx)
	}
	var stderr process.Tail
	cmd := exec.Command(p.Command[0], p.Command[1:]...)
	cmd.Env = append(process.Environ(r.Display, r.Xauthority), p.environ(r, left)...)
	cmd.Stderr = &stderr
	err := p.Run(ctx, cmd, r)
	exit, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case err != nil && !exited:
		return Denied, pkg.Errorf("%w", err)
	case ctx.Err() != nil:
		return ended(ctx)
	case err == nil:
		return Granted, nil
	}
	switch exit.ExitCode() {
	case 1:
		return Denied, nil
	case 2:
		return Closed, nil
	case 4:
		return Locked, nil
	case 5:
		if r.Shown != nil {
			r.Shown()
		}
		return TimedOut, nil
	}
	return Denied, pkg.Errorf("%s gave no answer (%w)%s", p.Command[0], err, stderr.Suffix())
}

// environ is the question as environment variables.
func (p Exec) environ(r Request, left time.Duration) []string {
	w := p.Texts.Wording(r)
	title := w.Question.Text(left)
	return append(localeEnviron(r.Locale),
		"PATH=/usr/bin:/bin",
		"CONSENT_QUESTION="+title+"\n\n"+strings.Join(w.Explanation(left), "\n"),
		"CONSENT_TITLE="+title,
		"CONSENT_YES="+w.Yes,
		"CONSENT_NO="+w.No,
		"CONSENT_ADMIN="+or(w.identity.String(), w.admin),
		"CONSENT_ACCOUNT="+w.identity.Account,
		"CONSENT_HOST="+w.host,
		"CONSENT_REPLACES="+w.replaces,
		"CONSENT_PURPOSE="+w.purpose,
		"CONSENT_SESSION="+clean(r.Session),
		"CONSENT_TIMEOUT="+seconds(left),
	)
}

// localePattern takes a locale's name apart: language, country, codeset, modifier.
var localePattern = regexp.MustCompile(`^([a-z]{2,3})(_[A-Z]{2})?(\.[A-Za-z0-9-]+)?(@[a-z]+)?$`)

// localeEnviron is a request's locale as environment variables. What is no locale's name
// isn't in them: it comes from the session.
func localeEnviron(locale string) []string {
	lang := ""
	var languages []string
	for name := range strings.SplitSeq(locale, ":") {
		m := localePattern.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		languages = append(languages, m[1]+m[2]+m[4])
		if lang == "" && m[2] != "" {
			lang = m[1] + m[2] + ".UTF-8" + m[4]
		}
	}
	env := []string{"LANG=" + or(lang, "C.UTF-8")}
	if languages != nil {
		env = append(env, "LANGUAGE="+strings.Join(languages, ":"))
	}
	return env
}
