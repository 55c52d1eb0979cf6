package sessions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/account"
	"vda.internal/shadow/internal/host/xsession"
)

const (
	maxLogindResult = 4096            // sessions that are looked at in one list
	hostTime        = 5 * time.Second // for the accounts and processes of all users
	hostPeak        = 32              // users who are looked at at the same time
)

const tooMany = "logind lists %d sessions; %d of them are looked at, each user's first ones before others' further ones"

// listed is one element of what ListSessions returns.
type listed struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

// unavailable lists a session of which no more is known than what logind's list says.
func (s *listed) unavailable(detail string, err error) *shadow.Session {
	if err != nil {
		detail = fmt.Sprintf("%s: %v", detail, err)
	}
	return &shadow.Session{ID: s.ID, User: s.User, UID: s.UID, Unavailable: &shadow.End{
		Reason: shadow.DisplayUnreachable, Detail: detail, Err: err,
	}}
}

// look asks logind about the sessions with the wanted ids, and then this host about their users.
func (l *Logind) look(ctx context.Context, wanted func(id string) bool) ([]*shadow.Session, error) {
	all, found, err := l.describe(ctx, wanted)
	if err != nil {
		return nil, err
	}
	byUser := map[uint32][]*described{}
	for _, d := range all {
		byUser[d.uid] = append(byUser[d.uid], d)
	}
	if len(all) == 0 {
		return found, nil
	}
	host, err := xsession.Scan(cmp.Or(l.root, "/"))
	if err != nil {
		return nil, pkg.Errorf("%w", err)
	}
	late, cancel := context.WithTimeout(ctx, hostTime)
	defer cancel()
	var wg sync.WaitGroup
	places := make(chan struct{}, hostPeak)
	for uid, own := range byUser {
		wg.Go(func() {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
			case <-late.Done():
			}
			a, err := account.LookupID(late, uid)
			for _, d := range own {
				d.complete(late, host, a, err)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, pkg.Errorf("%w", context.Cause(ctx))
	}
	for _, d := range all {
		found = append(found, d.session)
	}
	return found, nil
}

// A described session is one with what logind says of it.
type described struct {
	listed
	uid     uint32
	p       properties
	session *shadow.Session // set by complete
}

// describe asks logind about the sessions with the wanted ids. Those that it doesn't describe are
// finished.
func (l *Logind) describe(ctx context.Context, wanted func(id string) bool) (all []*described, finished []*shadow.Session, err error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(l.Timeout, logindTimeout))
	defer cancel()
	conn, err := l.dial(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()

	var list []listed
	if err := conn.Object(loginName, loginPath).CallWithContext(ctx, loginManager+".ListSessions", 0).Store(&list); err != nil {
		if isDBusError(err, errNoService) {
			return nil, nil, pkg.Errorf("logind isn't on this host; choose another sessions.resolver: %w", err)
		}
		return nil, nil, pkg.Errorf("logind didn't list its sessions: %w", because(ctx, err))
	}
	list = slices.DeleteFunc(list, func(s listed) bool { return !wanted(s.ID) })
	for i, s := range inTurn(list) {
		if i >= maxLogindResult {
			finished = append(finished, s.unavailable(fmt.Sprintf(tooMany, len(list), maxLogindResult), nil))
			continue
		}
		d := &described{listed: s}
		err := conn.Object(loginName, s.Path).CallWithContext(ctx, propertiesGet, 0, loginSession).Store(&d.p)
		if isDBusError(err, errNoSession, errNoObject) {
			continue // it ended meanwhile
		}
		if ctx.Err() != nil && len(all)+len(finished) == 0 {
			return nil, nil, pkg.Errorf("logind didn't describe session %q: %w", s.ID, because(ctx, err))
		}
		if err == nil {
			err = d.whose()
		}
		if err != nil { // the others are none the worse for it
			finished = append(finished, s.unavailable(fmt.Sprintf("logind didn't describe session %q", s.ID), because(ctx, err)))
			continue
		}
		all = append(all, d)
	}
	return all, finished, nil
}

// inTurn brings everybody's first session before anybody's second: who has many, as anybody may, is the
// one of whom some are left out.
func inTurn(list []listed) []listed {
	type ranked struct {
		listed
		rank int
	}
	seen := map[uint32]int{}
	turns := make([]ranked, 0, len(list))
	for _, s := range list {
		turns = append(turns, ranked{s, seen[s.UID]})
		seen[s.UID]++
	}
	slices.SortStableFunc(turns, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	for i, s := range turns {
		list[i] = s.listed
	}
	return list
}

// properties are those of a session object.
type properties map[string]dbus.Variant

func (p properties) text(name string) string { s, _ := p[name].Value().(string); return s }
func (p properties) flag(name string) bool   { b, _ := p[name].Value().(bool); return b }

// moment is a time that logind has in microseconds since 1970; 0, or one that isn't there, is the zero Time.
func (p properties) moment(name string) time.Time {
	us, _ := p[name].Value().(uint64)
	if us == 0 || us > math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMicro(int64(us)).UTC()
}

// whose sets d's user to the first part of the property User, (uo).
func (d *described) whose() error {
	user, _ := d.p["User"].Value().([]any)
	if len(user) > 0 {
		if uid, ok := user[0].(uint32); ok {
			d.uid = uid
			return nil
		}
	}
	return errors.New("it doesn't say whose it is")
}

// complete makes a Session of what logind says, the account database (a, or err) and the
// host's processes.
func (d *described) complete(ctx context.Context, host *xsession.Host, a *account.Account, err error) {
	s := &shadow.Session{
		ID:     d.ID,
		Type:   d.p.text("Type"),
		Class:  d.p.text("Class"),
		State:  d.p.text("State"),
		Locked: d.p.flag("LockedHint"),
		Since:  d.p.moment("Timestamp"),
	}
	d.session = s
	switch {
	case errors.Is(err, account.ErrUnknown):
		detail := fmt.Sprintf("uid %d of session %q is unknown to this host", d.uid, d.ID)
		s.Unavailable = &shadow.End{Reason: shadow.NoUser, Detail: detail, Err: err}
		return
	case err != nil:
		d.session = d.unavailable(fmt.Sprintf("the account of session %q wasn't found", d.ID), because(ctx, err))
		return
	case d.uid == 0:
		s.Unavailable = rootRefusal(d.ID)
		return
	}
	s.User, s.UID, s.GID, s.Groups = cmp.Or(d.p.text("Name"), a.Name), d.uid, a.GID, a.Groups
	leader, _ := d.p["Leader"].Value().(uint32)
	display := d.p.text("Display")
	if strings.Contains(s.Type, "wayland") || !xsession.IsDisplay(display) {
		display = "" // an ssh client's "localhost:10.0" is no display of this host
	}
	where := xsession.Session{Leader: int(leader), UID: d.uid, User: s.User, Home: a.Home, Display: display}
	found, err := host.Look(ctx, where)
	s.Display, s.Xauthority, s.Locale, s.Bus = found.Display, found.Xauthority, found.Locale, found.Bus
	// startx and some remoting daemons leave a session on X with the type
	// that it was opened with. An ssh login that has set DISPLAY stays what it is.
	if s.Display != "" && (s.Type == "unspecified" || s.Type == "tty" && !d.p.flag("Remote")) {
		s.Type = "x11"
	}
	if err != nil && mayHaveDisplay(s) {
		s.Unavailable = &shadow.End{Reason: shadow.DisplayUnreachable, Detail: fmt.Sprintf("its display and cookie were not found: %v", err), Err: err}
	}
}

// mayHaveDisplay reports whether nothing keeps s from being shadowed but a display that may be there.
func mayHaveDisplay(s *shadow.Session) bool {
	r := s.Refusal()
	return r == nil || r.Reason == shadow.DisplayUnreachable || s.Type == "unspecified" || s.Type == "tty"
}

// rootRefusal is for sessions of root that no operator has written down.
func rootRefusal(id string) *shadow.End {
	return &shadow.End{Reason: shadow.NoUser, Detail: fmt.Sprintf("session %q is root's, and nothing that shows a session runs as root", id)}
}
