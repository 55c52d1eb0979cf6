package api

import (
	"fmt"

	"vda.internal/shadow"
)

// A Problem is an error of the API: an RFC 9457 problem document. As an error
// of a [Client] it says what the daemon answered.
type Problem struct {
	Type   string        `json:"type"` // "about:blank" unless it is a refusal
	Title  string        `json:"title"`
	Status int           `json:"status"` // HTTP status
	Detail string        `json:"detail,omitempty"`
	Reason shadow.Reason `json:"reason,omitempty"` // of a refusal

	// RetryAfter is for how many seconds the same request is going to be refused for the same
	// reason; 0 if that isn't known. The header Retry-After says it too.
	RetryAfter int `json:"retry_after,omitempty"`
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
