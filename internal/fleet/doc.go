// Package fleet is what the hosts of a fleet and its gates have in common: names on the bus, the
// messages that travel there, and how the two know each other.
//
// The bus is NATS. A host dials out to it and answers for itself only; its answers, its presence and
// its audit are signed with the host's key. A gate asks; its requests are signed with its own key, for
// which the fleet's key vouches. Both ends check for themselves, so that the bus can hold messages back
// but can't make any. Frames never travel there.
//
// Whatever comes by the bus, the host treats as it treats a call on its control socket: its own rules
// decide, and its user is asked.
package fleet
