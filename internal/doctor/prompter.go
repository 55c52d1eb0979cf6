package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/xprobe"
)

// prompter sees whether anybody could be asked, whatever the session.
func (d *Doctor) prompter(context.Context) {
	c := d.cfg.Consent
	switch c.Prompter {
	case "deny":
		d.broken("question", `prompter is "deny": every request is refused without asking`, `set consent.prompter = "x11" in the configuration`)
	case "allow":
		d.note("question", `prompter is "allow": nobody is asked`, `set consent.prompter = "x11" in the configuration, unless this is an unattended kiosk`)
	case "exec":
		info, err := os.Stat(c.Exec[0])
		switch {
		case err != nil:
			d.failed("question", err, fmt.Sprintf("consent.exec is %s, which can't be run: %v", c.Exec[0], err), programRemedy)
		case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
			d.broken("question", fmt.Sprintf("consent.exec is %s (%s), which is no program", c.Exec[0], info.Mode()), programRemedy)
		}
	default:
		if mode, path := d.daemonProgram(); path != "" && mode&0o001 == 0 {
			d.broken("question", fmt.Sprintf("%s (mode %04o) shows the question as the sessions' users, who can't execute it", path, mode.Perm()), "chmod 755 "+path)
		}
	}
}

const programRemedy = "put the program there, executable by everybody, in directories that everybody may enter"

// question sees whether a session's user could be asked, if prompter has found
// nothing.
func (d *Doctor) question(ctx context.Context, name string, s *shadow.Session) {
	c := d.cfg.Consent
	switch {
	case d.bad["question"] || c.Prompter == "allow":
	case c.Prompter == "exec":
		if err := canRun(ctx, c.Exec[0], child.User(s.User, s.UID, s.GID, s.Groups)); err != nil {
			d.broken("question", fmt.Sprintf("consent.exec is %s, which runs as %s, who can't execute it: %v", c.Exec[0], s.User, err), programRemedy)
			return
		}
		d.ok("question", fmt.Sprintf("%s of %s is asked through %s, within %s", name, s.User, c.Exec[0], c.Timeout))
	case c.Prompter == "notify":
		d.notifications(ctx, s)
	default:
		d.ok("question", fmt.Sprintf("%s can be asked in a window on %s, and has %s", s.User, s.Display, c.Timeout))
	}
}

// notifications sees whether a session's desktop can ask in a notification.
func (d *Doctor) notifications(ctx context.Context, s *shadow.Session) {
	service, err := xprobe.Notifications(ctx, s.Bus, child.User(s.User, s.UID, s.GID, s.Groups))
	e, isError := errors.AsType[*xprobe.Error](err)
	switch {
	case err == nil:
		d.ok("question", fmt.Sprintf("%s can be asked in a notification (%s), and has %s", s.User, cmp.Or(oneLine(service), "of the desktop's"), d.cfg.Consent.Timeout))
	case isError && (e.Kind == xprobe.Asleep || e.Kind == xprobe.Failed):
		d.unseen("question", fmt.Sprintf("cannot tell whether %s can be asked in a notification: %s", s.User, oneLine(e.Text)),
			"as the session's user let it show anything (notify-send hello), and look again")
	case isError && e.Kind == xprobe.NoBus:
		d.broken("question", fmt.Sprintf("%s can't be asked in a notification: %s", s.User, oneLine(e.Text)),
			`see that the session has a D-Bus bus (echo $DBUS_SESSION_BUS_ADDRESS, in the session), or set consent.prompter = "x11" in the configuration`)
	default:
		d.broken("question", fmt.Sprintf("%s can't be asked in a notification: %s", s.User, oneLine(err.Error())),
			`let a notification service that has buttons run in the session, or set consent.prompter = "x11" in the configuration`)
	}
}

// canRun sees whether id may execute a program, without doing it: only a
// process of id's knows, with its groups, and the directories on the way.
func canRun(ctx context.Context, path string, id child.Identity) error {
	p, err := child.Start(exec.Command("/bin/sh", "-c", `test -f "$1" && test -x "$1"`, "sh", path), id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	select {
	case <-p.Done():
	case <-ctx.Done():
	}
	p.Stop(0, time.Second)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case p.ExitCode() != 0:
		return errors.New("permission denied")
	}
	return nil
}
