package fleet

import (
	"encoding/json"
	"time"

	"vda.internal/shadow/internal/api"
)

// A Presence is what a host says of itself, now and then and whenever it changes.
type Presence struct {
	ID      string    `json:"id"`
	Boot    string    `json:"boot"` // of this run of shadowd; requests name it
	Time    time.Time `json:"time"` // by the host's clock
	Since   time.Time `json:"since"`
	Version string    `json:"version,omitempty"`

	Terms    api.Terms     `json:"terms"`
	Rules    []api.Rule    `json:"rules,omitempty"`
	Sessions []api.Session `json:"sessions"`
	Shadows  []api.Status  `json:"shadows"`
	LeftOut  int           `json:"left_out,omitempty"` // sessions besides, for which a message has no room

	DialsOut bool   `json:"dials_out,omitempty"` // its granted ports can't be dialled: it is to dial
	Address  string `json:"address,omitempty"`   // from which it has come to the bus

	Failed string `json:"failed,omitempty"` // why the sessions aren't known; empty: they are
	Audit  string `json:"audit,omitempty"`  // why the audit isn't delivered; empty: it is
}

// An Order is what a gate asks of a host. It is good once, for the run of shadowd that it names.
type Order struct {
	ID    string    `json:"id"`    // random
	Kind  Kind      `json:"kind"`  // as the subject has it
	Host  string    `json:"host"`  // id
	Boot  string    `json:"boot"`  // of the host's presence
	At    time.Time `json:"at"`    // by the host's clock, as far as the gate knows it
	Reply string    `json:"reply"` // public curve key: the answer is sealed for it

	Body json.RawMessage `json:"body,omitempty"` // an AskBody, StopBody, AwaitBody or DialBody
}

// An AskBody is a [Shadow] or [Judge] order's.
type AskBody struct {
	api.Request
	User string `json:"user"` // whose session the gate's user may ask for
}

// A StopBody is a [Stop] order's: the shadow to end, or the order whose question is taken back.
type StopBody struct {
	Shadow string `json:"shadow,omitempty"`
	Order  string `json:"order,omitempty"`
}

// An AwaitBody is an [Await] order's.
type AwaitBody struct {
	Order string `json:"order"` // a Shadow order's id
}

// A DialBody is a [Dial] order's.
type DialBody struct {
	Port   int    `json:"port"`   // of the grant
	Gate   string `json:"gate"`   // "https://HOST[:PORT]"
	Ticket string `json:"ticket"` // good once, with the host's signature
}

// An Answer is a host's. Exactly one of its fields is set, or none: done.
type Answer struct {
	Problem  *api.Problem    `json:"problem,omitempty"`
	Grant    *api.Grant      `json:"grant,omitempty"`
	Presence *Presence       `json:"presence,omitempty"` // of Sessions
	List     *api.ShadowList `json:"list,omitempty"`
	Verdict  *api.Verdict    `json:"verdict,omitempty"`
	Waiting  bool            `json:"waiting,omitempty"` // of Await: the user hasn't answered yet
}

// A Stopped view is one that no gate is to carry any more.
type Stopped struct {
	Host string `json:"host"`
	ID   string `json:"id"`
}

// An Enrolled host, as the fleet knows it.
type Enrolled struct {
	ID      string    `json:"id"`
	Key     string    `json:"key"`            // public nkey
	JWT     string    `json:"jwt"`            // by which the fleet's key vouches for ID and Key
	Name    string    `json:"name,omitempty"` // FQDN, by its own word
	Address string    `json:"address"`        // that it enrolled from
	Since   time.Time `json:"since"`
	By      string    `json:"by,omitempty"` // what the invitation was for

	Revoked []Revocation `json:"revoked,omitempty"` // earlier keys, and Key itself if it is the last
	Gone    bool         `json:"gone,omitempty"`    // it was revoked
}

// A Revocation ends what a key may.
type Revocation struct {
	Key string    `json:"key"`
	At  time.Time `json:"at"`
}
