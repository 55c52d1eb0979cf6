package server

import (
	"errors"
	"math"
	"net/http"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/api/reply"
)

// ProblemOf is the engine's error as a problem.
func ProblemOf(err error) *api.Problem {
	if r, ok := errors.AsType[*shadow.End](err); ok {
		return &api.Problem{
			Type:   reply.RefusalType + string(r.Reason),
			Title:  r.Reason.Sentence(),
			Status: refusalStatus(r.Reason),
			Detail: r.Detail,
			Reason: r.Reason,

			RetryAfter: int(math.Ceil(r.RetryAfter.Seconds())),
		}
	}
	return reply.NewProblem(http.StatusInternalServerError, "%v", err)
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
