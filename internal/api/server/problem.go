package server

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
)

// problemType names the kind of problem that a refusal is, as a tag URI (RFC
// 4151): a name, not an address. The reason follows it.
const problemType = "tag:vda.internal,2026:shadow/refused/"

// statusProblem is a problem that is no refusal.
func statusProblem(status int, format string, args ...any) *api.Problem {
	return &api.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// problemOf is the engine's error as a problem.
func problemOf(err error) *api.Problem {
	if r, ok := errors.AsType[*shadow.Refusal](err); ok {
		return &api.Problem{
			Type:   problemType + string(r.Reason),
			Title:  r.Reason.Sentence(),
			Status: refusalStatus(r.Reason),
			Detail: r.Detail,
			Reason: r.Reason,

			RetryAfter: int(math.Ceil(r.RetryAfter.Seconds())),
		}
	}
	return statusProblem(http.StatusInternalServerError, "%v", err)
}

// refusalStatus is 403 for what people or the settings decided, 409 for what
// the session's state forbids, and 503 for what this host can't do at the moment.
func refusalStatus(r shadow.Reason) int {
	switch r {
	case shadow.Disabled, shadow.NotAllowed, shadow.Denied, shadow.TimedOut, shadow.Closed, shadow.Locked:
		return http.StatusForbidden
	case shadow.PurposeMissing:
		return http.StatusUnprocessableEntity
	case shadow.PromptBusy, shadow.NoSession, shadow.NoUser, shadow.Wayland, shadow.SessionEnded,
		shadow.Superseded, shadow.StoppedByUser, shadow.StoppedByAdmin:
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

func writeProblem(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	writeJSON(w, p.Status, p)
}
