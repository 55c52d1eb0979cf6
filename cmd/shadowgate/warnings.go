package main

import (
	"slices"

	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/settings"
)

// warnings are what works, and perhaps not as it is meant.
func warnings(s *settings.Settings) (list []string) {
	if w := nameWarning(s); w != "" {
		list = append(list, w)
	}
	if w := viewsWarning(s); w != "" {
		list = append(list, w)
	}
	return list
}

// nameWarning is that rights depend on a name that people may be able to choose.
func nameWarning(s *settings.Settings) string {
	byName := slices.ContainsFunc(s.Access, func(r access.Rule) bool {
		return slices.ContainsFunc(r.Names, func(pattern string) bool { return pattern != "*" })
	})
	if s.OIDC.Issuer == "" || s.OIDC.NameClaim != "preferred_username" || !byName {
		return ""
	}
	return "[[access]] goes by names, and oidc.name_claim is \"preferred_username\", which at some providers people can change themselves: make sure that they can't, take a claim that they can't change, or go by groups"
}

// viewsWarning is what hosts that are to dial this gate for their views would meet.
func viewsWarning(s *settings.Settings) string {
	several := len(s.Bus.Servers) > 0 || s.Bus.Cluster != ""
	switch {
	case s.Bus.Views != "" || !s.Fleet():
		return ""
	case s.Web.Origin == "":
		return "neither bus.views nor web.origin is set: hosts with fleet.views = \"dial-out\" can't be viewed here"
	case several:
		return "bus.views isn't set: should other gates have the same web.origin, hosts with fleet.views = \"dial-out\" come to any of them, and the view fails; name this gate alone in bus.views"
	}
	return ""
}
