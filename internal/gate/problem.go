package gate

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
	"unicode/utf8"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/api/reply"
)

// Reasons that the gate adds to shadowd's vocabulary.
const (
	reasonSignIn  shadow.Reason = "sign_in"          // nobody is signed in, or name and password are wrong
	reasonClock   shadow.Reason = "clock"            // nobody can be signed in, for a clock is wrong
	reasonProve   shadow.Reason = "prove_again"      // it has to be shown again who it is
	reasonLimit   shadow.Reason = "too_many"         // too many attempts, questions, views or streams
	reasonHost    shadow.Reason = "host_unreachable" // the host can't be reached
	reasonCert    shadow.Reason = "host_certificate" // the host's certificate isn't accepted
	reasonNotMine shadow.Reason = "not_yours"        // a view of another signed-in session
	reasonEnded   shadow.Reason = "ended"            // the view has ended, or there never was one
	reasonTaken   shadow.Reason = "viewed_elsewhere" // another tab shows the view
	reasonSeveral shadow.Reason = "several_hosts"    // an id isn't enough
)

// sentences are the words for people.
var sentences = map[shadow.Reason]string{
	reasonSignIn:  "sign in first",
	reasonClock:   "a clock is wrong",
	reasonProve:   "show once more that it is you",
	reasonLimit:   "there are too many already",
	reasonHost:    "the host can't be reached",
	reasonCert:    "the host's certificate isn't accepted",
	reasonNotMine: "the view belongs to another signed-in session",
	reasonEnded:   "there is no such view, or it has ended",
	reasonTaken:   "the view is shown elsewhere",
	reasonSeveral: "several hosts may have a view of that id",
}

// problem is one without a reason.
func problem(status int, format string, args ...any) *api.Problem {
	return reply.NewProblem(status, format, args...)
}

// refusal is one with a reason.
func refusal(status int, reason shadow.Reason, format string, args ...any) *api.Problem {
	title, own := sentences[reason]
	if !own {
		title = reason.Sentence()
	}
	return &api.Problem{Type: reply.RefusalType + string(reason), Title: title, Status: status, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// tooMany is a refusal that says when to try again.
func tooMany(after time.Duration, format string, args ...any) *api.Problem {
	p := refusal(http.StatusTooManyRequests, reasonLimit, format, args...)
	p.RetryAfter = max(1, int((after+time.Second-1)/time.Second))
	return p
}

// problemOf is a host's error: its own problem, or that it can't be reached.
func problemOf(err error) *api.Problem {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		own := *p
		switch own.Status {
		case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge,
			http.StatusUnprocessableEntity, http.StatusServiceUnavailable:
		default: // others mean something between the browser and the gate
			own.Status = http.StatusBadGateway
		}
		return &own
	}
	return refusal(http.StatusBadGateway, reasonHost, "%v", err)
}

const (
	maxBody      = 16 << 10         // bytes of a request's body
	bodyTimeout  = 10 * time.Second // for the body to arrive
	writeTimeout = 20 * time.Second // for the browser to take an answer, or one event
)

// readJSON reads a body that is one JSON object with known members only.
func readJSON(w http.ResponseWriter, r *http.Request, v any) *api.Problem {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return problem(http.StatusUnsupportedMediaType, "the body has to be application/json")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", maxBody)
	}
	if err != nil {
		return problem(http.StatusBadRequest, "the body could not be read")
	}
	if !utf8.Valid(body) {
		return problem(http.StatusBadRequest, "the body isn't UTF-8")
	}
	if err := strictly(body, v); err != nil {
		return problem(http.StatusBadRequest, "the body: %v", err)
	}
	return nil
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) { reply.JSON(w, status, v, writeTimeout) }

func writeProblem(w http.ResponseWriter, p *api.Problem) { reply.Problem(w, p, writeTimeout) }
