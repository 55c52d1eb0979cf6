package gate

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/api/reply"
	"vda.internal/shadow/internal/fleet/dialout"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/strangers"
)

// handle lists the routes.
func (g *Gate) handle(mux *http.ServeMux) {
	mux.Handle("/api/v1/signin", reply.Methods{"GET": g.waysIn, "POST": g.signIn})
	mux.Handle("/api/v1/signout", reply.Methods{"POST": g.person(g.signOut)})
	mux.Handle("/signin/oidc", reply.Methods{"GET": g.toProvider})
	mux.Handle("/signin/oidc/callback", reply.Methods{"GET": g.fromProvider})
	mux.Handle("/api/v1/me", reply.Methods{"GET": g.person(g.me)})
	mux.Handle("/api/v1/me/signins", reply.Methods{"GET": g.person(g.listSignIns)})
	mux.Handle("/api/v1/me/signins/end", reply.Methods{"POST": g.calling(g.endSignIns)})
	mux.Handle("/api/v1/hosts", reply.Methods{"GET": g.person(g.listHosts)})
	mux.Handle("/api/v1/rules", reply.Methods{"GET": g.calling(g.rules)})
	mux.Handle("/api/v1/rules/test", reply.Methods{"POST": g.calling(g.testRules)})
	mux.Handle("/api/v1/sessions", reply.Methods{"GET": g.person(g.listSessions)})
	mux.Handle("/api/v1/sessions/events", reply.Methods{"GET": g.streaming(g.watchSessions)})
	mux.Handle("/api/v1/shadows", reply.Methods{"GET": g.looking(g.listShadows), "POST": g.person(g.ask)})
	mux.Handle("/api/v1/shadows/{id}", reply.Methods{"GET": g.looking(g.getShadow), "DELETE": g.person(g.stop)})
	mux.Handle("/api/v1/shadows/{id}/ticket", reply.Methods{"POST": g.calling(g.ticket)})
	mux.Handle("/api/v1/events", reply.Methods{"GET": g.streaming(g.followEvents)})
	mux.Handle("/api/v1/activity", reply.Methods{"GET": g.person(g.listActivity)})
	mux.Handle("/view/{id}", http.HandlerFunc(g.view))
	mux.Handle("/metrics", reply.Methods{"GET": g.showMetrics})
	mux.Handle("/healthz", reply.Methods{"GET": healthz})
	mux.Handle("/readyz", reply.Methods{"GET": g.readyz})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusNotFound, "there is nothing at %.100q; the API begins at /api/v1/", r.URL.Path))
	})
	if g.Views != nil {
		mux.HandleFunc(dialout.Path, g.Views.ServeHTTP)
	}
	if g.Enrol != nil {
		mux.Handle("/fleet/", g.Enrol)
	}
	mux.HandleFunc("/", g.pages)
}

// pages serves what isn't the API.
func (g *Gate) pages(w http.ResponseWriter, r *http.Request) {
	if g.Pages == nil {
		writeProblem(w, problem(http.StatusNotFound, "there is nothing at %.100q", r.URL.Path))
		return
	}
	g.Pages.ServeHTTP(w, r)
}

func (g *Gate) me(w http.ResponseWriter, _ *http.Request, s *signin.Session) {
	groups := s.Groups
	if groups == nil {
		groups = []string{}
	}
	writeJSON(w, http.StatusOK, Me{Name: s.Name, FullName: s.FullName, Groups: groups, Method: s.Method, Since: s.Since, Expires: s.Expires, May: g.Access.Of(s.Person()), Version: g.Version})
}

// mayHost reports whether somebody may do anything with some sessions of a host.
func (g *Gate) mayHost(p access.Person, host string) bool {
	return slices.ContainsFunc(access.Rights(), func(right access.Right) bool { return g.Access.MayOn(p, right, host) })
}

func (g *Gate) listHosts(w http.ResponseWriter, _ *http.Request, s *signin.Session) {
	writeJSON(w, http.StatusOK, HostList{Hosts: g.hostsFor(s)})
}

// hostsFor is what somebody may know of the hosts' states.
func (g *Gate) hostsFor(s *signin.Session) []HostState {
	return slices.DeleteFunc(g.hub.hostStates(), func(h HostState) bool { return !g.mayHost(s.Person(), h.Name) })
}

// rules lists a host's rules. They name people and groups, so they are for who may read all that
// happened on the host.
func (g *Gate) rules(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	host, ok := g.hub.host(r.URL.Query().Get("host"))
	if !ok || !g.mayHost(s.Person(), host.Name()) {
		g.refuse(w, r, s, noHost(r.URL.Query().Get("host")))
		return
	}
	if !g.mayRead(s, host.Name(), "") {
		g.refuse(w, r, s, refusal(http.StatusForbidden, shadow.NotAllowed, "the gate's access table doesn't let you read the rules of host %.100q: \"audit\" of all its users is needed", host.Name()))
		return
	}
	list, err := host.Rules(r.Context())
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	if list == nil {
		list = []api.Rule{}
	}
	writeJSON(w, http.StatusOK, api.RuleList{Rules: list})
}

// testRules says what a host's rules would say to a wish, which has to be for a session that s may ask for.
// The words of the rules, which name others, are for who may list the rules.
func (g *Gate) testRules(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	var wish Wish
	if p := readJSON(w, r, &wish); p != nil {
		writeProblem(w, p)
		return
	}
	host, row, p := g.find(r.Context(), r, s, wish)
	if p != nil {
		writeProblem(w, p)
		return
	}
	v, err := host.TestRules(r.Context(), requestOf(r, s, row, wish))
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	if !g.mayRead(s, host.Name(), "") {
		v.Why, v.Text = nil, ""
	}
	writeJSON(w, http.StatusOK, v)
}

func noHost(name string) *api.Problem {
	return problem(http.StatusNotFound, "there is no host %.100q, or you may do nothing on it", name)
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// readyz says whether any host can be reached, or, with a directory, whether hosts could be: a fleet may have
// no hosts yet. It names none.
func (g *Gate) readyz(w http.ResponseWriter, _ *http.Request) {
	ready := slices.ContainsFunc(g.hub.hostStates(), func(h HostState) bool { return h.State == "up" })
	if !ready && g.Directory != nil {
		ready, _ = g.Directory.State()
	}
	if !ready {
		writeProblem(w, problem(http.StatusServiceUnavailable, "no host can be reached"))
		return
	}
	healthz(w, nil)
}

// showMetrics answers those who may read the figures. Behind a proxy that is the client, as the
// proxy says: one that says nothing has a request of whoever it may be. From this machine a page elsewhere whose name
// was pointed here could have a browser ask.
func (g *Gate) showMetrics(w http.ResponseWriter, r *http.Request) {
	from := clientOf(r)
	a, err := netip.ParseAddr(from)
	among := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	proxied := len(g.Proxies) == 0 && r.Header.Get("X-Forwarded-For")+r.Header.Get("Forwarded") != "" // by one that web.proxies doesn't name
	if proxied || err != nil || among(g.Proxies) || !among(g.Metrics) {
		writeProblem(w, problem(http.StatusForbidden, "web.metrics doesn't name %s", from))
		return
	}
	if a.IsLoopback() && !g.isOwnHost(r.Host) && !isMachine(r.Host) {
		writeProblem(w, problem(http.StatusMisdirectedRequest, "this machine isn't called %.100q", r.Host))
		return
	}
	g.metrics.handler.ServeHTTP(w, r)
}

// networkOf is where a request comes from, for limits; the zero Prefix: it isn't known.
func networkOf(r *http.Request) netip.Prefix {
	a, _ := netip.ParseAddr(clientOf(r))
	return strangers.Network(a)
}

// clientOf is the address that a request comes from.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().WithZone("").String()
	}
	return host
}
