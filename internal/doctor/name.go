package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// name sees whether the host in viewers' URLs leads here.
func (d *Doctor) name(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	host := d.cfg.Viewer.Host
	if host == "" {
		var err error
		if host, err = d.host.fqdn(ctx); err != nil {
			d.broken("name", fmt.Sprintf("this host doesn't know its name: %v", err), "set viewer.host in the configuration")
			return
		}
	}
	d.fqdn = host
	own, err := d.host.own()
	if err != nil {
		d.unseen("name", fmt.Sprintf("this host's addresses can't be listed: %v", err), "see that /proc and /sys are there")
		return
	}
	addrs, given := []netip.Addr(nil), false
	if addr, err := netip.ParseAddr(host); err == nil {
		addrs, given = []netip.Addr{addr}, true
	} else if addrs, err = d.host.lookup(ctx, host); err != nil || len(addrs) == 0 {
		d.broken("name", fmt.Sprintf("%s, the host in viewers' URLs, can't be resolved: %s", host, because(err)),
			"have it put into DNS, or set viewer.host in the configuration to a name that is there")
		return
	}
	d.named = addrs
	d.judgeName(host, addrs, own, given)
}

// because is the reason of a failed look-up.
func because(err error) string {
	if err == nil {
		return "it has no address"
	}
	if e, ok := err.(*net.DNSError); ok {
		return e.Err
	}
	return err.Error()
}

// judgeName compares the name's addresses with the host's.
func (d *Doctor) judgeName(host string, addrs, own []netip.Addr, given bool) {
	var here, elsewhere []string
	loopback := true
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		switch {
		case a.IsLoopback():
			here = append(here, a.String())
		case slices.Contains(own, a):
			here = append(here, a.String())
			loopback = false
		default:
			elsewhere = append(elsewhere, a.String())
		}
	}
	listen, _ := netip.ParseAddr(d.cfg.Ports.Listen)
	bound := listen.IsValid() && !listen.IsUnspecified()
	v4, v6 := d.listens()
	heard := slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap().Is4() && v4 || a.Unmap().Is6() && v6 })
	switch {
	case len(here) == 0:
		d.broken("name", fmt.Sprintf("%s is %s, which isn't an address of this host (%s)", host, first(elsewhere, 3), first(texts(own), 4)),
			"correct DNS, or set viewer.host in the configuration to a name of this host")
	case !heard && !listen.IsLoopback():
		d.broken("name", fmt.Sprintf("%s is %s, but viewers' ports listen on %s, which %s doesn't reach", host, first(here, 3), listen, family(!v4)),
			"leave ports.listen out of the configuration, so that they are bound for IPv4 and IPv6, or give the name another address")
	case bound && !listen.IsLoopback() && !loopback && !slices.Contains(here, listen.Unmap().String()):
		d.broken("name", fmt.Sprintf("%s is %s, but viewers' ports are bound on %s", host, first(here, 3), listen),
			"set ports.listen in the configuration to an address of that name, or leave it out")
	case given:
		d.note("name", fmt.Sprintf("viewers' URLs have the address %s", host),
			"set viewer.host in the configuration to a name: administrators are meant to be given one, and few certificates name an address")
	case len(elsewhere) > 0:
		d.note("name", fmt.Sprintf("%s is %s, but also %s, which isn't this host", host, first(here, 3), first(elsewhere, 3)),
			"correct DNS: a viewer may try the wrong one")
	case bound && listen.IsLoopback():
		d.note("name", fmt.Sprintf("viewers' ports are bound on %s, where only this host can connect", listen),
			"leave ports.listen out of the configuration, unless that is meant")
	case !strings.Contains(host, "."):
		d.note("name", fmt.Sprintf("%s is this host (%s), but has no domain", host, first(here, 3)),
			"set viewer.host in the configuration to the full name, which works from everywhere and is in certificates")
	case loopback:
		d.note("name", fmt.Sprintf("%s is %s from here, which says nothing of what administrators' DNS answers", host, first(here, 3)),
			"look it up on an administrator's machine; here /etc/hosts names it")
	default:
		d.ok("name", fmt.Sprintf("%s is this host (%s)", host, first(here, 3)))
	}
}

// listens says for which kinds of IP viewers' ports are bound.
func (d *Doctor) listens() (v4, v6 bool) {
	listen, err := netip.ParseAddr(d.cfg.Ports.Listen)
	switch {
	case err != nil || listen == netip.IPv6Unspecified():
		return true, true
	case listen.Unmap().Is4():
		return true, false
	}
	return false, true
}

// family is a kind of IP, IPv4 if v4, else IPv6.
func family(v4 bool) string {
	if v4 {
		return "IPv4"
	}
	return "IPv6"
}

func texts(addrs []netip.Addr) []string {
	list := make([]string, len(addrs))
	for i, a := range addrs {
		list[i] = a.String()
	}
	return list
}

// ownAddresses are those of this host's interfaces but the loopback.
func ownAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var own []netip.Addr
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && !prefix.Addr().IsLoopback() {
			own = append(own, prefix.Addr().Unmap().WithZone(""))
		}
	}
	return own, nil
}

// interfaces are those of this host that are up, but the loopback.
func interfaces() (names []string) {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagLoopback == 0 {
			names = append(names, i.Name)
		}
	}
	return names
}
