package settings

import (
	"net/netip"
	"strings"

	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/keyfile"
)

const accessKey = "access"

// parse reads the content of the file that is called name.
func parse(name string, data []byte) (*Settings, error) {
	s := blank()
	r, err := keyfile.Parse(name, data, s.keys())
	if err != nil {
		return nil, err
	}
	rules := r.Tables(accessKey, "rule")
	r.ReadKeys()
	for i, table := range rules {
		var rule access.Rule
		r.ReadTable(keyfile.Element(accessKey, i), table, ruleKeys(&rule), "may")
		s.Access = append(s.Access, rule)
	}
	if !r.Has("state.dir") {
		s.fromSystemd()
	}
	if s.Fleet() && !r.Has("local.socket") {
		s.Local.Socket = "" // this machine may enrol like any other
	}
	if !r.Failed() {
		s.check(r)
		s.checkBus(r)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// check looks at what keys mean together.
func (s *Settings) check(r *keyfile.Reader) {
	listen := netip.MustParseAddrPort(s.Web.Listen)
	secure := s.TLS.On || strings.HasPrefix(s.Web.Origin, "https://")
	if !s.TLS.On && len(s.Web.Proxies) == 0 && !listen.Addr().Unmap().IsLoopback() {
		r.Fail("web.listen", "%s can be reached from other machines without TLS: set tls.on, or name the proxy that ends TLS in web.proxies", s.Web.Listen)
	}
	if s.TLS.On && strings.HasPrefix(s.Web.Origin, "http://") {
		r.Fail("web.origin", "tls.on is true, so browsers call it https://")
	}
	if s.Web.HSTS && !secure {
		r.Fail("web.hsts", "browsers don't come by https: set tls.on, or web.origin to the https address that they use")
	}
	for _, n := range Networks(s.Web.Proxies) {
		if n.Bits() == 0 {
			r.Fail("web.proxies", "%s is everybody: anybody could state any address", n)
		}
	}
	if len(s.Web.Proxies) > 0 && s.Web.Origin == "" {
		r.Fail("web.proxies", "web.origin is missing: behind a proxy the gate has to know what browsers call it")
	}
	if s.Session.Longest < s.Session.Idle {
		r.Fail("session.longest", "%v is less than session.idle, %v", s.Session.Longest, s.Session.Idle)
	}
	s.checkHeader(r)
	s.checkGateways(r)
	if s.OIDC.Issuer != "" {
		if s.OIDC.ClientID == "" {
			r.Fail("oidc.issuer", "oidc.client_id is missing")
		}
		if s.Web.Origin == "" {
			r.Fail("oidc.issuer", "web.origin is missing: the provider sends browsers back to it")
		}
	}
	if !secure && !listen.Addr().Unmap().IsLoopback() {
		r.Fail("web.listen", "without TLS the cookie would travel readable: set web.origin to the https address that browsers use")
	}
}

// checkBus looks at the fleet's bus.
func (s *Settings) checkBus(r *keyfile.Reader) {
	b := s.Bus
	switch {
	case b.Listen != "" && len(b.Servers) > 0:
		r.Fail("bus.listen", "bus.servers is there, too: the bus is either in the gate or elsewhere")
	case b.Listen == "" && b.Cluster != "":
		r.Fail("bus.cluster", "does nothing: bus.listen is missing")
	case b.Cluster == "" && len(b.Routes) > 0:
		r.Fail("bus.routes", "does nothing: bus.cluster is missing")
	case b.Cluster != "" && len(b.Routes) == 0:
		r.Fail("bus.cluster", "bus.routes is missing: one server alone can't be a cluster; name the others, two of them at best")
	case b.Replicas%2 == 0:
		r.Fail("bus.replicas", "%d: half of them can't decide; allowed are 1, 3 and 5", b.Replicas)
	case !s.Fleet() && s.Local.Socket == "":
		r.Fail("local.socket", "is empty, and there is no [bus]: the gate would have no host")
	}
	if b.Listen != "" {
		listen := netip.MustParseAddrPort(b.Listen)
		if !b.TLS && !listen.Addr().Unmap().IsLoopback() {
			r.Fail("bus.tls", "false is for loopback addresses: what travels on the bus could be read and changed")
		}
		if len(b.URLs) == 0 && s.Web.Origin == "" && !listen.Addr().Unmap().IsLoopback() {
			r.Fail("bus.urls", "is missing, and so is web.origin: hosts need the address of the bus")
		}
	}
}

// checkHeader looks at the sign-in by header, which whoever can reach the gate past the proxy
// could forge.
func (s *Settings) checkHeader(r *keyfile.Reader) {
	h := s.Header
	switch {
	case h.Name == "" && len(h.From) > 0:
		r.Fail("header.from", "does nothing: header.name is missing")
	case h.Name == "" && h.Groups != "":
		r.Fail("header.groups", "does nothing: header.name is missing")
	case h.Name != "" && len(h.From) == 0:
		r.Fail("header.name", "header.from is missing: without it anybody could state any name")
	case h.Name != "" && (strings.EqualFold(h.Name, h.Groups) || strings.EqualFold(h.Name, h.FullName)):
		r.Fail("header.name", "another key has the same header")
	}
	for _, n := range Networks(h.From) {
		if n.Bits() == 0 {
			r.Fail("header.from", "%s is everybody: anybody could state any name", n)
		}
	}
}

// TOML writes s as a file, with a comment on every key. Loaded again it is s.
func (s *Settings) TOML() []byte {
	var b strings.Builder
	b.Write(keyfile.Print(s.keys(), nil))
	b.WriteString("\n" + accessComment)
	for i := range s.Access {
		keyfile.PrintTable(&b, accessKey, ruleKeys(&s.Access[i]))
		b.WriteString("\n")
	}
	return []byte(b.String())
}
