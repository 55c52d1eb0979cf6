package settings

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"vda.internal/shadow/internal/keyfile"
)

// Gateways are front ends that are there already, and may show views: websockify and Guacamole.
type Gateways struct {
	Address        string // where the views' ports are; "": no other front end shows views
	FirstPort      int
	LastPort       int
	Host           string        // what front ends call Address; "": Address
	From           []string      // addresses or networks of the front ends
	Valid          time.Duration // for how long a ticket is good
	Redis          string        // HOST:PORT of the Redis in which tokens are published; "": in none
	RedisDB        int
	RedisNamespace string // before a token and a colon; "": the token alone
	RedisPassword  string // file; "": none
	Listen         string // IP:PORT of the API for JSONTokenApi; "": there is none
	Secret         string // file with the secret in that API's addresses
	GuacamoleKey   string // file with Guacamole's json-secret-key; "": no data for it
}

// checkGateways looks at where views of other front ends are.
func (s *Settings) checkGateways(r *keyfile.Reader) {
	g := s.Gateways
	if g.Address == "" {
		for key, set := range map[string]bool{
			"gateways.redis": g.Redis != "", "gateways.listen": g.Listen != "", "gateways.guacamole_key_file": g.GuacamoleKey != "",
		} {
			if set {
				r.Fail(key, "does nothing: gateways.address is missing")
			}
		}
		return
	}
	address := netip.MustParseAddr(g.Address)
	switch {
	case len(g.From) == 0:
		r.Fail("gateways.address", "gateways.from is missing: name the addresses of the front ends")
	case g.Redis == "" && g.Listen == "" && g.GuacamoleKey == "":
		r.Fail("gateways.address", "does nothing: set gateways.redis, gateways.listen or gateways.guacamole_key_file")
	case address.IsUnspecified() && g.Host == "":
		r.Fail("gateways.address", "%s is all addresses: say in gateways.host what the front ends call this machine", g.Address)
	case address.Is6() && g.Host == "":
		r.Fail("gateways.address", "the front ends take an address's colons for the port's: give a name in gateways.host")
	}
	if g.LastPort < g.FirstPort {
		r.Fail("gateways.last_port", "%d is less than gateways.first_port, %d", g.LastPort, g.FirstPort)
	}
	if (g.Listen == "") != (g.Secret == "") {
		r.Fail("gateways.listen", "goes with gateways.secret_file: set both or none")
	}
	for _, n := range Networks(g.From) {
		if n.Bits() == 0 {
			r.Fail("gateways.from", "%s is everybody: name the front ends", n)
		}
	}
}

// checkHostPort takes where a server of somebody else's is.
func checkHostPort(s string) error {
	if s == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		return fmt.Errorf(`%q isn't a host with a port, such as "redis.corp.example:6379"`, s)
	}
	return nil
}

func checkNamespace(s string) error {
	if strings.ContainsAny(s, ": \"\\") {
		return fmt.Errorf("%q isn't one word without a colon", s)
	}
	return nil
}
