package signin

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Header is the sign-in by a proxy that has found out who comes, and says so in a header. Whoever
// connects from elsewhere than the proxy can't use it.
type Header struct {
	Name      string         // of the header with the name
	Groups    string         // of the header with the groups, separated by commas; empty: none
	FullName  string         // of the header with the name for people; empty: none
	From      []netip.Prefix // addresses that the proxy connects from
	SignedOut string         // where to go after signing out; empty: the sign-in page
}

// Stated is who somebody is said to be.
type Stated struct {
	Name     string
	FullName string
	Groups   []string

	mark string // of an account's password
}

// of is what the proxy says of who sends r; nil: nothing that is believed. A header that is there
// twice was set by two, so neither is.
func (h *Header) of(r *http.Request) *Stated {
	if h == nil {
		return nil
	}
	peer := peerOf(r)
	if !peer.IsValid() || !slices.ContainsFunc(h.From, func(p netip.Prefix) bool { return p.Contains(peer) }) {
		return nil
	}
	name, ok := single(r, h.Name)
	if !ok || name == "" {
		return nil
	}
	s := &Stated{Name: name}
	if h.FullName != "" {
		if s.FullName, ok = single(r, h.FullName); !ok {
			return nil
		}
	}
	if h.Groups != "" {
		groups, ok := single(r, h.Groups)
		if !ok {
			return nil
		}
		for g := range strings.SplitSeq(groups, ",") {
			if g = strings.TrimSpace(g); g != "" && !slices.Contains(s.Groups, g) {
				s.Groups = append(s.Groups, g)
			}
		}
	}
	if s.check() != nil {
		return nil
	}
	return s
}

// single is a header's one value, empty if it isn't there; false if it is there twice.
func single(r *http.Request, name string) (string, bool) {
	values := r.Header.Values(name)
	if len(values) > 1 {
		return "", false
	}
	return strings.TrimSpace(r.Header.Get(name)), true
}

// check says what hosts can't be told.
func (s *Stated) check() error {
	if s.Name == "" || s.Name != strings.TrimSpace(s.Name) {
		return ErrSignedOut
	}
	if err := checkPerson(s.Name); err != nil {
		return err
	}
	if err := checkField("the full name", s.FullName); err != nil {
		return err
	}
	return checkGroups(s.Groups)
}
