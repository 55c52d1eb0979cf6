// Package hosts has only tests: they install the packages on a booted host, a Debian of its own
// with systemd, logind and D-Bus in a container, and do what its operator and its users would.
// They need root, debootstrap and systemd-container, and minutes: make hosts.
package hosts
