package settings

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/keyfile"
)

// keys lists every key but access, in the order of the printed file, bound to s.
func (s *Settings) keys() []keyfile.Key {
	line := keyfile.Line
	return []keyfile.Key{
		line("web.listen", "address and port for browsers; must be a loopback address unless tls.on or proxies is set", keyfile.Text(&s.Web.Listen, checkListen)),
		line("web.origin", "public address of the console, such as \"https://gate.corp.example\"; required behind a proxy and with [oidc]. \"\" admits this machine's addresses and name, and localhost", keyfile.Text(&s.Web.Origin, checkOrigin)),
		line("web.proxies", "addresses or networks of reverse proxies whose X-Forwarded-For, -Host and -Proto headers are trusted", keyfile.List(&s.Web.Proxies, checkNetworks)),
		line("web.metrics", "addresses or networks that may read /metrics", keyfile.List(&s.Web.Metrics, checkNetworks)),
		line("web.hsts", "true: tell browsers to use https only, for every port of the console's host (Strict-Transport-Security); not where shadowd on the same host grants ports without TLS", keyfile.Bool(&s.Web.HSTS)),

		line("tls.on", "true: serve https, with the certificate in tls.dir", keyfile.Bool(&s.TLS.On)),
		line("tls.dir", "directory of shadowingcert.* and shadowingkey.*", keyfile.Text(&s.TLS.Dir, keyfile.CheckPath)),
		line("tls.strict", "true: refuse to start with a certificate that browsers would reject; false: only warn", keyfile.Bool(&s.TLS.Strict)),

		line("session.idle", "sign a person out after this long without using the console", keyfile.Duration(&s.Session.Idle, time.Minute, 30*24*time.Hour)),
		line("session.longest", "sign a person out after this long in any case, which ends that person's views", keyfile.Duration(&s.Session.Longest, time.Minute, 30*24*time.Hour)),
		line("session.bind_address", "true: accept a cookie only from the address it was issued to", keyfile.Bool(&s.Session.BindAddress)),
		line("session.keys", "file with the keys that seal cookies, to share them among gates or to rotate them; \"\" means cookie.keys in state.dir, created at the first start", keyfile.Text(&s.Session.Keys, keyfile.CheckFile)),

		line("accounts.file", "file of names and passwords, maintained by shadowgate passwd; \"\" turns off sign-in by password", keyfile.Text(&s.Accounts.File, keyfile.CheckFile)),

		line("header.name", "header in which a proxy passes the signed-in user's name, such as \"X-Remote-User\"; \"\" turns off sign-in by header", keyfile.Text(&s.Header.Name, checkHeader)),
		line("header.groups", "header with the user's groups, separated by commas; \"\" means none", keyfile.Text(&s.Header.Groups, checkHeader)),
		line("header.full_name", "header with the user's full name; \"\" means none", keyfile.Text(&s.Header.FullName, checkHeader)),
		line("header.from", "addresses or networks of the proxy; these headers are ignored from anywhere else", keyfile.List(&s.Header.From, checkNetworks)),
		line("header.signed_out", "where to go after signing out, such as the proxy's sign-out address; \"\" means the sign-in page", keyfile.Text(&s.Header.SignedOut, checkExit)),

		line("oidc.issuer", "OpenID provider, such as \"https://login.corp.example/realms/corp\"; \"\" turns off sign-in by OpenID", keyfile.Text(&s.OIDC.Issuer, checkIssuer)),
		line("oidc.client_id", "client id at the provider; register WEB.ORIGIN/signin/oidc/callback there as the redirect address", keyfile.Text(&s.OIDC.ClientID, nil)),
		line("oidc.client_secret_file", "file with the client secret; \"\" means a public client", keyfile.Text(&s.OIDC.SecretFile, keyfile.CheckFile)),
		line("oidc.label", "text of the sign-in button", keyfile.Text(&s.OIDC.Label, nil)),
		line("oidc.scopes", "scopes to request", keyfile.List(&s.OIDC.Scopes, checkScopes)),
		line("oidc.name_claim", "claim with the name that hosts and rules use; choose one that people can't change themselves", keyfile.Text(&s.OIDC.NameClaim, checkWord)),
		line("oidc.groups_claim", "claim with the groups; \"\" means none", keyfile.Text(&s.OIDC.GroupsClaim, nil)),
		line("oidc.ca", "PEM file with the CA certificates to verify the provider's certificate; \"\" means the system's", keyfile.Text(&s.OIDC.CAFile, keyfile.CheckFile)),
		line("oidc.provider_signout", "true: signing out of the console also signs out at the provider, if it supports that", keyfile.Bool(&s.OIDC.ProviderExit)),

		line("tokens.file", "file of tokens for scripts, maintained by shadowgate token; \"\" turns tokens off", keyfile.Text(&s.Tokens.File, keyfile.CheckFile)),

		line("local.socket", "control socket of this machine's shadowd", keyfile.Text(&s.Local.Socket, checkSocket)),
		line("local.name", "this machine's name in the console; \"\" means its host name", keyfile.Text(&s.Local.Name, checkHostName)),
		line("local.address", "address of this machine's viewer ports; \"\" means the addresses of the host name in shadowd's URLs, if they are this machine's", keyfile.Text(&s.Local.Address, keyfile.CheckIP)),
		line("local.ca", "PEM file with the CA certificates to verify shadowd's certificate; \"\" means the system's", keyfile.Text(&s.Local.CAFile, keyfile.CheckFile)),

		line("bus.listen", "address and port where the hosts of a fleet connect, such as \"0.0.0.0:4222\", for the built-in bus; \"\" means no built-in bus", keyfile.Text(&s.Bus.Listen, checkOptionalListen)),
		line("bus.servers", "URLs of your own NATS servers, instead of bus.listen, such as \"tls://nats1.corp.example:4222\"", keyfile.List(&s.Bus.Servers, checkServers)),
		line("bus.urls", "URLs at which hosts reach the bus; none means bus.servers, or the port of bus.listen at the host of web.origin", keyfile.List(&s.Bus.URLs, checkServers)),
		line("bus.views", "URL at which hosts behind NAT reach this gate, and only this gate, such as \"https://gate1.corp.example\"; \"\" means web.origin", keyfile.Text(&s.Bus.Views, checkOrigin)),
		line("bus.name", "this gate's name in the hosts' audits, different from every other gate's; \"\" means this machine's name", keyfile.Text(&s.Bus.Name, checkHostName)),
		line("bus.dir", "directory for the fleet's keys and the bus's data; \"\" means bus in state.dir", keyfile.Text(&s.Bus.Dir, keyfile.CheckFile)),
		line("bus.keys", "directory with existing fleet keys, such as systemd's /run/credentials/shadowgate.service; \"\" means bus.dir, where they are created at the first start", keyfile.Text(&s.Bus.Keys, keyfile.CheckFile)),
		line("bus.tls", "true: bus.listen uses TLS, with the certificate in tls.dir; false is allowed only for loopback addresses", keyfile.Bool(&s.Bus.TLS)),
		line("bus.ca", "PEM file with the CA certificates to verify the gate's and the bus's certificates; hosts receive it with their invitation and trust only these; \"\" means the system's", keyfile.Text(&s.Bus.CAFile, keyfile.CheckFile)),
		line("bus.host_ca", "PEM file with the CA certificates to verify the hosts' viewer ports; \"\" means the system's", keyfile.Text(&s.Bus.HostCA, keyfile.CheckFile)),
		line("bus.cluster", "address and port where other gates' buses connect, such as \"10.0.0.1:6222\"; \"\" means no cluster", keyfile.Text(&s.Bus.Cluster, checkOptionalListen)),
		line("bus.routes", "addresses and ports of the other gates' bus.cluster", keyfile.List(&s.Bus.Routes, checkRoutes)),
		line("bus.replicas", "how many servers store each audit line: 1, 3 or 5", keyfile.Number(&s.Bus.Replicas, 1, 5)),
		line("bus.audit_mib", "size of the hosts' audits on the bus in MiB; the oldest lines are deleted", keyfile.Number(&s.Bus.AuditMiB, 16, 1<<20)),
		line("gateways.address", "address of this machine on which views are offered to websockify or Guacamole as VNC servers, for one connection each; \"\" turns this off", keyfile.Text(&s.Gateways.Address, keyfile.CheckIP)),
		line("gateways.first_port", "first and last port for these views", keyfile.Number(&s.Gateways.FirstPort, 1024, 65535)),
		line("gateways.last_port", "", keyfile.Number(&s.Gateways.LastPort, 1024, 65535)),
		line("gateways.host", "host name by which the front ends reach that address; \"\" means the address itself", keyfile.Text(&s.Gateways.Host, checkHostName)),
		line("gateways.from", "addresses or networks of the front ends; connections from anywhere else are refused", keyfile.List(&s.Gateways.From, checkNetworks)),
		line("gateways.valid", "how long a front end may take to connect", keyfile.Duration(&s.Gateways.Valid, time.Second, 5*time.Minute)),
		line("gateways.redis", "HOST:PORT of the Redis server that websockify's TokenRedis reads; \"\" means none", keyfile.Text(&s.Gateways.Redis, checkHostPort)),
		line("gateways.redis_db", "Redis database number", keyfile.Number(&s.Gateways.RedisDB, 0, 1<<16)),
		line("gateways.redis_namespace", "key prefix in Redis, followed by a colon; \"\" means none", keyfile.Text(&s.Gateways.RedisNamespace, checkNamespace)),
		line("gateways.redis_password_file", "file with the Redis password; \"\" means no password", keyfile.Text(&s.Gateways.RedisPassword, keyfile.CheckFile)),
		line("gateways.listen", "address and port that answer websockify's JSONTokenApi at http://ADDRESS:PORT/SECRET/TOKEN, once for each token; \"\" turns this off", keyfile.Text(&s.Gateways.Listen, checkOptionalListen)),
		line("gateways.secret_file", "file with the SECRET in these URLs", keyfile.Text(&s.Gateways.Secret, keyfile.CheckFile)),
		line("gateways.guacamole_key_file", "file with Guacamole's json-secret-key; \"\" turns Guacamole off", keyfile.Text(&s.Gateways.GuacamoleKey, keyfile.CheckFile)),

		line("state.dir", "directory for the gate's own data: keys, activity, and who has signed out", keyfile.Text(&s.State.Dir, keyfile.CheckPath)),
		line("activity.mib", "how much of the hosts' audit to keep for the Activity page, in MiB; 0 means none", keyfile.Number(&s.Activity.MiB, 0, 4096)),

		line("log.format", "json | console", keyfile.Choice(&s.Log.Format, "json", "console")),
		line("log.level", "trace | debug | info | warn | error", keyfile.Choice(&s.Log.Level, "trace", "debug", "info", "warn", "error")),
	}
}

// accessComment is above the rules in the printed file.
const accessComment = `# [[access]]: who may do what. The rights of all matching rules add up; without a matching rule, a person has no rights. "*" in
# a list stands for any characters; a list that is left out matches everything.
# names, groups: signed-in people and their groups; hosts: names of hosts; users: the sessions' users
# may: "list" (see sessions) "shadow" (ask and view) "stop" (other people's views; your own always) "audit" (read the activity)
`

// ruleKeys lists the keys of one [[access]], bound to r.
func ruleKeys(r *access.Rule) []keyfile.Key {
	patterns := func(name string, dst *[]string) keyfile.Key {
		return keyfile.Line(name, "", keyfile.List(dst, keyfile.CheckPatterns))
	}
	return []keyfile.Key{
		patterns("names", &r.Names),
		patterns("groups", &r.Groups),
		patterns("hosts", &r.Hosts),
		patterns("users", &r.Users),
		keyfile.Line("may", "", rights{&r.May}),
	}
}

// rights is a list of access.Right.
type rights struct{ dst *[]access.Right }

func (r rights) Set(v any) error {
	var words []string
	err := keyfile.List(&words, func(words []string) error {
		if len(words) == 0 {
			return errors.New("an empty list gives nothing; name a right, or remove the rule")
		}
		for i, w := range words {
			if !slices.Contains(access.Rights(), access.Right(w)) {
				return fmt.Errorf(`%q isn't a right; there are "list", "shadow", "stop" and "audit"`, w)
			}
			if slices.Contains(words[:i], w) {
				return fmt.Errorf("%q is there twice", w)
			}
		}
		return nil
	}).Set(v)
	if err != nil {
		return err
	}
	*r.dst = nil
	for _, w := range words {
		*r.dst = append(*r.dst, access.Right(w))
	}
	return nil
}

func (r rights) TOML() string {
	words := make([]string, 0, len(*r.dst))
	for _, w := range *r.dst {
		words = append(words, string(w))
	}
	return keyfile.List(&words, nil).TOML()
}

func checkListen(s string) error {
	if a, err := netip.ParseAddrPort(s); err != nil || a.Addr().Zone() != "" {
		return fmt.Errorf(`%q isn't an address with a port, such as "0.0.0.0:443" or "[::]:443"`, s)
	}
	return nil
}

func checkOptionalListen(s string) error {
	if s == "" {
		return nil
	}
	return checkListen(s)
}

func checkSocket(s string) error {
	if s == "" {
		return nil
	}
	return keyfile.CheckPath(s)
}

func checkServers(list []string) error {
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" || u.User != nil || !slices.Contains([]string{"tls", "nats", "wss"}, u.Scheme) {
			return fmt.Errorf(`%q isn't a NATS server; allowed is one such as "tls://nats1.corp.example:4222"`, s)
		}
		if u.Scheme == "nats" && !isLoopback(u.Hostname()) {
			return fmt.Errorf("%q: what travels there could be read and changed; use tls://", s)
		}
	}
	return nil
}

func checkRoutes(list []string) error {
	for _, s := range list {
		if host, port, err := net.SplitHostPort(s); err != nil || keyfile.CheckHost(host) != nil || port == "" {
			return fmt.Errorf(`%q isn't a host with a port, such as "gate2.corp.example:6222"`, s)
		}
	}
	return nil
}

// checkOrigin takes the origin of a page: scheme, host and perhaps a port.
func checkOrigin(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Scheme+"://"+u.Host != s ||
		keyfile.CheckHost(u.Hostname()) != nil {
		return fmt.Errorf(`%q isn't an origin; allowed is one such as "https://gate.corp.example" or "https://gate.corp.example:8443"`, s)
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return fmt.Errorf("%q: passwords and screens would be readable on the way; http is allowed for localhost only", s)
	}
	return nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// checkIssuer takes a provider's address, which go-oidc wants as the provider itself writes it.
func checkIssuer(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
		u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return fmt.Errorf(`%q isn't the address of a provider, such as "https://login.corp.example/realms/corp"`, s)
	}
	return nil
}

// checkExit takes an address on this gate or elsewhere.
func checkExit(s string) error {
	u, err := url.Parse(s)
	if err != nil || s != "" && !(u.Scheme == "https" && u.Host != "") && !(u.Scheme == "" && u.Host == "" && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") && !strings.Contains(s, `\`)) {
		return fmt.Errorf(`%q isn't a path such as "/logout" or an https address`, s)
	}
	return nil
}

func checkNetworks(list []string) error {
	for _, s := range list {
		if _, err := network(s); err != nil {
			return err
		}
	}
	return nil
}

var headerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

// checkHeader takes a header's name. Those that browsers set, or that mean something else, are
// none that a proxy should put names into.
func checkHeader(s string) error {
	if s == "" {
		return nil
	}
	if !headerName.MatchString(s) {
		return fmt.Errorf(`%q isn't a header's name, such as "X-Remote-User"`, s)
	}
	switch strings.ToLower(s) {
	case "authorization", "cookie", "host", "origin", "referer", "user-agent", "connection", "upgrade",
		"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "sec-websocket-protocol":
		return fmt.Errorf("%q has a meaning of its own; let the proxy use another header", s)
	}
	return nil
}

func checkScopes(list []string) error {
	if !slices.Contains(list, "openid") {
		return errors.New(`"openid" has to be among them`)
	}
	for _, s := range list {
		if err := checkWord(s); err != nil {
			return err
		}
	}
	return nil
}

func checkWord(s string) error {
	if s == "" || strings.ContainsAny(s, " \"\\") {
		return fmt.Errorf("%q isn't one word", s)
	}
	return nil
}

// checkHostName takes what a host may be called in addresses such as HOST/SESSION.
func checkHostName(s string) error {
	if strings.Contains(s, ":") {
		return fmt.Errorf("%q isn't a host's name", s)
	}
	return keyfile.CheckHost(s)
}
