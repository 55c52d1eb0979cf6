package gate

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode"

	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/gate/signin"
)

func (g *Gate) waysIn(w http.ResponseWriter, _ *http.Request) {
	m := Methods{Methods: g.Desk.Methods()}
	if g.Desk.OIDC != nil {
		m.OIDC = &Label{g.Label}
	}
	writeJSON(w, http.StatusOK, m)
}

func (g *Gate) signIn(w http.ResponseWriter, r *http.Request) {
	if tooOften, ok := errors.AsType[*signin.TooManyError](g.Desk.Full(r)); ok {
		g.noteSignIn(r, signin.ByPassword, "limited", "", nil)
		w.Header().Set("Connection", "close") // net/http would wait for the body otherwise
		writeProblem(w, tooMany(tooOften.After, "%v", tooOften))
		return
	}
	var c Credentials
	if p := readJSON(w, r, &c); p != nil {
		writeProblem(w, p)
		return
	}
	s, err := g.Desk.Password(r, c.Name, c.Password)
	if tooOften, ok := errors.AsType[*signin.TooManyError](err); ok {
		g.noteSignIn(r, signin.ByPassword, "limited", c.Name, nil)
		writeProblem(w, tooMany(tooOften.After, "%v", tooOften))
		return
	}
	switch {
	case errors.Is(err, signin.ErrWrong):
		g.noteSignIn(r, signin.ByPassword, "wrong", c.Name, nil)
		writeProblem(w, refusal(http.StatusUnauthorized, reasonSignIn, "the name or the password is wrong"))
		return
	case err != nil:
		g.noteSignIn(r, signin.ByPassword, "failed", c.Name, err)
		writeProblem(w, problem(http.StatusServiceUnavailable, "nobody can sign in with a password now; the gate's log says why"))
		return
	}
	if err := g.Desk.Keep(w, s); err != nil {
		g.noteSignIn(r, signin.ByPassword, "failed", c.Name, err)
		writeProblem(w, problem(http.StatusInternalServerError, "%v", err))
		return
	}
	g.begun(r, s)
	w.WriteHeader(http.StatusNoContent)
}

// begun notes a new sign-in, which takes the place of the one that r's browser may have had.
func (g *Gate) begun(r *http.Request, s *signin.Session) {
	replaced, err := g.Desk.Replace(r, s)
	if replaced {
		g.hasEnded(r.Context(), err)
	}
	g.Desk.Note(r, s)
	g.noteSignIn(r, s.Method, "done", s.Name, nil)
}

// leftOut adds to a line how many of the same source were left out before it.
func leftOut(e *zerolog.Event, left int) *zerolog.Event {
	if left > 0 {
		e = e.Int("left_out", left)
	}
	return e
}

// noteSignIn logs and counts an attempt; of those that fail each source makes a few lines, and of those that a proxy states, which may
// be all requests of a browser that keeps no cookie. A name is logged of who is known only: people type passwords into the wrong field.
func (g *Gate) noteSignIn(r *http.Request, method, result, name string, err error) {
	g.metrics.signIns.WithLabelValues(method, result).Inc()
	e := g.Logger.Info()
	if result != "done" || method == signin.ByHeader {
		noise := &g.stated
		if result != "done" {
			e, noise = g.Logger.Warn(), &g.noise
		}
		left, ok := noise.Pass(networkOf(r))
		if !ok {
			return
		}
		e = leftOut(e, left)
		if err != nil {
			e = e.Str(zerolog.ErrorFieldName, fmt.Sprintf("%.500s", err.Error())) // some of it may be a provider's
		}
	}
	if result == "done" {
		e = e.Str("name", name)
	}
	e.Str("method", method).Str("result", result).Str("from", clientOf(r)).Msg("sign-in")
}

func (g *Gate) signOut(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	next, err := g.Desk.SignOut(w, r, s)
	g.Logger.Info().Str("name", s.Name).Str("method", s.Method).Str("from", clientOf(r)).Msg("signed out")
	g.hasEnded(r.Context(), err)
	writeJSON(w, http.StatusOK, Next{next})
}

func (g *Gate) toProvider(w http.ResponseWriter, r *http.Request) {
	if g.Desk.OIDC == nil {
		writeProblem(w, problem(http.StatusNotFound, "this gate has no provider"))
		return
	}
	if r.Method == http.MethodHead {
		return
	}
	q := r.URL.Query()
	if err := g.Desk.OIDC.Begin(g.Desk, w, r, localPath(q.Get("next")), q.Get("again") != ""); err != nil {
		g.providerFailed(w, r, err)
	}
}

func (g *Gate) fromProvider(w http.ResponseWriter, r *http.Request) {
	if g.Desk.OIDC == nil {
		writeProblem(w, problem(http.StatusNotFound, "this gate has no provider"))
		return
	}
	s, next, err := g.Desk.OIDC.Finish(g.Desk, w, r)
	if err == nil {
		err = g.Desk.Keep(w, s)
	}
	if err != nil {
		g.providerFailed(w, r, err)
		return
	}
	g.begun(r, s)
	http.Redirect(w, r, localPath(next), http.StatusSeeOther)
}

// providerFailed sends the browser to the sign-in page, which has words for the error.
func (g *Gate) providerFailed(w http.ResponseWriter, r *http.Request, err error) {
	if tooOften, ok := errors.AsType[*signin.TooManyError](err); ok {
		g.noteSignIn(r, signin.ByOIDC, "limited", "", nil)
		writeProblem(w, tooMany(tooOften.After, "%v", tooOften))
		return
	}
	word := "failed"
	for known, is := range map[string]error{"provider": signin.ErrProvider, "state": signin.ErrState, "refused": signin.ErrRefused, "claims": signin.ErrClaims, "clock": signin.ErrClock} {
		if errors.Is(err, is) {
			word = known
		}
	}
	g.noteSignIn(r, signin.ByOIDC, word, "", err)
	http.Redirect(w, r, "/signin?error="+word, http.StatusSeeOther)
}

// localPath is a path of the gate's own pages, or "/" for whatever else somebody may have put there.
func localPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") ||
		strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\\' }) || path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") && u.Path != "/" {
		return "/"
	}
	switch first, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/"); first {
	case "", "activity", "me", "view":
		return u.RequestURI()
	}
	return "/"
}
