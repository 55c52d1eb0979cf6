package fleethosts

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/gate/hosts"
)

// where is the address at which the host's granted port is dialled: the one that it enrolled from, unless it
// has moved. Nobody's word alone leads the gate elsewhere: the host has to say where it is, the bus has to
// see it come from there, and what is found there has to prove the name that is enrolled.
func (h *Host) where(ctx context.Context, e fleet.Enrolled, said string, t hosts.Target) (netip.Addr, error) {
	own, err := netip.ParseAddr(e.Address)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%s: the address that it enrolled from isn't known: enrol it again", h.id)
	}
	own = own.Unmap()
	now, err := netip.ParseAddr(said)
	if now = now.Unmap(); err == nil && now != own && dialable(now, own) && h.seen(ctx, e.Key, now) {
		if t.TLS && e.Name != "" && strings.EqualFold(t.Host, e.Name) {
			return now, nil
		}
		return netip.Addr{}, fmt.Errorf("%s: it has moved from %v to %v, where only a certificate could prove that it is %q: "+
			"enrol it again from where it is now, turn TLS on there, or set fleet.views = \"dial-out\" there", h.id, own, now, e.Name)
	}
	if found := lookUp(ctx, e.Name); moved(own, found) {
		return netip.Addr{}, fmt.Errorf("%s: its name %q leads to %v, but it enrolled from %v: "+
			"enrol it again from where it is now, or set fleet.views = \"dial-out\" there", h.id, e.Name, found, own)
	}
	return own, nil
}

// dialable reports whether a host may have moved to an address: not to the gate's own machine or link.
func dialable(now, own netip.Addr) bool {
	return now.IsGlobalUnicast() || now.IsLoopback() && own.IsLoopback()
}

const (
	connections = "$SYS.REQ.SERVER.PING.CONNZ" // every server answers, about our account
	seenTime    = 2 * time.Second              // for a server to answer
	moreTime    = 300 * time.Millisecond       // and for the others, then
)

// seen reports whether a server of the bus has a connection by that key from an address.
func (h *Host) seen(ctx context.Context, key string, from netip.Addr) bool {
	nc := h.d.conn.NATS
	inbox := nc.NewRespInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		return false
	}
	defer func() { _ = answers.Unsubscribe() }()
	question, err := json.Marshal(map[string]any{"auth": true, "user": key})
	if err != nil || nc.PublishRequest(connections, inbox, question) != nil {
		return false
	}
	for wait := seenTime; ctx.Err() == nil; wait = moreTime {
		msg, err := answers.NextMsg(wait)
		if err != nil {
			return false
		}
		var answer struct {
			Data struct {
				Connections []struct {
					IP   string `json:"ip"`
					User string `json:"authorized_user"`
				} `json:"connections"`
			} `json:"data"`
		}
		if json.Unmarshal(msg.Data, &answer) != nil {
			continue
		}
		for _, c := range answer.Data.Connections {
			if a, err := netip.ParseAddr(c.IP); err == nil && a.Unmap() == from && c.User == key {
				return true
			}
		}
	}
	return false
}
