package control

import (
	"errors"
	"fmt"
	"net/http"

	"vda.internal/shadow"
)

// problemType names the kind of problem that a refusal is, as a tag URI (RFC
// 4151): a name, not an address. The reason follows it.
const problemType = "tag:vda.internal,2026:shadow/refused/"

// A Problem is an error of the API: an RFC 9457 problem document. As an error
// of a [Client] it says what the daemon answered.
type Problem struct {
	Type   string        `json:"type"` // "about:blank" unless it is a refusal
	Title  string        `json:"title"`
	Status int           `json:"status"` // HTTP status
	Detail string        `json:"detail,omitempty"`
	Reason shadow.Reason `json:"reason,omitempty"` // of a refusal
}

// Error is the problem in the daemon's words.
func (p *Problem) Error() string {
	switch {
	case p.Reason != "" && p.Detail != "":
		return fmt.Sprintf("refused (%s): %s: %s", p.Reason, p.Reason.Sentence(), p.Detail)
	case p.Reason != "":
		return fmt.Sprintf("refused (%s): %s", p.Reason, p.Reason.Sentence())
	case p.Detail != "":
		return p.Detail
	}
	return p.Title
}

// statusProblem is a problem that is no refusal.
func statusProblem(status int, format string, args ...any) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// problemOf is the engine's error as a problem.
func problemOf(err error) *Problem {
	if r, ok := errors.AsType[*shadow.Refusal](err); ok {
		return &Problem{
			Type:   problemType + string(r.Reason),
			Title:  r.Reason.Sentence(),
			Status: refusalStatus(r.Reason),
			Detail: r.Detail,
			Reason: r.Reason,
		}
	}
	return statusProblem(http.StatusInternalServerError, "%v", err)
}

// refusalStatus is 403 for what people or the settings decided, 409 for what
// the session's state forbids, and 503 for what this host can't do at the moment.
func refusalStatus(r shadow.Reason) int {
	switch r {
	case shadow.Disabled, shadow.Denied, shadow.TimedOut, shadow.Closed, shadow.Locked:
		return http.StatusForbidden
	case shadow.PromptBusy, shadow.NoSession, shadow.NoUser, shadow.Wayland, shadow.SessionEnded,
		shadow.Superseded, shadow.StoppedByUser, shadow.StoppedByAdmin:
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	writeJSON(w, p.Status, p)
}
