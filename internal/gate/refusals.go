package gate

import (
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/signin"
)

// What a request is refused for, in the log and the figures.
const (
	refusedTable = "access" // the access table
	refusedView  = "view"   // a view of another signed-in session
	refusedSite  = "site"   // another site's page has sent it
	refusedName  = "host"   // it is for a name that isn't the gate's
)

// noteRefusal counts a request that was refused, of which each source makes a few lines in the log. s is nil: it isn't known who
// has sent it.
func (g *Gate) noteRefusal(r *http.Request, s *signin.Session, why string, more func(*zerolog.Event) *zerolog.Event) {
	g.metrics.refusals.WithLabelValues(why).Inc()
	left, ok := g.refused.Pass(networkOf(r))
	if !ok {
		return
	}
	e := leftOut(g.Logger.Warn(), left).Str("why", why).Str("from", clientOf(r)).Str("method", r.Method).Str("path", r.URL.Path[:min(len(r.URL.Path), 100)])
	if s != nil {
		e = e.Str("name", s.Name)
	}
	if more != nil {
		e = more(e)
	}
	e.Msg("refused")
}

// refuse answers with a problem that the access table is the reason of.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, s *signin.Session, p *api.Problem) {
	g.noteRefusal(r, s, refusedTable, nil)
	writeProblem(w, p)
}

const (
	useTime = time.Hour // after which somebody's use of a token from the same network has a line again
	maxUses = 4096
)

// uses are those of tokens that have had a line. The zero value is ready.
type uses struct {
	mu  sync.Mutex
	all map[string]time.Time
}

// fresh notes a use, and reports whether it is to have a line.
func (u *uses) fresh(key string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at, ok := u.all[key]; ok && now.Sub(at) < useTime {
		return false
	}
	if u.all == nil || len(u.all) >= maxUses {
		u.all = map[string]time.Time{}
	}
	u.all[key] = now
	return true
}

// noteUse logs and counts that somebody has come by a header or a token, who needs no sign-in: by a header when that begins a session, by
// a token now and then.
func (g *Gate) noteUse(r *http.Request, s *signin.Session) {
	if s.Begun() || s.Method == signin.ByToken && g.uses.fresh(s.ID+" "+networkOf(r).String(), time.Now()) {
		g.noteSignIn(r, s.Method, "done", s.Name, nil)
	}
}
