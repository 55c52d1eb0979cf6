package gate

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/signin"
)

// A view's id is its host's word: another host can have one of the same id, by its own choice. So views are known by
// host and id, and where only an id is given a view of one host's is never taken for one of another's.

var (
	errEarly   = errors.New("the gate has just started and doesn't know its hosts yet; try again")
	errSeveral = errors.New("several hosts have a view of that id, or may have: say which one is meant, by ?host=ID")
)

// several says that an id isn't enough.
func several() *api.Problem {
	return refusal(http.StatusConflict, reasonSeveral, "%v", errSeveral)
}

// key is what a view is known by.
func (v *viewing) key() string { return endKey(v.Host, v.ID) }

// of are the views of an id that are remembered, on one host or, without a name, on whichever; those that go on come first, and
// then the newest. vs.mu is held.
func (vs *views) of(id, host string) (list []*viewing) {
	if host != "" {
		if v := vs.all[endKey(host, id)]; v != nil {
			list = append(list, v)
		}
		return list
	}
	for _, v := range vs.all {
		if v.ID == id {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, func(a, b *viewing) int {
		if a.over != b.over {
			return map[bool]int{false: -1, true: 1}[a.over]
		}
		return b.added.Compare(a.added)
	})
	return list
}

// best is the first of a list that of has made, as long as no other goes on as well.
func best(list []*viewing) (*viewing, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if len(list) > 1 && !list[1].over {
		return nil, errSeveral
	}
	return list[0], nil
}

// lookUp is the view that r, which s has sent, is about: one that the gate remembers, or that a ticket of the browser's is
// for. s's own comes first. Nil: there is none. The error is errEarly, if there may be one as soon as the gate knows all its
// hosts, or errSeveral.
func (vs *views) lookUp(r *http.Request, s *signin.Session) (*viewing, error) {
	id, host := r.PathValue("id"), r.URL.Query().Get("host")
	early := vs.recall(r, id, host)
	vs.mu.Lock()
	defer vs.mu.Unlock()
	list := vs.of(id, host)
	own, err := best(slices.DeleteFunc(slices.Clone(list), func(v *viewing) bool { return v.Owner != s.ID }))
	switch {
	case own != nil || err != nil:
		return own, err
	case early:
		return nil, errEarly
	case len(list) > 0:
		return list[0], nil // which isn't s's, whichever it is
	}
	return nil, nil
}

// recall remembers the views that the browser has tickets for, of an id and, if there is one, a host. early reports that
// a host isn't known yet.
func (vs *views) recall(r *http.Request, id, host string) (early bool) {
	for _, v := range vs.tickets(r, id) {
		vs.mu.Lock()
		known := vs.all[v.key()] != nil
		vs.mu.Unlock()
		if known || host != "" && v.Host != host {
			continue
		}
		complete := vs.g.hub.complete() // before the host is looked for, which may come in between
		at, ok := vs.g.hub.host(v.Host)
		if !ok {
			early = early || !complete
			continue
		}
		v.host = at
		_ = vs.add(v) // another connection was quicker, or there are too many
	}
	return early
}

// hostOf is where s has, or had, a view of an id, on one host or, without a name, on whichever; empty: nowhere that is known.
func (vs *views) hostOf(id, host string, s *signin.Session) (string, error) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	own, err := best(slices.DeleteFunc(vs.of(id, host), func(v *viewing) bool { return v.Owner != s.ID }))
	if own == nil {
		return "", err
	}
	return own.Host, nil
}

// which is the host of the shadow that r, which s has sent, is about: the one that r names; else that of s's own view; else
// the only one that has a shadow of that id, as far as s may know. A host that says nothing for a while may have one, too.
func (g *Gate) which(r *http.Request, s *signin.Session) (string, *api.Problem) {
	id, named := r.PathValue("id"), r.URL.Query().Get("host")
	if named != "" {
		return named, nil
	}
	own, err := g.views.hostOf(id, "", s)
	if err != nil {
		return "", several()
	}
	if own != "" {
		return own, nil
	}
	found, all := g.having(r.Context(), s, id)
	switch {
	case len(found) == 0 && !all:
		return "", refusal(http.StatusBadGateway, reasonHost, "a host doesn't say whether it has such a view")
	case len(found) == 0:
		return "", g.noShadow("", id, s)
	case len(found) > 1 || !all:
		return "", several()
	}
	return found[0], nil
}

// having are the hosts that have a shadow of an id, as far as s may know: those whose view the gate carries aren't asked. all
// reports that none is left that has said nothing.
func (g *Gate) having(ctx context.Context, s *signin.Session, id string) (found []string, all bool) {
	ctx, cancel := context.WithTimeout(ctx, g.CutAfter+graceTime)
	defer cancel()
	type answer struct {
		host string
		has  bool
	}
	list := g.hub.list()
	answers := make(chan answer, len(list))
	asked := 0
	for _, host := range list {
		if !g.mayHost(s.Person(), host.Name()) {
			continue
		}
		if g.here(host.Name(), id, s) != nil {
			found = append(found, host.Name())
			continue
		}
		asked++
		go func() {
			some, err := g.standingOn(ctx, s, host)
			if err != nil && ctx.Err() != nil {
				return // it has said nothing
			}
			answers <- answer{host.Name(), slices.ContainsFunc(some, func(one Standing) bool { return one.ID == id })}
		}()
	}
	for ; asked > 0; asked-- {
		select {
		case a := <-answers:
			if a.has {
				found = append(found, a.host)
			}
		case <-ctx.Done():
			return found, false
		}
	}
	return found, true
}

// here is a view that goes on through this gate, if s may know of it; otherwise nil.
func (g *Gate) here(host, id string, s *signin.Session) *viewing {
	v := g.views.here(host, id)
	if v == nil || !g.mayHost(s.Person(), v.Host) || v.Owner != s.ID && !g.Access.May(s.Person(), access.List, v.Host, v.User) {
		return nil
	}
	return v
}

// one is a host's shadow by its id, if s may know of it.
func (g *Gate) one(ctx context.Context, s *signin.Session, name, id string) (Standing, *api.Problem) {
	host, ok := g.hub.host(name)
	if !ok {
		return Standing{}, g.noShadow(name, id, s)
	}
	v := g.here(name, id, s)
	list, err := g.standingOn(ctx, s, host)
	if i := slices.IndexFunc(list, func(one Standing) bool { return one.ID == id }); i >= 0 {
		return list[i], nil
	}
	if err != nil && v != nil && !g.views.isOver(v) {
		return Standing{}, refusal(http.StatusBadGateway, reasonHost, "%v", err)
	}
	return Standing{}, g.noShadow(name, id, s)
}

// noShadow says that a host has no shadow of that id, as far as s may know.
func (g *Gate) noShadow(host, id string, s *signin.Session) *api.Problem {
	p := refusal(http.StatusNotFound, reasonEnded, "")
	if own, _ := g.views.hostOf(id, host, s); own != "" {
		if reason, ok := g.hub.endOf(own, id); ok {
			p.Detail = "it has ended (" + string(reason) + "): " + reason.Sentence()
		}
	}
	return p
}
