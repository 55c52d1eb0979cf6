package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/signin"
)

// ask asks a session's user. It answers when that one has, and takes the question back when the
// browser has gone or its session has ended.
func (g *Gate) ask(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	var wish Wish
	if p := readJSON(w, r, &wish); p != nil {
		writeProblem(w, p)
		return
	}
	leave, p := g.question(s, wish.Host)
	if p != nil {
		writeProblem(w, p)
		return
	}
	defer leave()
	ctx, release := g.hold(r.Context(), s)
	defer release()
	host, row, p := g.find(ctx, r, s, wish)
	if p == nil {
		p = g.askHost(ctx, w, r, s, host, row, wish)
	}
	if p == nil {
		return
	}
	if ctx.Err() != nil && r.Context().Err() == nil {
		p = refusal(http.StatusUnauthorized, reasonSignIn, "the question was taken back: you are signed out")
	}
	g.metrics.asks.WithLabelValues(wordOf(p.Reason)).Inc()
	writeProblem(w, p)
}

// mayAsk counts a question of s's, each of which makes lines of the audit, until it comes to something; beyond some
// there is a problem, of which there is a line in the log now and then.
func (g *Gate) mayAsk(s *signin.Session) *api.Problem {
	now := time.Now()
	_, wait := g.asks.Take(s.Owner(), now)
	if wait == 0 {
		return nil
	}
	if left, ok := g.tooMany.Take(now); ok {
		g.Logger.Warn().Str("name", s.Name).Int("left_out", left).Msg("a question wasn't asked: too many of the same person's came to nothing")
	}
	g.metrics.asks.WithLabelValues(string(reasonLimit)).Inc()
	return tooMany(wait, "too many of your questions came to nothing")
}

// question reserves a question of s's, and one of the host's if s may do anything there. leave has to be
// called if there is no problem.
func (g *Gate) question(s *signin.Session, name string) (leave func(), p *api.Problem) {
	if p := g.mayAsk(s); p != nil {
		return nil, p
	}
	mine, ok := g.asking.take(s.Owner())
	if !ok {
		return nil, tooMany(5*time.Second, "there are too many questions open")
	}
	host, ok := g.hub.host(name)
	if !ok || !g.mayHost(s.Person(), host.Name()) {
		return mine, nil // there will be none
	}
	its, ok := g.asked.take(host.Name())
	if !ok {
		mine()
		return nil, tooMany(5*time.Second, "there are too many questions open on host %.100q", host.Name())
	}
	return func() { its(); mine() }, nil
}

// wordOf is a reason for the figures. What a host made up is "other", so that their number is bounded.
func wordOf(reason shadow.Reason) string {
	if _, own := sentences[reason]; own || slices.Contains(shadow.Reasons(), reason) {
		return string(reason)
	}
	return "other"
}

// find is the session that is wished for, if s, which has sent r, may ask for it. Of what somebody may not list, it
// isn't said that it exists.
func (g *Gate) find(ctx context.Context, r *http.Request, s *signin.Session, wish Wish) (hosts.Host, Row, *api.Problem) {
	host, ok := g.hub.host(wish.Host)
	if !ok || !g.mayHost(s.Person(), host.Name()) {
		g.noteRefusal(r, s, refusedTable, nil)
		return nil, Row{}, noHost(wish.Host)
	}
	rows, err := g.hub.fetch(ctx, host)
	if err != nil {
		return nil, Row{}, problemOf(err)
	}
	i := slices.IndexFunc(rows, func(row Row) bool { return row.Session.ID == wish.Session })
	if i >= 0 && g.Access.May(s.Person(), access.Shadow, host.Name(), rows[i].User) {
		return host, rows[i], nil
	}
	if i >= 0 {
		g.noteRefusal(r, s, refusedTable, nil)
	}
	if i >= 0 && g.mayList(s, rows[i]) {
		return nil, Row{}, refusal(http.StatusForbidden, shadow.NotAllowed, "the gate's access table doesn't let you view this session")
	}
	return nil, Row{}, refusal(http.StatusConflict, shadow.NoSession, "")
}

// requestOf is a wish as its host is told: for the session as s was shown it, which the access table was asked about.
func requestOf(r *http.Request, s *signin.Session, row Row, wish Wish) api.Request {
	return api.Request{Session: wish.Session, User: row.User, Admin: s.Name, Client: clientOf(r), Purpose: wish.Purpose, Monitor: wish.Monitor, Groups: s.Groups, Owner: ownerOf(s)}
}

// ownerOf is who s is, by name and way of signing in, as hosts are told: gates of one fleet say the same.
func ownerOf(s *signin.Session) string {
	sum := sha256.Sum256([]byte(s.Owner()))
	return hex.EncodeToString(sum[:16])
}

// meantID is what the ids of views look like, as the console's page has it in its address.
var meantID = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

// askHost asks, and answers with the view. Otherwise the problem is to be told.
func (g *Gate) askHost(ctx context.Context, w http.ResponseWriter, r *http.Request, s *signin.Session, host hosts.Host, row Row, wish Wish) *api.Problem {
	grant, err := host.Ask(ctx, requestOf(r, s, row, wish))
	if err != nil {
		return problemOf(err)
	}
	target, err := hosts.TargetOf(grant)
	if !meantID.MatchString(grant.ID) {
		g.stopSoon(host, grant.ID)
		return refusal(http.StatusBadGateway, reasonHost, "the host's answer has an id that can't be meant")
	}
	if err != nil {
		g.stopSoon(host, grant.ID)
		return refusal(http.StatusBadGateway, reasonHost, "%v", err)
	}
	v := &viewing{ID: grant.ID, Host: host.Name(), Owner: s.ID, Name: s.Name, Method: s.Method, User: row.User, Session: wish.Session, Since: s.Since, Until: s.Expires, Target: target, host: host}
	if ctx.Err() != nil || g.Desk.Still(s) != nil { // signed out, or gone, while the user thought
		g.stopSoon(host, grant.ID)
		return refusal(http.StatusUnauthorized, reasonSignIn, "the view was ended: you are signed out")
	}
	if p := g.views.add(v); p != nil {
		g.stopSoon(host, grant.ID)
		return p
	}
	g.views.giveTicket(w, v)
	g.asks.GiveBack(s.Owner(), time.Now())
	g.metrics.asks.WithLabelValues("granted").Inc()
	w.Header().Set("Location", "/api/v1/shadows/"+grant.ID)
	writeJSON(w, http.StatusCreated, View{ID: grant.ID, Host: host.Name(), Session: grant.Session, Admin: grant.Admin, View: "/view/" + grant.ID, Expires: grant.Expires, Purpose: wish.Purpose})
	return nil
}

// standing is what s may know of the shadows of all hosts. One that hangs holds none of the others up.
func (g *Gate) standing(ctx context.Context, s *signin.Session) []Standing {
	all := g.hub.list()
	answers := make(chan []Standing, len(all))
	for _, host := range all {
		go func() {
			some, _ := g.standingOn(ctx, s, host) // an error is seen in the hosts' states
			answers <- some
		}()
	}
	list := []Standing{}
	for range all {
		list = append(list, <-answers...)
	}
	slices.SortStableFunc(list, func(a, b Standing) int { return strings.Compare(a.Host, b.Host) })
	return list
}

// standingOn is what s may know of the shadows of a host.
func (g *Gate) standingOn(ctx context.Context, s *signin.Session, host hosts.Host) ([]Standing, error) {
	if !g.mayHost(s.Person(), host.Name()) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	found, err := host.Shadows(ctx)
	if err != nil {
		return nil, err
	}
	var list []Standing
	for _, one := range found {
		mine := g.views.isOf(one.ID, host.Name(), s)
		if mine || g.Access.May(s.Person(), access.List, host.Name(), one.User) {
			own := mine || one.Owner == ownerOf(s)
			one.Port, one.Owner = 0, "" // the gate's own business
			if !mine && !g.mayRead(s, host.Name(), one.User) {
				one.Client, one.Purpose, one.Viewer = "", "", ""
			}
			list = append(list, Standing{Status: one, Host: host.Name(), Mine: mine, own: own})
		}
	}
	return list, nil
}

func (g *Gate) listShadows(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	writeJSON(w, http.StatusOK, StandingList{g.standing(r.Context(), s)})
}

func (g *Gate) getShadow(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	host, p := g.which(r, s)
	if p != nil {
		writeProblem(w, p)
		return
	}
	one, p := g.one(r.Context(), s, host, r.PathValue("id"))
	if p != nil {
		writeProblem(w, p)
		return
	}
	writeJSON(w, http.StatusOK, one)
}

// carried is a view that this gate carries, as who stops it knows it: its host, or another, may hang.
func carried(v *viewing, s *signin.Session) Standing {
	return Standing{Status: api.Status{ID: v.ID, Admin: v.Name, User: v.User}, Host: v.Host, Mine: v.Owner == s.ID, own: v.Owner == s.ID || v.person() == s.Owner()}
}

// toStop is the shadow that a stop is about. v is nil if this gate doesn't carry it: to look for one of those has hosts asked, of
// which a person has a share. Who stops what this gate carries is never refused for that. done has to be called if there is no problem.
func (g *Gate) toStop(r *http.Request, s *signin.Session) (v *viewing, one Standing, done func(), p *api.Problem) {
	id, host := r.PathValue("id"), r.URL.Query().Get("host")
	if host == "" {
		var err error
		if host, err = g.views.hostOf(id, "", s); err != nil {
			return nil, Standing{}, nil, several()
		}
	}
	if v := g.here(host, id, s); v != nil {
		return v, carried(v, s), func() {}, nil
	}
	if done, p = g.share(&g.stopping, &g.stops, s); p != nil {
		return nil, Standing{}, nil, p
	}
	if host, p = g.which(r, s); p == nil {
		if v = g.here(host, id, s); v != nil {
			return v, carried(v, s), done, nil
		}
		one, p = g.one(r.Context(), s, host, id)
	}
	if p != nil {
		done()
	}
	return nil, one, done, p
}

// stop ends a view: of one's own, or with the right to stop others'. Who has the name by another way of signing in is somebody else.
func (g *Gate) stop(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	v, one, done, p := g.toStop(r, s)
	if p != nil {
		writeProblem(w, p)
		return
	}
	defer done()
	if !one.own && !g.Access.May(s.Person(), access.Stop, one.Host, one.User) {
		g.refuse(w, r, s, refusal(http.StatusForbidden, shadow.NotAllowed, "it is another administrator's view, and the gate's access table doesn't let you stop those"))
		return
	}
	if p := g.stopOne(r.Context(), v, one); p != nil {
		if p.Status == http.StatusNotFound {
			p = g.noShadow(one.Host, one.ID, s)
		}
		writeProblem(w, p)
		return
	}
	g.Logger.Info().Str("name", s.Name).Str("host", one.Host).Str("id", one.ID).Str("admin", one.Admin).Msg("stopped a view")
	w.WriteHeader(http.StatusNoContent)
}
