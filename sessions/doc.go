// Package sessions finds the desktop sessions of a host, for [shadow.Config]: [Logind] asks
// systemd-logind, [Exec] runs a program of yours, and [Static] lists sessions that you configure.
package sessions
