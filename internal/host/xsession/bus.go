package xsession

import (
	"strings"

	"vda.internal/shadow/internal/host/sessionbus"
)

// Bus returns the D-Bus address of the session's bus: that of its user's process which is
// nearest to the leader and has one, or else the place where systemd has it. Nobody has
// looked whether a bus is there.
func (h *Host) Bus(s Session) string {
	for _, pid := range h.tree(s.Leader) {
		if uid, ok := h.owner(pid); !ok || uid != s.UID {
			continue
		}
		for v := range strings.SplitSeq(string(h.read(pid, "environ")), "\x00") {
			if address, ok := strings.CutPrefix(v, "DBUS_SESSION_BUS_ADDRESS="); ok && sessionbus.IsAddress(address) {
				return address
			}
		}
	}
	return sessionbus.UserBus(s.UID)
}
