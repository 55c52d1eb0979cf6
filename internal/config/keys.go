package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/ctxreg"
	"vda.internal/shadow/internal/host/sessionbus"
	"vda.internal/shadow/internal/host/xsession"
	"vda.internal/shadow/sessions"
)

// A key is one line of the file: its dotted name, what it means, and the field
// of a Config that it stands for.
type key struct {
	name    string
	comment string
	value   value
}

// keys lists every key but sessions.static, in the order of the printed file,
// bound to c.
func (c *Config) keys() []key {
	keys := []key{
		{"EnableSessionShadowing", "0 switches session shadowing off; 1 is the default", flag{&c.EnableSessionShadowing}},
		{"ShadowingUseSSL", "1: viewers connect with wss and the certificate in tls.dir; 0: with ws", flag{&c.ShadowingUseSSL}},
		{"settings", "where the two values above are read, at every request: file | ctxreg (through the VDA's program; those above don't count then)", choice{&c.Settings, []string{"file", "ctxreg"}}},
		{"ctxreg", "path of the VDA's program; \"\" is " + ctxreg.DefaultPath, text{&c.Ctxreg, checkFile}},

		{"ports.listen", "address the viewers' ports are bound on; \"\" is every address, IPv4 and IPv6", text{&c.Ports.Listen, checkIP}},
		{"ports.first", "the viewers' ports", number{&c.Ports.First, 1, 65535}},
		{"ports.last", "", number{&c.Ports.Last, 1, 65535}},

		{"viewer.host", "FQDN in the URL; \"\" is the system's", text{&c.Viewer.Host, checkHost}},
		{"viewer.token", "required | optional (for a client that can't carry one: the first connection on the port wins)", choice{&c.Viewer.Token, []string{"required", "optional"}}},
		{"viewer.connect_timeout", "from Yes to the viewer's connection", duration{&c.Viewer.ConnectTimeout, 100 * time.Millisecond, 10 * time.Minute}},
		{"viewer.reconnect", "how long a viewer that was cut off, or whose page is loaded anew, may come back without a new question; \"0s\": not at all", duration{&c.Viewer.Reconnect, 0, 10 * time.Minute}},
		{"viewer.origins", "web origins besides the request's own host: patterns such as \"director.corp\" or \"*.corp:8443\"", list{&c.Viewer.Origins, checkOrigins}},
		{"viewer.page", "true: the granted port also serves a page that shows the session", boolean{&c.Viewer.Page}},

		{"consent.prompter", "x11 (a window) | notify (a notification of the desktop) | exec | deny | allow (allow asks nobody: only for unattended kiosks, logged at every use)", choice{&c.Consent.Prompter, []string{"x11", "notify", "exec", "deny", "allow"}}},
		{"consent.timeout", "how long the user has", duration{&c.Consent.Timeout, 100 * time.Millisecond, 10 * time.Minute}},
		{"consent.exec", "program and arguments for prompter = \"exec\"", list{&c.Consent.Exec, checkCommand}},
		{"consent.banner", "true: while somebody is viewing the user sees who it is, and can stop it; false is logged at every view", boolean{&c.Consent.Banner}},
		{"consent.pause", "true: the banner has a button by which the user hides the screen from the viewer for a while", boolean{&c.Consent.Pause}},
		{"consent.language", "in which users are asked, such as \"de\"; \"\" is each session's own. There are words in en, de, fr, es, ja and zh; others are asked in English", text{&c.Consent.Language, checkLocale}},
		{"consent.purpose", "the reason that administrators give, shown to the user: required | optional | hidden (recorded, and not shown)", choice{&c.Consent.Purpose, []string{"required", "optional", "hidden"}}},
		{"consent.purpose_pattern", "regular expression that must match in a reason, such as \"^INC-[0-9]+\" for a ticket's number; \"\" is any", text{&c.Consent.PurposePattern, checkPattern}},
		{"consent.purpose_hint", "what an administrator is told whose reason doesn't match, such as \"begin with the ticket's number: INC-1234\"; \"\" is the pattern", text{&c.Consent.PurposeHint, nil}},
	}
	keys = append(keys, textKeys(&c.Consent.Texts)...)
	return append(keys, []key{
		{"source.kind", "x11 | x11vnc | auto (x11, and x11vnc for displays that x11 can't show) | dial", choice{&c.Source.Kind, []string{"x11", "x11vnc", "auto", "dial"}}},
		{"source.max_fps", "looks at the screen a second at most", number{&c.Source.MaxFPS, 1, 60}},
		{"source.pointer", "true: the user's pointer is part of the picture", boolean{&c.Source.Pointer}},
		{"source.x11vnc", "path of x11vnc; \"\" is the one on PATH", text{&c.Source.X11VNC, checkFile}},
		{"source.dial", "\"tcp:HOST:PORT\" or \"unix:/PATH\" for kind = \"dial\"", text{&c.Source.Dial, checkDial}},
		{"source.dial_password_file", "file whose first line is that server's password; \"\" is none", text{&c.Source.DialPasswordFile, checkFile}},
		{"source.dial_user", "user that goes with the password, where the server wants both", text{&c.Source.DialUser, nil}},
		{"source.dial_ca", "file of authorities that may vouch for that server's certificate, in PEM; with it or dial_name, TLS is preferred", text{&c.Source.DialCA, checkFile}},
		{"source.dial_name", "name in that server's certificate; \"\" is the host of source.dial", text{&c.Source.DialName, nil}},

		{"tls.dir", "where shadowingcert.* and shadowingkey.* are", text{&c.TLS.Dir, checkPath}},
		{"tls.strict", "true: a certificate that browsers will refuse refuses requests, rather than being warned of", boolean{&c.TLS.Strict}},

		{"sessions.resolver", "logind | static | exec", choice{&c.Sessions.Resolver, []string{"logind", "static", "exec"}}},
		{"sessions.exec", "program and arguments for resolver = \"exec\"", list{&c.Sessions.Exec, checkCommand}},

		{"control.socket", "the control API", text{&c.Control.Socket, checkSocket}},
		{"control.group", "a group besides root that may use it", text{&c.Control.Group, nil}},

		{"log.format", "json | console", choice{&c.Log.Format, []string{"json", "console"}}},
		{"log.level", "trace | debug | info | warn | error", choice{&c.Log.Level, []string{"trace", "debug", "info", "warn", "error"}}},
		{"log.audit", "file for the audit lines; \"\" is the log", text{&c.Log.Audit, checkFile}},
	}...)
}

// staticKeys lists the keys of one [[sessions.static]], bound to s.
func staticKeys(s *sessions.StaticSession) []key {
	return []key{
		{"id", "", text{&s.ID, checkNotEmpty}},
		{"display", "", text{&s.Display, checkDisplay}},
		{"user", "", text{&s.User, checkNotEmpty}},
		{"xauthority", "", text{&s.Xauthority, checkFile}},
		{"locale", "", text{&s.Locale, checkLocale}},
		{"bus", "", text{&s.Bus, checkBus}},
	}
}

func checkBus(s string) error {
	if s != "" && !sessionbus.IsAddress(s) {
		return fmt.Errorf(`%q isn't the address of a D-Bus bus of this host; allowed are one such as "unix:path=/run/user/1000/bus", and ""`, s)
	}
	return nil
}

func checkNotEmpty(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("may not be empty")
	}
	return nil
}

func checkIP(s string) error {
	if _, err := netip.ParseAddr(s); s != "" && err != nil {
		return fmt.Errorf(`%q isn't an IP address; allowed are one such as "0.0.0.0" or "::1", and ""`, s)
	}
	return nil
}

var hostPattern = regexp.MustCompile(`^(?i)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

func checkPattern(s string) error {
	if _, err := regexp.Compile(s); err != nil {
		return fmt.Errorf("%q isn't a regular expression: %v", s, err)
	}
	return nil
}

func checkHost(s string) error {
	if s == "" {
		return nil
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return nil // shadowd warns: certificates and pages want a name
	}
	if len(s) > 253 || !hostPattern.MatchString(s) {
		return fmt.Errorf(`%q isn't a host name; allowed is one such as "vda1.corp.example", and ""`, s)
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

func checkPath(s string) error {
	if !filepath.IsAbs(s) {
		return fmt.Errorf("%q isn't an absolute path", s)
	}
	return nil
}

func checkFile(s string) error {
	if s != "" && !filepath.IsAbs(s) {
		return fmt.Errorf(`%q isn't an absolute path; allowed are one, and ""`, s)
	}
	return nil
}

func checkSocket(s string) error {
	if len(s) > api.MaxSocketPath {
		return fmt.Errorf("%q has %d bytes; a socket's path has at most %d", s, len(s), api.MaxSocketPath)
	}
	return checkPath(s)
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
