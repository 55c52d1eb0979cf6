package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/program"
	"vda.internal/shadow/internal/host/xprobe"
	"vda.internal/shadow/internal/parts"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source"
)

// picture sees whether there can be one.
func (d *Doctor) picture(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*callTime)
	defer cancel()
	from, err := parts.Source(d.cfg)
	if err != nil {
		d.broken("picture", words(err), "correct source.dial in the configuration")
		return
	}
	switch d.cfg.Source.Kind {
	case "dial":
		d.dialPicture(ctx, from)
		return
	case "x11", "auto":
		d.ok("picture", "shadowd reads it itself; whether it can is seen below, for each session")
		return
	}
	if err := from.Check(ctx, nil); err != nil {
		remedy := "see the command there; x11vnc 0.9.13 or later is needed, and source.x11vnc names one that isn't on PATH"
		if d.cfg.Source.X11VNC != "" {
			remedy = "correct source.x11vnc in the configuration; x11vnc 0.9.13 or later is needed"
		}
		d.broken("picture", words(err), remedy)
		return
	}
	path := d.cfg.Source.X11VNC
	if path == "" {
		path = program.Find(os.Getenv("PATH"), "x11vnc")
	}
	d.ok("picture", fmt.Sprintf("%s is there, and new enough", path))
}

// dialPicture greets the RFB server that is there for all.
func (d *Doctor) dialPicture(ctx context.Context, from shadow.Source) {
	if dial, ok := from.(*source.Dial); ok {
		dial.Sessions = d.resolver()
	}
	conn, err := from.Open(ctx, &shadow.Session{}) // which greets the server
	if err != nil {
		d.broken("picture", fmt.Sprintf("%s: %s", d.cfg.Source.Dial, words(err)),
			"start an RFB server there, or correct source.dial, and what goes with it, in the configuration")
		return
	}
	defer conn.Close()
	said := d.cfg.Source.Dial + " answers"
	if server, ok := conn.(*rfb.ServerConn); ok {
		said = fmt.Sprintf("%s shows %dx%d pixels", d.cfg.Source.Dial, server.Init.Width, server.Init.Height)
	}
	d.ok("picture", said)
}

// maxProbes is how many sessions' displays are looked at when none is named.
const maxProbes = 8

func (d *Doctor) resolver() shadow.Resolver {
	if d.host.resolver != nil {
		return d.host.resolver
	}
	return parts.Resolver(d.cfg)
}

// sessions sees who could be shadowed, and how.
func (d *Doctor) sessions(ctx context.Context) {
	resolver := d.resolver()
	if d.Session != "" {
		d.oneSession(ctx, resolver)
		return
	}
	list, err := resolver.Sessions(ctx)
	if err != nil {
		d.failed("sessions", err, words(err), resolverRemedy(d.cfg.Sessions.Resolver))
		return
	}
	var good []*shadow.Session
	for _, s := range list {
		if s.Refusal() == nil {
			good = append(good, s)
		}
	}
	if len(good) == 0 {
		d.broken("sessions", fmt.Sprintf("%s, and none that can be shadowed now", plural(len(list), "session", "sessions")), "shadowctl sessions says why; try again when somebody is logged on")
		return
	}
	d.ok("sessions", fmt.Sprintf("%s, of which %d can be shadowed", plural(len(list), "session", "sessions"), len(good)))
	for _, s := range good[:min(len(good), maxProbes)] {
		d.session(ctx, s)
	}
}

func resolverRemedy(kind string) string {
	if kind == "exec" {
		return "see that the program of sessions.exec works for root"
	}
	return "see that systemd-logind runs (systemctl status systemd-logind), or choose another sessions.resolver in the configuration"
}

// oneSession looks at the session that is asked about.
func (d *Doctor) oneSession(ctx context.Context, resolver shadow.Resolver) {
	name := "session " + oneLine(d.Session)
	s, err := resolver.Session(ctx, d.Session)
	refusal, refused := errors.AsType[*shadow.End](err)
	if err == nil {
		refusal = s.Refusal()
		refused = refusal != nil
	}
	switch {
	case refused:
		found := refusal.Reason.Sentence()
		if refusal.Detail != "" {
			found += ": " + refusal.Detail
		}
		d.broken(name, oneLine(found), sessionRemedy(refusal.Reason))
	case err != nil:
		d.failed(name, err, words(err), resolverRemedy(d.cfg.Sessions.Resolver))
	default:
		d.session(ctx, s)
	}
}

func sessionRemedy(r shadow.Reason) string {
	switch r {
	case shadow.NoSession:
		return "shadowctl sessions lists those that there are"
	case shadow.Wayland:
		return "the user logs in again and chooses an X11 session (\"on Xorg\") in the login screen"
	case shadow.Locked:
		return "the user unlocks the screen"
	case shadow.DisplayUnreachable:
		return "see that the session's processes have DISPLAY, or write the session down with sessions.resolver = \"static\""
	}
	return "ask for a session that somebody is logged on to"
}

// session looks at a session's display with its user's rights, and at how its
// user would be asked.
func (d *Doctor) session(ctx context.Context, s *shadow.Session) {
	name := "session " + oneLine(s.ID)
	id := child.User(s.User, s.UID, s.GID, s.Groups)
	if euid := uint32(d.host.uid); euid != 0 && euid != s.UID {
		d.unseen(name, fmt.Sprintf("display %s of %s can't be looked at by uid %d", s.Display, s.User, euid), asRoot)
		return
	}
	screen, err := xprobe.Probe(ctx, xprobe.Target{Display: s.Display, Xauthority: s.Xauthority, Identity: id})
	if e, ok := errors.AsType[*xprobe.Error](err); ok {
		d.broken(name, fmt.Sprintf("display %s of %s can't be reached: %s", s.Display, s.User, oneLine(e.Text)), displayRemedy(e.Kind, s))
		return
	}
	d.ok(name, fmt.Sprintf("display %s of %s can be reached, %dx%d pixels", s.Display, s.User, screen.Width, screen.Height))
	d.shown(ctx, name, s)
	d.question(ctx, name, s)
}

func displayRemedy(kind xprobe.Kind, s *shadow.Session) string {
	switch kind {
	case xprobe.NoServer:
		return fmt.Sprintf("see that the X server of display %s runs, and makes its socket in /tmp/.X11-unix", s.Display)
	case xprobe.NoCookie:
		return fmt.Sprintf("find the file with the cookie (xauth info, in the session) and let the user %s read it; sessions.static can name it", s.User)
	case xprobe.Refused:
		return "check that the cookie file belongs to the running X server (xauth list, in the session); sessions.static can name it"
	case xprobe.Stranger:
		return "find out who pretends to be the session's display (ls -l /tmp/.X11-unix, ss -xlp): its user isn't asked there"
	}
	return "see that this program may be executed by everybody (chmod 755)"
}
