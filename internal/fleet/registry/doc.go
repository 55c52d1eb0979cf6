// Package registry is who is in the fleet: invitations, the hosts that have followed one, and those that were
// shown out. All of it is in a bucket on the bus, so that any gate can do each part.
package registry
