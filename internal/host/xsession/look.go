package xsession

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"vda.internal/shadow/internal/host/sessionbus"
)

const (
	// LookTime is how long all looks of one [Host] at one user's processes and files may take together.
	// It is long for a busy machine: of a session that nobody has tampered with a look takes milliseconds.
	LookTime = 2 * time.Second
	// filesTime is what the processes leave of it for the usual files.
	filesTime = LookTime / 4
	// maxPath is the longest name of a file (PATH_MAX).
	maxPath = 4096
)

// ErrTooSlow means that a session's display or cookie may be there but wasn't found in time.
var ErrTooSlow = errors.New("looking at the user's processes and files takes too long")

// Found is what a session's processes and the usual files say. What is empty was not found.
type Found struct {
	Display    string // X display
	Xauthority string // file with the display's cookie; a display may need none
	Locale     string // of messages, as [HostLocale] has it; the host's if the session has none
	Bus        string // address of the D-Bus bus; that of systemd if the session has none. Nobody has looked whether it is there
}

// A purse is the time that is left for looks at one user. Who looks holds it.
type purse struct {
	mu   sync.Mutex
	left time.Duration
}

// purse is uid's.
func (h *Host) purse(uid uint32) *purse {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.purses[uid]
	if p == nil {
		p = &purse{left: LookTime}
		h.purses[uid] = p
	}
	return p
}

// A look is one at a session's processes and files, until its time is up.
type look struct {
	host *Host
	s    Session
	end  time.Time
}

// Look finds the session's display and cookie, language and bus. The display that s has is kept. Several
// looks at one user's sessions wait for each other. The error is ErrTooSlow, or ctx's cause, which comes
// with what was found until then.
func (h *Host) Look(ctx context.Context, s Session) (Found, error) {
	p := h.purse(s.UID)
	p.mu.Lock()
	defer p.mu.Unlock()
	begun := time.Now()
	defer func() { p.left -= time.Since(begun) }()

	l := &look{host: h, s: s, end: begun.Add(p.left)}
	found, whole := l.processes(ctx)
	if found.Display != "" && found.Xauthority == "" {
		found.Xauthority = l.wellKnown(found.Display)
	}
	if found.Locale == "" {
		found.Locale = HostLocale(h.root)
	}
	if found.Bus == "" {
		found.Bus = sessionbus.UserBus(s.UID)
	}
	switch {
	case ctx.Err() != nil:
		return found, context.Cause(ctx)
	case !whole && found.Xauthority == "":
		return found, fmt.Errorf("%w: more than %v for uid %d", ErrTooSlow, LookTime-filesTime, s.UID)
	}
	return found, nil
}

// processes takes what the environments of the user's processes say, those nearest to the leader first.
// whole is false if there was no time for all that may matter.
func (l *look) processes(ctx context.Context) (found Found, whole bool) {
	found.Display, whole = l.s.Display, true
	for _, pid := range l.host.tree(l.s.Leader) {
		if found.Xauthority != "" && found.Locale != "" && found.Bus != "" {
			break
		}
		if l.left() <= filesTime || ctx.Err() != nil {
			return found, false
		}
		if uid, ok := l.host.owner(pid); !ok || uid != l.s.UID {
			continue
		}
		data, ok := within(l, l.s.UID, func() []byte { return l.host.read(pid, "environ") })
		if !ok {
			whole = false
		}
		found.add(parseEnviron(data))
	}
	return found, whole
}

// left is how much time is left.
func (l *look) left() time.Duration { return time.Until(l.end) }

// within is what f returns, which depends on what uid does. ok is false if f takes too long.
func within[T any](l *look, uid uint32, f func() T) (value T, ok bool) {
	return guarded(memory, uid, min(memoryTime, l.left()), f)
}

// add takes what is new of the environment of a process. A display that is known already stays, and a
// cookie is one for that display.
func (f *Found) add(e environment) {
	if f.Xauthority == "" && IsDisplay(e.display) && (f.Display == "" || sameDisplay(e.display, f.Display)) {
		f.Display = e.display
		if len(e.xauthority) <= maxPath && filepath.IsAbs(e.xauthority) {
			f.Xauthority = e.xauthority
		}
	}
	if f.Locale == "" {
		f.Locale = messages(e.messages)
	}
	if f.Bus == "" && sessionbus.IsAddress(e.bus) {
		f.Bus = e.bus
	}
}

// An environment is what matters of a process's.
type environment struct {
	display, xauthority, bus string
	messages                 map[string]string // those variables that concern messages
}

// parseEnviron takes an environment out of /proc/PID/environ.
func parseEnviron(data []byte) environment {
	e := environment{messages: map[string]string{}}
	for v := range bytes.SplitSeq(data, []byte{0}) {
		name, value, _ := bytes.Cut(v, []byte("="))
		switch string(name) {
		case "DISPLAY":
			e.display = string(value)
		case "XAUTHORITY":
			e.xauthority = string(value)
		case "DBUS_SESSION_BUS_ADDRESS":
			e.bus = string(value)
		case "LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE":
			e.messages[string(name)] = string(value)
		}
	}
	return e
}
