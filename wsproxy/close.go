package wsproxy

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"vda.internal/shadow/internal/named"
)

// pkg is the name of this package's errors.
const pkg = named.Package("wsproxy")

// Close codes: RFC 6455 §7.4.1, its IANA registry, and the 4000s, which are
// private to applications.
const (
	StatusNormalClosure   = 1000 // the viewer, the target or the relay was done
	StatusGoingAway       = 1001 // the handler is shut down, or what was shown is over
	StatusProtocolError   = 1002 // malformed WebSocket, or malformed relayed protocol
	StatusUnsupportedData = 1003 // a text message
	StatusPolicyViolation = 1008 // origin or token refused, or something forbidden was sent
	StatusMessageTooBig   = 1009 // a message over [Handler.MaxMessage], or another limit
	StatusInternalError   = 1011 // the target could not be reached, or failed
	StatusTryAgainLater   = 1013 // no capacity

	StatusSuperseded    = 4001 // another viewer was admitted in this one's place
	StatusStoppedByUser = 4002 // who is being watched stopped it
	StatusStalled       = 4008 // the viewer took nothing for [Handler.WriteTimeout], answered no ping, or didn't finish a frame
)

// Codes that are never sent and appear only in a [Record].
const (
	StatusNoStatus        = 1005 // the viewer closed without giving a code
	StatusAbnormalClosure = 1006 // the connection was lost without a close frame
)

// maxReason is the longest reason in bytes: a control frame carries 125, and
// the code takes two (RFC 6455 §5.5).
const maxReason = 123

// A CloseError closes a viewer's connection with its code and reason.
// [Handler.Authorize], [Handler.Dial] and a [Relay] may return one, and a
// context that is cancelled with one as its cause ends the session with it.
// A Code that must not be sent becomes [StatusInternalError]; a Reason
// beyond 123 bytes is cut to whole words.
type CloseError struct {
	Code   int    // RFC 6455 §7.4, or 4000 to 4999
	Reason string // shown to the viewer; may be empty
}

// Error implements error.
func (e *CloseError) Error() string {
	return string(pkg) + ": " + e.Text()
}

// Text is the error without this package's name.
func (e *CloseError) Text() string {
	if e.Reason == "" {
		return fmt.Sprintf("closed with %d", e.Code)
	}
	return fmt.Sprintf("closed with %d: %s", e.Code, e.Reason)
}

// CloseCode returns e.Code.
func (e *CloseError) CloseCode() int { return e.Code }

// A closeCoder is an error that knows the close code which says the same.
type closeCoder interface{ CloseCode() int }

// closeOf is the close code and reason of an error: its own if it, or an
// error that it wraps, has a CloseCode.
func closeOf(err error) (e *CloseError, ok bool) {
	if errors.As(err, &e) {
		return e, true
	}
	var coder closeCoder
	if errors.As(err, &coder) {
		return &CloseError{coder.CloseCode(), err.Error()}, true
	}
	return nil, false
}

// sendable reports whether a code may stand in a close frame (RFC 6455 §7.4).
func sendable(code int) bool {
	switch {
	case code == 1004, code == StatusNoStatus, code == StatusAbnormalClosure:
		return false
	case code >= 1000 && code <= 1014, code >= 3000 && code <= 4999:
		return true
	}
	return false
}

// ellipsis says that a reason went on.
const ellipsis = "…"

// cut returns s as the reason of a close frame: valid UTF-8 of at most
// [maxReason] bytes. Of a longer one whole words are left, or else whole
// characters and numbers: half a number would be another.
func cut(s string) string {
	if !utf8.ValidString(s) {
		s = string([]rune(s)) // each broken byte becomes U+FFFD
	}
	if len(s) <= maxReason {
		return s
	}
	end := maxReason - len(ellipsis)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	digit := func(i int) bool { return '0' <= s[i] && s[i] <= '9' }
	switch space := strings.LastIndexByte(s[:end+1], ' '); {
	case space > 0:
		end = space
	default:
		for end > 0 && digit(end) && digit(end-1) {
			end--
		}
	}
	return strings.TrimRight(s[:end], " ,;:(") + ellipsis
}
