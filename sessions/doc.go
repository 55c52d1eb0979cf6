// Package sessions finds the desktop sessions of a host, for [shadow.Config]:
// [Logind] asks systemd-logind, [Exec] asks a program of the site, and [Static]
// knows the sessions that are written down in it.
package sessions
