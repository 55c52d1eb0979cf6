package websockify

import (
	"fmt"
	"io"

	"vda.internal/shadow/cmd/websockify/internal/optparse"
)

// parser has every option, in the order of the Python program's help.
func (o *options) parser(program string) *optparse.Parser {
	type option = optparse.Option
	var (
		yes     = optparse.True
		text    = optparse.String
		seconds = optparse.Seconds
		choice  = optparse.Choice
	)
	return &optparse.Parser{Usage: usageLines(program), Options: []option{
		{Short: 'v', Long: "verbose", Help: "verbose messages", Set: yes(&o.verbose)},
		{Long: "traffic", Help: "per frame traffic", Set: yes(&o.traffic)},
		{Long: "record", Arg: "FILE", Help: "record sessions to FILE.[session_number]", Set: text(&o.record)},
		{Short: 'D', Long: "daemon", Help: "become a daemon (background process)", Set: yes(&o.daemon)},
		{Long: "run-once", Help: "handle a single WebSocket connection and exit", Set: yes(&o.runOnce)},
		{Long: "timeout", Arg: "TIMEOUT", Help: "stop listening TIMEOUT seconds after the start, and exit when the last session has ended", Set: seconds(&o.timeout)},
		{Long: "idle-timeout", Arg: "IDLE_TIMEOUT", Help: "server exits after TIMEOUT seconds if there are no active connections", Set: seconds(&o.idleTimeout)},
		{Long: "cert", Arg: "CERT", Help: "SSL certificate file (PEM, with the key unless --key; default self.pem). It is read again for every connection. Without it there is no TLS.", Set: o.setCert},
		{Long: "key", Arg: "KEY", Help: "SSL key file (if separate from cert)", Set: text(&o.key)},
		{Long: "key-password", Arg: "KEY_PASSWORD", Help: "SSL key password (others on this machine can see it: use --key-password-file)", Set: text(&o.keyPassword)},
		{Long: "ssl-only", Help: "disallow non-encrypted client connections", Set: yes(&o.sslOnly)},
		{Long: "ssl-target", Help: "connect to SSL target as SSL client, and verify its certificate", Set: yes(&o.sslTarget)},
		{Long: "verify-client", Help: "require encrypted client to present a valid certificate", Set: yes(&o.verifyClient)},
		{Long: "cafile", Arg: "FILE", Help: "file of concatenated certificates of authorities trusted for validating clients (only effective with --verify-client). If omitted, system default list of CAs is used.", Set: text(&o.caFile)},
		{Long: "ssl-version", Arg: "SSL_VERSION", Help: "minimum TLS version to use (default, tlsv1_1, tlsv1_2, tlsv1_3)", Set: choice(&o.sslVersion, "default", "tlsv1_1", "tlsv1_2", "tlsv1_3")},
		{Long: "ssl-ciphers", Arg: "SSL_CIPHERS", Help: "list of ciphers allowed for connections up to TLS 1.2, in the syntax of `openssl ciphers`", Set: text(&o.sslCiphers)},
		{Long: "unix-listen", Arg: "FILE", Since: since011, Help: "listen to unix socket", Set: text(&o.unixListen)},
		{Long: "unix-listen-mode", Arg: "MODE", Since: since011, Help: "specify mode for unix socket (defaults to 600)", Set: text(&o.unixListenMode)},
		{Long: "unix-target", Arg: "FILE", Help: "connect to unix socket target", Set: text(&o.unixTarget)},
		{Long: "inetd", Help: "inetd mode, receive the listening socket, or one connection, as standard input", Set: yes(&o.inetd)},
		{Long: "web", Arg: "DIR", Help: "run webserver on same port. Serve files from DIR.", Set: text(&o.web)},
		{Long: "web-auth", Help: "require authentication to access webserver.", Set: yes(&o.webAuth)},
		{Long: "wrap-mode", Arg: "MODE", Help: "action to take when the wrapped program exits or daemonizes: exit (default), ignore, respawn", Set: choice(&o.wrapMode, "exit", "ignore", "respawn")},
		{Short: '6', Long: "prefer-ipv6", Help: "prefer IPv6 when resolving source_addr", Set: yes(&o.preferIPv6)},
		{Long: "libserver", Help: "accepted for old scripts; there is one engine", Set: yes(&o.libserver)},
		{Long: "target-config", Arg: "FILE", Help: "Configuration file containing valid targets in the form 'token: host:port' or, alternatively, a directory containing configuration files of this form (DEPRECATED: use `--token-plugin TokenFile --token-source path/to/token/file` instead)", Set: text(&o.targetConfig)},
		{Long: "token-plugin", Arg: "CLASS", Help: "how tokens become targets: TokenFile, ReadOnlyTokenFile, TokenFileName, BaseTokenAPI, JSONTokenApi, JWTTokenApi, TokenRedis, UnixDomainSocketDirectory", Set: text(&o.tokenPlugin)},
		{Long: "token-source", Arg: "ARG", Help: "an argument to be passed to the token plugin: its file, directory, URL or server", Set: text(&o.tokenSource)},
		{Long: "host-token", Help: "use the host HTTP header as token instead of the token URL query parameter", Set: yes(&o.hostToken)},
		{Long: "auth-plugin", Arg: "CLASS", Help: "how to determine if a connection is allowed: BasicHTTPAuth, ExpectOrigin, ClientCertCNAuth", Set: text(&o.authPlugin)},
		{Long: "auth-source", Arg: "ARG", Help: "an argument to be passed to the auth plugin: user:password, origins or names", Set: text(&o.authSource)},
		{Long: "heartbeat", Arg: "INTERVAL", Help: "send a ping to the client every INTERVAL seconds (default 30 with --view-only, else 0: none)", Set: o.setHeartbeat},
		{Long: "log-file", Arg: "FILE", Help: "File where logs will be saved", Set: text(&o.logFile)},
		{Long: "syslog", Arg: "SERVER", Help: "Log to syslog server. SERVER can be local socket, such as /dev/log, or a UDP host:port pair.", Set: text(&o.syslog)},
		{Long: "legacy-syslog", Help: "Use the old syslog protocol instead of RFC 5424. Use this if the messages produced by websockify seem abnormal.", Set: yes(&o.legacySyslog)},
		{Long: "file-only", Since: since011, Help: "use this to disable directory listings in web server.", Set: yes(&o.fileOnly)},

		{Long: "version", Since: sinceUs, Help: "show the version, and exit", Set: yes(&o.version)},
		{Long: "view-only", Since: sinceUs, Help: "speak RFB to both ends and let nothing through that could control the target", Set: yes(&o.viewOnly)},
		{Long: "target-password-file", Arg: "FILE", Since: sinceUs, Help: "file whose first line is the password of the RFB server behind --view-only; without it, and without one from the token plugin, the viewer is asked", Set: text(&o.targetPasswordFile)},
		{Long: "target-user", Arg: "USER", Since: sinceUs, Help: "user that goes with the password, for servers that want both", Set: text(&o.targetUser)},
		{Long: "key-password-file", Arg: "FILE", Since: sinceUs, Help: "file whose first line is the SSL key password", Set: text(&o.keyPasswordFile)},
		{Long: "origin", Arg: "LIST", Since: sinceUs, Help: "admit pages of this host and of the LIST (hosts, or scheme://host, with * and ?, separated by commas) only; \"same\" for this host alone; \"null\" in it for files and sandboxed pages", Set: text(&o.origin)},
		{Long: "trusted-proxies", Arg: "LIST", Since: sinceUs, Help: "addresses and networks of reverse proxies, separated by commas (\"unix\" for clients of --unix-listen), whose X-Forwarded-For, -Host and -Proto are believed", Set: text(&o.trustedProxies)},
		{Long: "proxy-protocol", Since: sinceUs, Help: "connections of the --trusted-proxies begin with a PROXY protocol header", Set: yes(&o.proxyProtocol)},
		{Long: "target-proxy-protocol", Arg: "VERSION", Since: sinceUs, Help: "tell the target the client's address in a PROXY protocol header of version 1 or 2", Set: choice(&o.targetProxyProtocol, "1", "2")},
		{Long: "max-connections", Arg: "N", Since: sinceUs, Help: "serve at most N sessions at once", Set: optparse.Int(&o.maxConnections)},
		{Long: "max-connections-per-address", Arg: "N", Since: sinceUs, Help: "serve at most N sessions at once to one IPv4 address or IPv6 /64 network", Set: optparse.Int(&o.maxPerAddress)},
		{Long: "session-timeout", Arg: "SECONDS", Since: sinceUs, Help: "end each session after SECONDS", Set: seconds(&o.sessionTimeout)},
		{Long: "session-idle-timeout", Arg: "SECONDS", Since: sinceUs, Help: "end a session that has carried nothing for SECONDS", Set: seconds(&o.sessionIdleTimeout)},
		{Long: "handshake-timeout", Arg: "SECONDS", Since: sinceUs, Help: "time for a client's request, and for reaching the target (default 30)", Set: seconds(&o.handshakeTimeout)},
		{Long: "drain", Arg: "SECONDS", Since: sinceUs, Help: "on SIGTERM, let sessions continue for at most SECONDS (default 0)", Set: seconds(&o.drain)},
		{Long: "metrics", Arg: "ADDR", Since: sinceUs, Help: "serve Prometheus metrics at http://ADDR/metrics, for example 127.0.0.1:9090; a port alone is on every IPv4 address", Set: text(&o.metrics)},
		{Long: "log-format", Arg: "FORMAT", Since: sinceUs, Help: "classic (default) or json", Set: choice(&o.logFormat, "classic", "json")},
		{Long: "ssl-target-cafile", Arg: "FILE", Since: sinceUs, Help: "authorities that may vouch for the target, instead of the system's", Set: text(&o.sslTargetCAFile)},
		{Long: "ssl-target-name", Arg: "NAME", Since: sinceUs, Help: "host name expected in the target's certificate, instead of the target's own", Set: text(&o.sslTargetName)},
		{Long: "ssl-target-insecure", Since: sinceUs, Help: "don't verify the target's certificate", Set: yes(&o.sslTargetInsecure)},
	}}
}

// setCert is the Set of --cert.
func (o *options) setCert(s string) error {
	o.certSet = true
	o.cert = s
	return nil
}

// setHeartbeat is the Set of --heartbeat.
func (o *options) setHeartbeat(s string) error {
	o.heartbeatSet = true
	return optparse.Seconds(&o.heartbeat)(s)
}

// writeHelp writes what --help shows.
func writeHelp(w io.Writer, program string) {
	_ = new(options).parser(program).WriteHelp(w, map[int]string{sinceUs: "Not in the Python program"})
	fmt.Fprint(w, helpTail)
}

const helpTail = `
  SECONDS are a number, or a duration with its unit: 90s, 1m30s.
  In a WRAP_COMMAND_LINE, {port} stands for the port that the program has to
  listen on; without it, rebind.so moves the program's port.
  Exit status: 0 done, 1 failed, 2 wrong usage, else the wrapped program's.
`
