// Package hosts is what the gate knows of hosts: a [Host] is one that runs shadowd, however it is
// reached. [Local] is this machine's.
package hosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/keyfile"
)

// A Host runs shadowd. Its methods may be called concurrently, and end with their context. Their
// errors are a *[api.Problem] where shadowd answered, and wrap [api.ErrUnreachable] where it didn't.
type Host interface {
	// Name is what the host is called in the gate: in its access table and its addresses. It
	// has no slash.
	Name() string

	Sessions(ctx context.Context) ([]api.Session, error)
	Shadows(ctx context.Context) ([]api.Status, error)
	Rules(ctx context.Context) ([]api.Rule, error)
	Terms(ctx context.Context) (api.Terms, error)

	// TestRules says which rule would decide about a request, and does nothing.
	TestRules(ctx context.Context, r api.Request) (*api.Verdict, error)

	// Ask asks a session's user, and returns when that one has answered. If ctx ends first the
	// question is taken back.
	Ask(ctx context.Context, r api.Request) (*api.Grant, error)

	// Stop ends a view, or takes its question back.
	Stop(ctx context.Context, id string) error

	// Follow is what happens from now on.
	Follow(ctx context.Context) (Stream, error)

	// Dial connects to a granted port, TLS included. It connects to this host and to no other,
	// whatever the target says.
	Dial(ctx context.Context, t Target) (net.Conn, error)
}

// A Directory knows hosts that come and go.
type Directory interface {
	// Run tells of hosts until ctx ends: first of those that are there. A host is removed before
	// another one is added under its name.
	Run(ctx context.Context, add, remove func(Host)) error

	// State reports whether hosts can be reached through the directory now, and whether Run has told of all
	// hosts at least once: until then a host that isn't known may exist all the same.
	State() (up, complete bool)
}

// Shared is a [Directory] that several gates have in common.
type Shared interface {
	// TellStopped tells all gates, also those that start within a day, that nobody is to have that view of a host's any more:
	// it was stopped, and its host hasn't said that it knows.
	TellStopped(ctx context.Context, host, id string) error

	// OnStopped sets, before Run, what is called for each such view, whichever gate has told of it: with those that are known
	// already before the first host is added. It must not block.
	OnStopped(heard func(host, id string))
}

// Pushed is a [Host] that says when its sessions or shadows may have changed, so that nobody needs to look
// now and then.
type Pushed interface {
	Changed() <-chan struct{} // a token in it: look
	AsOf() time.Time          // what came into being by then is among what it knows
}

// Crowded is a [Host] that may have more sessions than it can tell of.
type Crowded interface {
	LeftOut() int // how many of its sessions aren't listed
}

// A Stream is a host's events. *[api.EventStream] is one.
type Stream interface {
	Next() (shadow.Event, error) // waits for the next
	Close() error
}

// A Target is a granted port, and the token that it takes.
type Target struct {
	TLS   bool   `json:"tls,omitempty"`
	Host  string `json:"host"` // as it stands in the certificate
	Port  int    `json:"port"`
	Token string `json:"token,omitempty"`
}

// TargetOf is where a grant leads to. The error is that it can't be meant: a host that is taken
// over has no way to lead the gate elsewhere than to a port of that host.
func TargetOf(g *api.Grant) (Target, error) {
	t := Target{TLS: g.Scheme == "wss", Host: g.Host, Port: g.Port, Token: g.Token}
	switch {
	case g.Scheme != "ws" && g.Scheme != "wss":
		return Target{}, fmt.Errorf("the granted port's scheme is %q, not ws or wss", g.Scheme)
	case t.Host == "" || keyfile.CheckHost(t.Host) != nil:
		return Target{}, fmt.Errorf("the granted port's host is %.80q, which isn't a host's name", t.Host)
	case t.Port < 1 || t.Port > 65535:
		return Target{}, fmt.Errorf("the granted port is %d, where no view can be", t.Port)
	case len(t.Token) > maxToken:
		return Target{}, errors.New("the granted port's token is too long")
	}
	return t, nil
}

const maxToken = 256 // bytes

// RequestURI is what a viewer's handshake asks the granted port for.
func (t Target) RequestURI() string {
	if t.Token == "" {
		return "/websockify"
	}
	return "/websockify?token=" + url.QueryEscape(t.Token)
}
