package api

import (
	"time"

	"vda.internal/shadow"
)

// DefaultSocket is where shadowd listens unless its configuration says otherwise.
const DefaultSocket = "/run/shadowd/control.sock"

// MaxSocketPath is how many bytes a unix socket's path may have (unix(7)).
const MaxSocketPath = 107

// ConfigHeader is the header of answers to GET /healthz that has the fingerprint of the
// loaded configuration. It differs from the file's when a restart is needed.
const ConfigHeader = "Shadowd-Config"

// AuditHeader is the header of answers to GET /healthz that says why the audit can't be
// written. It isn't there if nothing is wrong.
const AuditHeader = "Shadowd-Audit"

// A Request is the body of POST /v1/shadows.
type Request struct {
	Session string `json:"session"`
	Admin   string `json:"admin"`
	Client  string `json:"client,omitempty"`  // the address that the administrator comes from
	Purpose string `json:"purpose,omitempty"` // why, in the administrator's own words; at most 200 characters

	Monitor string `json:"monitor,omitempty"` // which of several is to be shown: a number, the primary one's is "1", or a name such as "DP-1"; all without it

	Groups []string `json:"groups,omitempty"` // that the administrator is in, for the rules; at most 64

	User string `json:"user,omitempty"` // account whose session it has to be, for who chose the session from a list: otherwise no_session; empty: whoever's it is

	Owner string `json:"owner,omitempty"` // tells those apart who have one name, for a console that asks for many people: the Status has it, and nothing else comes of it
}

// A Grant is the answer to a Request that the user granted.
type Grant struct {
	ID      string    `json:"id"`
	Session string    `json:"session"`
	Admin   string    `json:"admin"`
	URL     string    `json:"url"`            // ws[s]://HOST:PORT/websockify?token=TOKEN
	Page    string    `json:"page,omitempty"` // http[s]://HOST:PORT/#TOKEN; empty: viewer.page is off
	Scheme  string    `json:"scheme"`
	Host    string    `json:"host"`
	Port    int       `json:"port"`
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"` // by when the viewer must have connected
}

// A Status is a shadow that has not ended.
type Status struct {
	ID      string       `json:"id"`
	Session string       `json:"session"`
	User    string       `json:"user"`
	Admin   string       `json:"admin"`
	Client  string       `json:"client,omitempty"`
	Purpose string       `json:"purpose,omitempty"` // why, in the administrator's own words
	Owner   string       `json:"owner,omitempty"`   // as the request has it
	Paused  bool         `json:"paused,omitempty"`  // the user hides the screen from the viewer
	State   shadow.State `json:"state"`
	Port    int          `json:"port,omitempty"`
	Viewer  string       `json:"viewer,omitempty"` // the viewer's address while viewing
	Since   time.Time    `json:"since"`            // when it entered State
}

// A Session is a session of the host.
type Session struct {
	ID         string `json:"id"`
	User       string `json:"user"`
	UID        uint32 `json:"uid"`
	Display    string `json:"display"`
	Xauthority string `json:"xauthority,omitempty"`
	Locale     string `json:"locale,omitempty"`
	Bus        string `json:"bus,omitempty"`
	Type       string `json:"type"`
	Class      string `json:"class,omitempty"`
	State      string `json:"state,omitempty"`
	Locked     bool   `json:"locked"`

	Since *time.Time `json:"since,omitempty"` // when the user logged in; absent: not known

	Monitors []Monitor `json:"monitors,omitempty"` // the primary one first, then from left to right

	Shadowable bool          `json:"shadowable"`
	Reason     shadow.Reason `json:"reason,omitempty"` // why it isn't shadowable
	Detail     string        `json:"detail,omitempty"` // more than the reason's sentence says
}

// A Monitor is a part of a session's display that is on a screen of its own.
type Monitor struct {
	Name    string `json:"name"`
	X       int    `json:"x"` // pixels of the display
	Y       int    `json:"y"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Primary bool   `json:"primary,omitempty"`
}

// A Rule is one of the organisation's, or what decides where none does.
type Rule struct {
	Number     int    `json:"number"`     // from 1; 0: none of them
	Answer     string `json:"answer"`     // "ask", "notify", "deny" or "allow"
	Unanswered string `json:"unanswered"` // "deny" or "allow"
	Locked     string `json:"locked"`     // "deny" or "allow"
	Text       string `json:"text"`       // all of it, in one line
}

// A RuleList is the answer to GET /v1/rules: the rules in order.
type RuleList struct {
	Rules []Rule `json:"rules"`
	Terms *Terms `json:"terms,omitempty"` // nil: shadowd doesn't say
}

// Terms are what a caller should know before it asks.
type Terms struct {
	Timeout   float64  `json:"timeout,omitempty"`   // seconds that the user has to answer
	Reconnect *float64 `json:"reconnect,omitempty"` // seconds that a viewer that was cut off may return within; 0: it may not
	Purpose   string   `json:"purpose,omitempty"`   // whether a reason must be given: "required", "optional" or "hidden"
	Prompter  string   `json:"prompter,omitempty"`  // what happens where the answer is "ask": "x11" or "notify" ask the user, "exec" has a program decide, "deny" refuses, "allow" grants
}

// A Verdict is the answer to POST /v1/rules/test: which rule decides about a [Request].
type Verdict struct {
	Rule
	Account  string   `json:"account"`            // of this host that asks
	Prompter string   `json:"prompter,omitempty"` // as in Terms
	Why      []string `json:"why,omitempty"`      // why each rule before doesn't, and why this one does
}

// ShadowList is the answer to GET /v1/shadows.
type ShadowList struct {
	Shadows []Status `json:"shadows"`
}

// SessionList is the answer to GET /v1/sessions.
type SessionList struct {
	Sessions []Session `json:"sessions"`
}
