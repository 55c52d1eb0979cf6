package gate

import (
	"context"
	"errors"
	"net/http"
	"time"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/signin"
)

// listSignIns says where s's owner is signed in.
func (g *Gate) listSignIns(w http.ResponseWriter, _ *http.Request, s *signin.Session) {
	list := SignInList{SignIns: []SignIn{}, Proof: g.Desk.Proof(s)}
	places, whole := g.Desk.Places(s)
	list.Whole = whole
	for _, p := range places {
		list.SignIns = append(list.SignIns, SignIn{
			ID: p.ID, Current: p.Current, Since: p.Since, Expires: p.Expires, Seen: p.Seen, From: p.From, Browser: p.Browser, System: p.System,
		})
	}
	writeJSON(w, http.StatusOK, list)
}

// endSignIns ends one of the sign-ins of s's owner, or all but s.
func (g *Gate) endSignIns(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	var which Ending
	if p := readJSON(w, r, &which); p != nil {
		writeProblem(w, p)
		return
	}
	if which.Others == (which.ID != "") {
		writeProblem(w, problem(http.StatusBadRequest, "either the id of a sign-in is wanted, or \"others\": true"))
		return
	}
	if s.Method == signin.ByToken {
		writeProblem(w, problem(http.StatusForbidden, "a token isn't a sign-in; shadowgate token remove ends it"))
		return
	}
	if p := g.prove(r, s, which.Password); p != nil {
		writeProblem(w, p)
		return
	}
	found, err := true, error(nil)
	if which.Others {
		err = g.Desk.EndOthers(s)
	} else {
		found, err = g.Desk.EndPlace(s, which.ID)
	}
	if !found {
		writeProblem(w, problem(http.StatusNotFound, "you have no such sign-in, or it has ended"))
		return
	}
	g.hasEnded(r.Context(), err)
	g.Logger.Info().Str("name", s.Name).Str("method", s.Method).Str("from", clientOf(r)).Bool("others", which.Others).Msg("signed out elsewhere")
	w.WriteHeader(http.StatusNoContent)
}

// prove says what is missing for it to be s's owner, and not somebody who has the cookie, who ends sign-ins.
func (g *Gate) prove(r *http.Request, s *signin.Session, password string) *api.Problem {
	err := g.Desk.Prove(r, s, password)
	tooOften, limited := errors.AsType[*signin.TooManyError](err)
	switch {
	case err == nil:
		return nil
	case limited:
		g.noteSignIn(r, s.Method, "limited", "", nil)
		return tooMany(tooOften.After, "%v", tooOften)
	case errors.Is(err, signin.ErrWrong):
		if password != "" {
			g.noteSignIn(r, s.Method, "wrong", "", nil)
		}
		what := "sign in at the provider again"
		if s.Method == signin.ByPassword {
			what = "the right password is needed"
		}
		return refusal(http.StatusForbidden, reasonProve, "this sign-in is older than %v: %s", signin.ProofTime, what)
	}
	g.noteSignIn(r, s.Method, "failed", "", err)
	return problem(http.StatusServiceUnavailable, "no password can be checked now; the gate's log says why")
}

// hasEnded ends what the sessions that were just ended have going on, and tells other gates. err is what kept that from being
// written down.
func (g *Gate) hasEnded(ctx context.Context, err error) {
	if err != nil {
		if left, ok := g.unkept.Take(time.Now()); ok {
			leftOut(g.Logger.Error().Err(err), left).Msg("cannot store a sign-out, so it applies only until the gate is restarted, or only at this gate")
		}
	}
	g.endHolds()
	g.tell(ctx)
}

// tell tells other gates of sign-ins and sign-outs, which have two seconds to hear it; else they are told later.
func (g *Gate) tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTime)
	defer cancel()
	err := g.Desk.Tell(ctx)
	if err == nil {
		return
	}
	if left, ok := g.untold.Take(time.Now()); ok {
		leftOut(g.Logger.Error().Err(err), left).Msg("cannot share changes of sign-ins with other gates, or store them; will retry")
	}
}
