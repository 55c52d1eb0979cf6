package gate

import (
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/access"
)

// Methods is the answer to GET /api/v1/signin.
type Methods struct {
	Methods []string `json:"methods"`        // "password", "oidc", "header"
	OIDC    *Label   `json:"oidc,omitempty"` // of the provider
}

// A Label is what a button says.
type Label struct {
	Label string `json:"label"`
}

// Credentials are the body of POST /api/v1/signin.
type Credentials struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// Next is the answer to POST /api/v1/signout.
type Next struct {
	Next string `json:"next"` // where the browser should go: a path of the gate, or the provider's address for signing out
}

// Me is the answer to GET /api/v1/me.
type Me struct {
	Name     string          `json:"name"`
	FullName string          `json:"full_name,omitempty"`
	Groups   []string        `json:"groups"`
	Method   string          `json:"method"` // "password", "oidc", "header" or "token"
	Since    time.Time       `json:"since"`
	Expires  time.Time       `json:"expires"` // when it ends, whatever happens
	May      []access.Permit `json:"may"`
	Version  string          `json:"version"` // of the gate
}

// SignInList is the answer to GET /api/v1/me/signins.
type SignInList struct {
	SignIns []SignIn `json:"signins"`         // this one first, then the one that was seen last
	Whole   bool     `json:"whole"`           // false: there may be more
	Proof   string   `json:"proof,omitempty"` // what is needed to end one: "password", or to sign in again by "oidc"; empty: nothing
}

// A SignIn is a browser in which somebody is signed in.
type SignIn struct {
	ID      string    `json:"id"`
	Current bool      `json:"current"` // it has sent the request
	Since   time.Time `json:"since"`
	Expires time.Time `json:"expires"`
	Seen    time.Time `json:"seen"`              // its last request, not to the second
	From    string    `json:"from"`              // address of that request
	Browser string    `json:"browser,omitempty"` // by its own word, as the next
	System  string    `json:"system,omitempty"`
}

// An Ending is the body of POST /api/v1/me/signins/end: one sign-in, or all but the one that sends it.
type Ending struct {
	ID       string `json:"id,omitempty"`
	Others   bool   `json:"others,omitempty"`
	Password string `json:"password,omitempty"` // if SignInList.Proof asks for it
}

// A HostState is a host as the gate knows it.
type HostState struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	State  string    `json:"state"`            // "up" or "down"
	Detail string    `json:"detail,omitempty"` // why it is down
	Since  time.Time `json:"since"`            // when it came into that state

	Crowded bool `json:"crowded,omitempty"` // it has more sessions than are listed

	api.Terms // while it is up
}

// HostList is the answer to GET /api/v1/hosts.
type HostList struct {
	Hosts []HostState `json:"hosts"`
}

// A Row is a session of some host, and whether somebody asks for it or views it.
type Row struct {
	api.Session
	Host   string     `json:"host"`
	Shadow *RowShadow `json:"shadow,omitempty"` // the view, while there is one; otherwise the question
	Asking *RowShadow `json:"asking,omitempty"` // the question for another, which would end that view
}

// key is what a row is called: host/session.
func (r Row) key() string { return r.Host + "/" + r.Session.ID }

// A RowShadow is a row's shadow.
type RowShadow struct {
	ID    string       `json:"id"`
	Admin string       `json:"admin"`
	State shadow.State `json:"state"`
	Since time.Time    `json:"since"`

	Paused bool `json:"paused,omitempty"` // the user hides the screen from the viewer
	Mine   bool `json:"mine,omitempty"`   // this signed-in session may view it
}

// RowList is the answer to GET /api/v1/sessions, and the data of the events "snapshot" and "change".
type RowList struct {
	Sessions []Row `json:"sessions"`
}

// Gone is the data of the event "gone".
type Gone struct {
	IDs []string `json:"ids"` // host/session
}

// A Wish is the body of POST /api/v1/shadows, and of POST /api/v1/rules/test.
type Wish struct {
	Host    string `json:"host,omitempty"` // empty: the only one
	Session string `json:"session"`
	Purpose string `json:"purpose,omitempty"` // why, in the administrator's own words; at most 200 characters
	Monitor string `json:"monitor,omitempty"` // which of several is to be shown, as in Request
}

// A View is the answer to a Wish that the user granted.
type View struct {
	ID      string    `json:"id"`
	Host    string    `json:"host"`
	Session string    `json:"session"`
	Admin   string    `json:"admin"`
	View    string    `json:"view"`    // /view/ID: the page, and the WebSocket
	Expires time.Time `json:"expires"` // by when the viewer must have connected
	Purpose string    `json:"purpose,omitempty"`
}

// A Standing is a shadow that has not ended.
type Standing struct {
	api.Status
	Host string `json:"host"`
	Mine bool   `json:"mine"` // this signed-in session may view it

	own bool // the same person has asked for it, at whichever gate of the fleet
}

// StandingList is the answer to GET /api/v1/shadows.
type StandingList struct {
	Shadows []Standing `json:"shadows"`
}

// A Happening is an event of a host's audit.
type Happening struct {
	shadow.Event
	Host string `json:"host"`
}

// LeftOut says, on the stream of events, of which host so many were left out, for whose reader was too slow.
type LeftOut struct {
	Host   string `json:"host"`
	Events int    `json:"events"`
}

// HappeningList is the answer to GET /api/v1/activity.
type HappeningList struct {
	Events []Happening `json:"events"`         // newest first
	Next   string      `json:"next,omitempty"` // for "before", if there may be more
}
