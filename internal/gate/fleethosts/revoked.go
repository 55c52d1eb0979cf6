package fleethosts

import (
	"slices"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/gate/hosts"
)

// complete removes hosts that the complete list doesn't have, and tells what is revoked.
func (d *Directory) complete(listed map[string]bool, remove func(hosts.Host)) {
	for _, host := range d.all() {
		if listed[host.id] {
			continue
		}
		d.mu.Lock()
		delete(d.hosts, host.id)
		d.mu.Unlock()
		host.leave("it was revoked")
		remove(host)
	}
	d.mu.Lock()
	d.whole = true
	d.mu.Unlock()
	d.revoke()
}

// end remembers keys that a host had; d.mu is held.
func (d *Directory) end(id string, keys ...fleet.Revocation) {
	for _, r := range keys {
		if !slices.ContainsFunc(d.revoked[id], func(known fleet.Revocation) bool { return known.Key == r.Key }) {
			d.revoked[id] = append(d.revoked[id], r)
		}
	}
}

// revoke tells the server which keys are revoked.
func (d *Directory) revoke() {
	if d.Revoked == nil {
		return
	}
	d.mu.Lock()
	var list []fleet.Revocation
	for _, keys := range d.revoked {
		list = append(list, keys...)
	}
	for _, host := range d.hosts {
		host.mu.Lock()
		list = append(list, host.enrolled.Revoked...)
		host.mu.Unlock()
	}
	d.mu.Unlock()
	slices.SortFunc(list, func(a, b fleet.Revocation) int { return a.At.Compare(b.At) })
	if err := d.Revoked(list); err != nil {
		d.Logger.Error().Err(err).Msg("cannot tell the server about revoked hosts")
	}
}
