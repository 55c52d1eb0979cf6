package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/ctxreg"
	"vda.internal/shadow/internal/host/sessionbus"
	"vda.internal/shadow/internal/host/xsession"
	"vda.internal/shadow/internal/keyfile"
	"vda.internal/shadow/sessions"
)

// keys lists every key but sessions.static and consent.rules, in the order of the printed file,
// bound to c. What isn't read at a request or a hangup takes effect at the next start.
func (c *Config) keys() []keyfile.Key {
	keys := []keyfile.Key{
		keyfile.Line("EnableSessionShadowing", "1: sessions can be shadowed; 0: shadowing is turned off", keyfile.Flag(&c.EnableSessionShadowing)).At(keyfile.AtRequest),
		keyfile.Line("ShadowingUseSSL", "1: viewers connect over wss, with the certificate in tls.dir; 0: over ws", keyfile.Flag(&c.ShadowingUseSSL)).At(keyfile.AtRequest),
		keyfile.Line("settings", "where to read the two values above, at every request: file | ctxreg (from the VDA's registry; the two values above are then ignored)", keyfile.Choice(&c.Settings, "file", "ctxreg")).At(keyfile.AtRequest),
		keyfile.Line("ctxreg", "path of the VDA's ctxreg program; \"\" means "+ctxreg.DefaultPath, keyfile.Text(&c.Ctxreg, keyfile.CheckFile)).At(keyfile.AtRequest),

		keyfile.Line("ports.listen", "address on which viewers' ports listen; \"\" means all addresses, IPv4 and IPv6", keyfile.Text(&c.Ports.Listen, keyfile.CheckIP)),
		keyfile.Line("ports.first", "first and last port for viewers", keyfile.Number(&c.Ports.First, 1, 65535)),
		keyfile.Line("ports.last", "", keyfile.Number(&c.Ports.Last, 1, 65535)),

		keyfile.Line("viewer.host", "host name in viewers' URLs; \"\" means the system's FQDN", keyfile.Text(&c.Viewer.Host, keyfile.CheckHost)),
		keyfile.Line("viewer.token", "required | optional (for clients that can't send a token: the first connection to the port is admitted, and can't reconnect)", keyfile.Choice(&c.Viewer.Token, "required", "optional")),
		keyfile.Line("viewer.connect_timeout", "how long the viewer may take to connect after the Yes", keyfile.Duration(&c.Viewer.ConnectTimeout, 100*time.Millisecond, 10*time.Minute)),
		keyfile.Line("viewer.reconnect", "how long a viewer that lost its connection, or reloads its page, may return without a new question; \"0s\": never", keyfile.Duration(&c.Viewer.Reconnect, 0, 10*time.Minute)),
		keyfile.Line("viewer.origins", "web origins to admit besides the request's own host: patterns such as \"director.corp\" or \"*.corp:8443\"", keyfile.List(&c.Viewer.Origins, checkOrigins)),
		keyfile.Line("viewer.page", "true: the granted port also serves a page that shows the session", keyfile.Bool(&c.Viewer.Page)),

		keyfile.Line("consent.prompter", "how to ask: x11 (a window) | notify (a desktop notification) | exec (a program) | deny (refuse everything) | allow (don't ask: for unattended kiosks only, logged at every use)", keyfile.Choice(&c.Consent.Prompter, "x11", "notify", "exec", "deny", "allow")),
		keyfile.Line("consent.timeout", "how long the user has to answer; at least 10s with a rule whose answer is \"notify\"", keyfile.Duration(&c.Consent.Timeout, 100*time.Millisecond, 10*time.Minute)),
		keyfile.Line("consent.exec", "program and arguments for prompter = \"exec\"", keyfile.List(&c.Consent.Exec, checkCommand)),
		keyfile.Line("consent.banner", "true: during a view, a banner shows the user who is viewing and lets the user stop it; false: no banner, which is logged at every view and can't be combined with rules that allow viewing without a Yes", keyfile.Bool(&c.Consent.Banner)),
		keyfile.Line("consent.bell", "true: ring the display's bell for a question or a notice, and when a rule allows a view without either", keyfile.Bool(&c.Consent.Bell)),
		keyfile.Line("consent.pause", "true: the banner has a Pause button, which hides the screen from the viewer until the user resumes", keyfile.Bool(&c.Consent.Pause)),
		keyfile.Line("consent.language", "language of the question and the banner: en | de | fr | es | ja | zh; \"\" means the session's own, or English if that is none of these", keyfile.Text(&c.Consent.Language, checkLocale)),
		keyfile.Line("consent.purpose", "the reason an administrator gives for viewing: required | optional | hidden (recorded; the user is told that there is one, but not what it is)", keyfile.Choice(&c.Consent.Purpose, "required", "optional", "hidden")),
		keyfile.Line("consent.purpose_pattern", "regular expression that every reason must match, such as \"^INC-[0-9]+\" for a ticket number; \"\" allows any", keyfile.Text(&c.Consent.PurposePattern, checkPattern)),
		keyfile.Line("consent.purpose_hint", "what to tell an administrator whose reason is missing or doesn't match, such as \"start with the ticket number: INC-1234\"; \"\" shows the pattern", keyfile.Text(&c.Consent.PurposeHint, nil)),
	}
	keys = append(keys, textKeys(&c.Consent.Texts)...)
	return append(keys, []keyfile.Key{
		keyfile.Line("source.kind", "where the picture comes from: x11 (built-in capture) | x11vnc | auto (x11, or x11vnc for displays that x11 can't capture) | dial (an existing RFB server)", keyfile.Choice(&c.Source.Kind, "x11", "x11vnc", "auto", "dial")),
		keyfile.Line("source.max_fps", "maximum number of captures a second", keyfile.Number(&c.Source.MaxFPS, 1, 60)),
		keyfile.Line("source.pointer", "true: the user's pointer is part of the picture", keyfile.Bool(&c.Source.Pointer)),
		keyfile.Line("source.x11vnc", "path of x11vnc; \"\" means the one on PATH", keyfile.Text(&c.Source.X11VNC, keyfile.CheckFile)),
		keyfile.Line("source.dial", "address of the RFB server for kind = \"dial\": \"tcp:HOST:PORT\" or \"unix:/PATH\"", keyfile.Text(&c.Source.Dial, checkDial)),
		keyfile.Line("source.dial_password_file", "file whose first line is that server's password; \"\" means no password", keyfile.Text(&c.Source.DialPasswordFile, keyfile.CheckFile)),
		keyfile.Line("source.dial_user", "user name for that server, if it requires one besides the password", keyfile.Text(&c.Source.DialUser, nil)),
		keyfile.Line("source.dial_ca", "PEM file with the CA certificates to verify that server's certificate; \"\" means the system's. If this or dial_name is set, that server must have a certificate (VeNCrypt: X509None, X509Plain, X509Vnc). Otherwise the connection is encrypted if that server can do so, but nothing proves which server it is", keyfile.Text(&c.Source.DialCA, keyfile.CheckFile)),
		keyfile.Line("source.dial_name", "host name expected in that server's certificate; \"\" means the host in source.dial", keyfile.Text(&c.Source.DialName, nil)),

		keyfile.Line("tls.dir", "directory of shadowingcert.* and shadowingkey.*", keyfile.Text(&c.TLS.Dir, keyfile.CheckPath)),
		keyfile.Line("tls.strict", "true: refuse requests if browsers would reject the certificate; false: only warn", keyfile.Bool(&c.TLS.Strict)),

		keyfile.Line("sessions.resolver", "where to find sessions: logind | static | exec", keyfile.Choice(&c.Sessions.Resolver, "logind", "static", "exec")),
		keyfile.Line("sessions.exec", "program and arguments for resolver = \"exec\"", keyfile.List(&c.Sessions.Exec, checkCommand)),

		keyfile.Line("control.socket", "path of the control API's socket", keyfile.Text(&c.Control.Socket, checkSocket)),
		keyfile.Line("control.group", "group that may use the control API besides root; \"\" means none", keyfile.Text(&c.Control.Group, nil)),

		keyfile.Line("fleet.servers", "URLs of the fleet's NATS servers, such as \"tls://gate.corp.example:4222\"; none: this host is in no fleet. shadowctl enroll sets it", keyfile.List(&c.Fleet.Servers, checkServers)).At(keyfile.AtHangup),
		keyfile.Line("fleet.credentials", "file with this host's key for the fleet, which shadowctl enroll writes", keyfile.Text(&c.Fleet.Credentials, keyfile.CheckFile)).At(keyfile.AtHangup),
		keyfile.Line("fleet.views", "dial-in (gates dial the granted ports) | dial-out (this host dials the gate, for hosts that can't be reached: no port is opened for a gate's view)", keyfile.Choice(&c.Fleet.Views, "dial-in", "dial-out")).At(keyfile.AtHangup),
		keyfile.Line("fleet.audit", "required (refuse requests while the spool is full) | optional (let the fleet miss lines; log.audit has them)", keyfile.Choice(&c.Fleet.Audit, "required", "optional")).At(keyfile.AtHangup),
		keyfile.Line("fleet.spool", "directory where audit lines wait until the fleet has them", keyfile.Text(&c.Fleet.Spool, keyfile.CheckPath)).At(keyfile.AtHangup),
		keyfile.Line("fleet.spool_mib", "size of the spool in MiB", keyfile.Number(&c.Fleet.SpoolMiB, 1, 1024)).At(keyfile.AtHangup),
		keyfile.Line("fleet.spool_age", "the spool counts as full once its oldest line has waited for this long", keyfile.Duration(&c.Fleet.SpoolAge, time.Minute, 366*24*time.Hour)).At(keyfile.AtHangup),

		keyfile.Line("log.format", "json | console", keyfile.Choice(&c.Log.Format, "json", "console")),
		keyfile.Line("log.level", "trace | debug | info | warn | error", keyfile.Choice(&c.Log.Level, "trace", "debug", "info", "warn", "error")).At(keyfile.AtHangup),
		keyfile.Line("log.audit", "file for audit lines; \"\" means the log", keyfile.Text(&c.Log.Audit, keyfile.CheckFile)),
	}...)
}

// staticKeys lists the keys of one [[sessions.static]], bound to s.
func staticKeys(s *sessions.StaticSession) []keyfile.Key {
	return []keyfile.Key{
		keyfile.Line("id", "", keyfile.Text(&s.ID, checkNotEmpty)),
		keyfile.Line("display", "", keyfile.Text(&s.Display, checkDisplay)),
		keyfile.Line("user", "", keyfile.Text(&s.User, checkNotEmpty)),
		keyfile.Line("xauthority", "", keyfile.Text(&s.Xauthority, keyfile.CheckFile)),
		keyfile.Line("locale", "", keyfile.Text(&s.Locale, checkLocale)),
		keyfile.Line("bus", "", keyfile.Text(&s.Bus, checkBus)),
	}
}

func checkBus(s string) error {
	if s != "" && !sessionbus.IsAddress(s) {
		return fmt.Errorf(`%q isn't the address of a D-Bus bus of this host; allowed are one such as "unix:path=/run/user/1000/bus", and ""`, s)
	}
	return nil
}

func checkServers(list []string) error {
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" || u.User != nil || !slices.Contains([]string{"tls", "nats", "wss"}, u.Scheme) {
			return fmt.Errorf(`%q isn't a NATS server; allowed is one such as "tls://gate.corp.example:4222"`, s)
		}
		if a, err := netip.ParseAddr(u.Hostname()); u.Scheme == "nats" && u.Hostname() != "localhost" && (err != nil || !a.IsLoopback()) {
			return fmt.Errorf("%q: what travels there could be read and changed; use tls://", s)
		}
	}
	return nil
}

func checkNotEmpty(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("may not be empty")
	}
	return nil
}

func checkPattern(s string) error {
	if _, err := regexp.Compile(s); err != nil {
		return fmt.Errorf("%q isn't a regular expression: %v", s, err)
	}
	return nil
}

func checkOrigins(patterns []string) error {
	for _, p := range patterns {
		scheme, host, ok := strings.Cut(p, "://")
		if !ok {
			host = p
		}
		if host == "" || strings.ContainsAny(host, "/ ") || ok && scheme != "https" && scheme != "http" {
			return fmt.Errorf(`%q isn't a pattern for HOST, HOST:PORT or https://HOST:PORT (without a path)`, p)
		}
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("%q isn't a pattern: a bracket or backslash is left open", p)
		}
	}
	return nil
}

func checkCommand(command []string) error {
	if len(command) > 0 && !filepath.IsAbs(command[0]) {
		return fmt.Errorf("%q isn't an absolute path; the program is named by one", command[0])
	}
	return nil
}

func checkSocket(s string) error {
	if len(s) > api.MaxSocketPath {
		return fmt.Errorf("%q has %d bytes; a socket's path has at most %d", s, len(s), api.MaxSocketPath)
	}
	return keyfile.CheckPath(s)
}

func checkDial(s string) error {
	if s == "" {
		return nil
	}
	network, addr, _ := strings.Cut(s, ":")
	switch network {
	case "unix":
		return checkSocket(addr)
	case "tcp":
		host, port, err := net.SplitHostPort(addr)
		n, numErr := strconv.Atoi(port)
		if err == nil && host != "" && numErr == nil && 1 <= n && n <= 65535 {
			return nil
		}
	}
	return fmt.Errorf(`%q isn't allowed; allowed are "tcp:HOST:PORT" and "unix:/PATH"`, s)
}

func checkDisplay(s string) error {
	if !xsession.IsDisplay(s) {
		return fmt.Errorf(`%q isn't a display of this host; allowed is one such as ":1"`, s)
	}
	return nil
}

func checkLocale(s string) error {
	if s != "" && !xsession.IsLocale(s) {
		return fmt.Errorf(`%q isn't a locale; allowed are one such as "de_DE.UTF-8" or "de", several as in "de:fr", and ""`, s)
	}
	return nil
}
