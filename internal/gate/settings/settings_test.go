package settings

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate/access"
)

func write(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shadowgate.toml")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// everything sets every key to something that isn't its default.
const everything = `
[web]
listen = "0.0.0.0:443"
origin = "https://gate.example:8443"
proxies = ["192.0.2.1", "2001:db8::/48"]
metrics = ["192.0.2.9"]
hsts = true
[tls]
on = true
dir = "/etc/tls"
strict = true
[session]
idle = "5m"
longest = "1h"
bind_address = true
keys = "/etc/keys"
[accounts]
file = ""
[header]
name = "X-Remote-User"
groups = "X-Remote-Groups"
full_name = "X-Remote-Name"
from = ["192.0.2.1"]
signed_out = "/logout"
[oidc]
issuer = "https://login.example/realms/corp"
client_id = "gate"
client_secret_file = "/etc/secret"
label = "Keycloak"
scopes = ["openid", "email"]
name_claim = "upn"
groups_claim = "roles"
ca = "/etc/ca.pem"
provider_signout = false
[tokens]
file = ""
[local]
socket = "/run/other.sock"
name = "vda1"
address = "127.0.0.1"
ca = "/etc/ca.pem"
[bus]
listen = "127.0.0.1:4222"
urls = ["tls://bus.example:443"]
views = "https://gate1.example"
name = "gate1"
dir = "/srv/bus"
keys = "/run/credentials/shadowgate.service"
tls = false
ca = "/etc/bus.pem"
host_ca = "/etc/hosts.pem"
cluster = "10.0.0.1:6222"
routes = ["gate2.example:6222"]
replicas = 3
audit_mib = 64
[gateways]
address = "192.0.2.1"
first_port = 7001
last_port = 7002
host = "gate.example"
from = ["192.0.2.2"]
valid = "30s"
redis = "redis.example:6379"
redis_db = 1
redis_namespace = "views"
redis_password_file = "/etc/redis"
listen = "192.0.2.1:8881"
secret_file = "/etc/secret"
guacamole_key_file = "/etc/guacamole.key"
[state]
dir = "/var/lib/other"
[activity]
mib = 1
[log]
format = "console"
level = "debug"
[[access]]
groups = ["helpdesk"]
users = ["kiosk*"]
may = ["list", "shadow"]
[[access]]
names = ["boss"]
hosts = ["vda1"]
may = ["audit", "stop"]
`

func TestEveryKey(t *testing.T) {
	s, err := Load(write(t, everything))
	require.NoError(t, err)
	fresh := blank()
	for i, k := range fresh.keys() {
		if k.Name == "bus.servers" { // instead of bus.listen
			continue
		}
		require.NotEqual(t, k.Value.TOML(), s.keys()[i].Value.TOML(), "%s isn't in the test's file", k.Name)
	}
	require.Equal(t, access.Table{
		{Groups: []string{"helpdesk"}, Users: []string{"kiosk*"}, May: []access.Right{access.List, access.Shadow}},
		{Names: []string{"boss"}, Hosts: []string{"vda1"}, May: []access.Right{access.Audit, access.Stop}},
	}, s.Access)
	require.Equal(t, 5*time.Minute, s.Session.Idle)
	require.Equal(t, "/etc/keys", s.KeysFile())
	again, err := parse("again", s.TOML())
	require.NoError(t, err)
	require.Equal(t, s, again, "what is printed is what counts")
}

// Without a file this machine's administrators may everything; a file begins with nobody.
func TestDefault(t *testing.T) {
	s := Default()
	require.True(t, s.Access.May(access.Person{Name: "a", Groups: []string{Administrators}}, access.Shadow, "h", "u"))
	require.False(t, s.Access.May(access.Person{Name: "a"}, access.List, "h", "u"))
	again, err := parse("again", s.TOML())
	require.NoError(t, err)
	require.Equal(t, s, again)
	empty, err := Load(write(t, ""))
	require.NoError(t, err)
	require.Empty(t, empty.Access)
	require.Equal(t, "/var/lib/shadowgate/cookie.keys", empty.KeysFile())
	_, err = Load(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, fs.ErrNotExist, "a file that was named has to be there")
	path := write(t, "")
	require.NoError(t, os.Chmod(path, 0o666))
	_, err = Load(path)
	require.ErrorContains(t, err, "writable")
}

func TestStateFromSystemd(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "/var/lib/given")
	s, err := Load(write(t, ""))
	require.NoError(t, err)
	require.Equal(t, "/var/lib/given", s.State.Dir)
	s, err = Load(write(t, "[state]\ndir = \"/srv/own\""))
	require.NoError(t, err)
	require.Equal(t, "/srv/own", s.State.Dir)
}

func TestMistakes(t *testing.T) {
	const web = "[web]\norigin = \"https://gate.example\"\n"
	for name, c := range map[string]struct{ text, want string }{
		"two buses":              {"[bus]\nlisten = \"127.0.0.1:1\"\nservers = [\"tls://a:1\"]", "the bus is either in the gate or elsewhere"},
		"readable bus":           {"[bus]\nlisten = \"0.0.0.0:1\"\ntls = false\nurls = [\"tls://a:1\"]", "is for loopback addresses"},
		"bus nowhere":            {"[bus]\nlisten = \"0.0.0.0:1\"", "hosts need the address of the bus"},
		"readable servers":       {"[bus]\nservers = [\"nats://a:1\"]", "use tls://"},
		"half of the replicas":   {"[bus]\nlisten = \"127.0.0.1:1\"\nreplicas = 2", "allowed are 1, 3 and 5"},
		"cluster of nothing":     {"[bus]\ncluster = \"10.0.0.1:1\"", "does nothing"},
		"no host":                {"[local]\nsocket = \"\"", "the gate would have no host"},
		"unknown key":            {"[web]\nlisten_on = 1", `2: web.listen_on: unknown key; there are`},
		"wrong table":            {"[acess]\n", "unknown key"},
		"not an address":         {"[web]\nlisten = \"localhost:80\"", `2: web.listen: "localhost:80" isn't an address with a port`},
		"open without TLS":       {"[web]\nlisten = \"0.0.0.0:80\"", `2: web.listen: 0.0.0.0:80 can be reached from other machines without TLS`},
		"http origin elsewhere":  {"[web]\norigin = \"http://gate.example\"", "http is allowed for localhost only"},
		"HSTS without https":     {"[web]\nhsts = true", "web.hsts: browsers don't come by https"},
		"origin with a path":     {"[web]\norigin = \"https://gate.example/\"", "isn't an origin"},
		"proxy without origin":   {"[web]\nproxies = [\"192.0.2.1\"]", "web.origin is missing"},
		"proxies everywhere":     {"[web]\norigin = \"https://g.example\"\nproxies = [\"0.0.0.0/0\"]", "is everybody"},
		"not a network":          {"[web]\nproxies = [\"proxy\"]", "isn't an address or a network"},
		"bits below the mask":    {"[web]\nmetrics = [\"192.0.2.1/24\"]", `did you mean "192.0.2.0/24"`},
		"longest below idle":     {"[session]\nidle = \"1h\"\nlongest = \"30m\"", "3: session.longest: 30m0s is less than session.idle"},
		"header from nowhere":    {"[header]\nname = \"X-User\"", "2: header.name: header.from is missing"},
		"header from everywhere": {"[header]\nname = \"X-User\"\nfrom = [\"0.0.0.0/0\"]", "everybody"},
		"header from, no name":   {"[header]\nfrom = [\"192.0.2.1\"]", "does nothing"},
		"header with a meaning":  {"[header]\nname = \"Authorization\"\nfrom = [\"192.0.2.1\"]", "meaning of its own"},
		"one header for two":     {"[header]\nname = \"X-User\"\ngroups = \"x-user\"\nfrom = [\"192.0.2.1\"]", "the same header"},
		"way out elsewhere":      {"[header]\nname = \"X-User\"\nfrom = [\"192.0.2.1\"]\nsigned_out = \"//evil\"", "isn't a path"},
		"provider without id":    {web + "[oidc]\nissuer = \"https://login.example\"", "client_id is missing"},
		"provider, no origin":    {"[oidc]\nissuer = \"https://login.example\"\nclient_id = \"x\"", "web.origin is missing"},
		"provider by http":       {"[oidc]\nissuer = \"http://login.example\"", "isn't the address of a provider"},
		"scopes without openid":  {"[oidc]\nscopes = [\"email\"]", `"openid" has to be among them`},
		"rule without rights":    {"[[access]]\ngroups = [\"a\"]", "1: access[0]: may is missing"},
		"rule with no right":     {"[[access]]\nmay = []", "gives nothing"},
		"unknown right":          {"[[access]]\nmay = [\"list\", \"view\"]", `2: access[0].may: "view" isn't a right`},
		"right twice":            {"[[access]]\nmay = [\"list\", \"list\"]", "twice"},
		"empty list":             {"[[access]]\ngroups = []\nmay = [\"list\"]", "leave the key out to match everything"},
		"access not a list":      {"[access]\nmay = [\"list\"]", "write [[access]] above each rule"},
		"gateways, no address":   {"[gateways]\nredis = \"r:6379\"", "gateways.address is missing"},
		"gateways for all":       {"[gateways]\naddress = \"192.0.2.1\"\nfrom = [\"0.0.0.0/0\"]\nredis = \"r:6379\"", "is everybody"},
		"gateways from nowhere":  {"[gateways]\naddress = \"192.0.2.1\"\nredis = \"r:6379\"", "gateways.from is missing"},
		"gateways for nobody":    {"[gateways]\naddress = \"192.0.2.1\"\nfrom = [\"192.0.2.2\"]", "does nothing"},
		"gateways with colons":   {"[gateways]\naddress = \"2001:db8::1\"\nfrom = [\"192.0.2.2\"]\nredis = \"r:6379\"", "give a name in gateways.host"},
		"gateways, no secret":    {"[gateways]\naddress = \"192.0.2.1\"\nfrom = [\"192.0.2.2\"]\nlisten = \"192.0.2.1:8881\"", "set both or none"},
		"gateways, no ports":     {"[gateways]\naddress = \"192.0.2.1\"\nfrom = [\"192.0.2.2\"]\nredis = \"r:6379\"\nlast_port = 6000", "is less than gateways.first_port"},
		"two mistakes":           {"[log]\nlevel = \"loud\"\nformat = \"xml\"", "3: log.format"},
		"host with a slash":      {"[local]\nname = \"a/b\"", "isn't a host name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(write(t, c.text))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(everything)
	f.Add("[[access]]\n[access.x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse("f", []byte(text))
		if err != nil {
			return
		}
		again, err := parse("g", s.TOML())
		require.NoError(t, err)
		require.Equal(t, string(s.TOML()), string(again.TOML()))
		require.False(t, strings.Contains(string(s.TOML()), "\x00"))
	})
}
