package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/signin"
)

// What may be remembered of views.
const (
	maxViews    = 4096
	maxViewsOne = 32 // of one person, however often signed in
)

// closedTime is how long a view whose page was closed, or is loaded anew, may come back. The host
// would keep it longer, for browsers close a page's connections the same way in both cases; who has
// closed the page is meant to be gone.
const closedTime = 10 * time.Second

// A viewing is a view that the gate was granted for a session. What is exported is what a ticket
// holds.
type viewing struct {
	ID      string       `json:"id"`
	Host    string       `json:"host"`
	Owner   string       `json:"owner"` // ID of the signed-in session, the only one that may view it
	Name    string       `json:"name"`  // who that is
	Method  string       `json:"method,omitempty"`
	User    string       `json:"user"` // of the viewed session
	Session string       `json:"session"`
	Since   time.Time    `json:"since,omitzero"` // when the signed-in session began
	Until   time.Time    `json:"until"`          // when it ends
	Target  hosts.Target `json:"target"`

	host hosts.Host

	// Guarded by views.mu.
	added  time.Time
	busy   chan struct{} // closed when the connection that is there has gone; nil: there is none
	cut    func()        // ends that connection; nil: there is none
	closed time.Time     // when its page was closed; zero: it wasn't
	over   bool          // the host has said that it has ended, or the gate is to stop it
	again  bool          // the host couldn't be told to stop it
}

// log adds which view it is to a line.
func (v *viewing) log(e *zerolog.Event) *zerolog.Event { return e.Str("host", v.Host).Str("id", v.ID) }

// person is whose it is, however often that one has signed in.
func (v *viewing) person() string { return v.Method + "\x00" + v.Name }

// views are the views that were granted through this gate, or came back to it.
type views struct {
	g *Gate

	mu      sync.Mutex
	all     map[string]*viewing  // by endKey
	stopped map[string]time.Time // likewise, when it was heard: whoever has a ticket for one has it no more
}

func newViews(g *Gate) *views {
	return &views{g: g, all: map[string]*viewing{}, stopped: map[string]time.Time{}}
}

// add remembers a view. The problem is that there are too many, or that its host has given that id before.
func (vs *views) add(v *viewing) *api.Problem {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if old, there := vs.all[v.key()]; there && !old.over {
		return refusal(http.StatusConflict, reasonTaken, "host %.100q has a view of that id already", v.Host)
	}
	if p := vs.room(v.person()); p != nil {
		return p
	}
	v.added = time.Now()
	_, v.over = vs.stopped[v.key()]
	vs.all[v.key()] = v
	return nil
}

// room is whether there is room for one more of a person's; vs.mu is held.
func (vs *views) room(person string) *api.Problem {
	mine := 0
	for key, v := range vs.all {
		if v.over && v.busy == nil && len(vs.all) >= maxViews {
			delete(vs.all, key)
			continue
		}
		if v.person() == person && !v.over {
			mine++
		}
	}
	if mine >= maxViewsOne || len(vs.all) >= maxViews {
		return tooMany(10*time.Second, "there are too many views")
	}
	return nil
}

// isOf reports whether s may view it.
func (vs *views) isOf(id, host string, s *signin.Session) bool {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	v := vs.all[endKey(host, id)]
	return v != nil && v.Owner == s.ID && !v.over
}

// ended notes that a host has said that a view has ended.
func (vs *views) ended(host, id string) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if v := vs.all[endKey(host, id)]; v != nil {
		vs.end(v)
	}
}

// end notes that a view has ended; vs.mu is held.
func (vs *views) end(v *viewing) {
	v.over = true
	if vs.g.Tickets != nil {
		vs.g.Tickets.Void(v.key())
	}
}

// removed ends the views of a host that isn't the gate's any more.
func (vs *views) removed(host hosts.Host) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, v := range vs.all {
		if v.host != host {
			continue
		}
		vs.end(v)
		if v.cut != nil {
			v.cut()
		}
	}
}

// here is a view that the gate carries, or would; nil: it knows none of that host and id that goes on.
func (vs *views) here(host, id string) *viewing {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if v := vs.all[endKey(host, id)]; v != nil && !v.over {
		return v
	}
	return nil
}

// shut ends a view here, whatever its host does.
func (vs *views) shut(v *viewing) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	vs.end(v)
	if v.cut != nil {
		v.cut()
	}
}

// reconcile notes what a host has, as it was asked at a time: what it hasn't any more has ended, also if
// nobody has heard of it.
func (vs *views) reconcile(host string, has []api.Status, asked time.Time) {
	there := map[string]bool{}
	for _, s := range has {
		there[s.ID] = true
	}
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, v := range vs.all {
		if v.Host == host && v.added.Before(asked) && !there[v.ID] {
			vs.end(v)
		}
	}
}

// isOver reports whether a view has ended.
func (vs *views) isOver(v *viewing) bool {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	return v.over
}

// tryAgain has tidy return a view once more.
func (vs *views) tryAgain(v *viewing) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	v.again = true
}

// claim makes the caller the one connection of a view, which cut ends. Whoever else has it, a page that is
// just being loaded anew, has a moment to go. leave has to be called, with what is known of the end.
func (vs *views) claim(ctx context.Context, v *viewing, cut func()) (leave func(closed bool), ok bool) {
	deadline := time.NewTimer(claimTime)
	defer deadline.Stop()
	for {
		vs.mu.Lock()
		busy := v.busy
		if busy == nil {
			mine := make(chan struct{})
			v.busy, v.cut, v.closed = mine, cut, time.Time{}
			if v.over { // since the caller looked
				cut()
			}
			vs.mu.Unlock()
			return func(closed bool) {
				vs.mu.Lock()
				defer vs.mu.Unlock()
				v.busy, v.cut = nil, nil
				if closed {
					v.closed = time.Now()
				}
				close(mine)
			}, true
		}
		vs.mu.Unlock()
		select {
		case <-busy:
		case <-deadline.C:
			return nil, false
		case <-ctx.Done():
			return nil, false
		}
	}
}

// claimTime is how long a connection waits for another of the same view to go.
const claimTime = 3 * time.Second

// open is how many are being viewed.
func (vs *views) open() int {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	n := 0
	for _, v := range vs.all {
		if v.busy != nil {
			n++
		}
	}
	return n
}

// tidy forgets what has ended, and returns the views that are to be stopped: those whose page was
// closed and did not come back, those whose signed-in session is over, and those that couldn't be stopped.
func (vs *views) tidy() (stop []*viewing) {
	now := time.Now()
	vs.mu.Lock()
	defer vs.mu.Unlock()
	maps.DeleteFunc(vs.stopped, func(_ string, heard time.Time) bool { return now.Sub(heard) > stoppedTime })
	for key, v := range vs.all {
		gone := !v.closed.IsZero() && now.Sub(v.closed) > closedTime
		switch {
		case v.again:
			v.again = false
			stop = append(stop, v)
		case v.over && v.busy == nil && now.After(v.Until), v.over && len(vs.all) > maxViews/2 && v.busy == nil:
			delete(vs.all, key)
		case v.over:
		case gone, !now.Before(v.Until), vs.signedOut(v):
			vs.end(v)
			stop = append(stop, v)
		}
	}
	return stop
}

// signedOut reports whether a view's signed-in session was ended.
func (vs *views) signedOut(v *viewing) bool {
	ended := vs.g.Desk.Ended
	return ended.Has(v.Owner) || v.Method != signin.ByToken && (ended.Covers(v.person(), v.Until) || ended.Cuts(v.person(), v.Owner, v.Since))
}

const (
	purposeTicket = "view 1"
	maxTicket     = 3800 // bytes of a cookie's value
	maxTickets    = 8    // of one id, of different hosts
)

// ticketNames is how the cookies of views begin, which browsers send to /view/ID only. Their names end with what
// tells hosts apart.
func (vs *views) ticketNames() string {
	if vs.g.Desk.Secure {
		return "__Secure-shadowgate-view"
	}
	return "shadowgate-view"
}

// ticketName is the cookie of a view.
func (vs *views) ticketName(v *viewing) string {
	sum := sha256.Sum256([]byte(v.Host))
	return vs.ticketNames() + "-" + hex.EncodeToString(sum[:4])
}

// giveTicket gives the browser what it takes to come back to a gate that knows nothing of the view:
// the granted port and its token, sealed, good for the same signed-in session only.
func (vs *views) giveTicket(w http.ResponseWriter, v *viewing) {
	plain, err := json.Marshal(v)
	if err != nil {
		return
	}
	value := vs.g.Desk.Sealer.Seal(purposeTicket, plain)
	if len(value) > maxTicket {
		return // the view is there; it only can't come back to another gate
	}
	http.SetCookie(w, &http.Cookie{
		Name: vs.ticketName(v), Value: value, Path: "/view/" + v.ID, MaxAge: max(1, int(time.Until(v.Until).Seconds())),
		Secure: vs.g.Desk.Secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// tickets are the views that the browser has good tickets for, without their hosts.
func (vs *views) tickets(r *http.Request, id string) (list []*viewing) {
	for _, cookie := range r.Cookies() {
		if !strings.HasPrefix(cookie.Name, vs.ticketNames()) || len(list) >= maxTickets {
			continue
		}
		plain, err := vs.g.Desk.Sealer.Open(purposeTicket, cookie.Value)
		if err != nil {
			continue
		}
		v := new(viewing)
		if json.Unmarshal(plain, v) == nil && v.ID == id && v.Host != "" && time.Now().Before(v.Until) {
			list = append(list, v)
		}
	}
	return list
}
