package websockify

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"vda.internal/shadow/cmd/websockify/internal/optparse"
	"vda.internal/shadow/internal/usage"
	"vda.internal/shadow/wsproxy"
)

// The rounds in which options came: an abbreviation that was unique once stays so.
const (
	since010 = iota // in Debian's 0.10 already
	since011        // 0.11 to 0.13
	sinceUs
)

// options is the command line.
type options struct {
	verbose, traffic             bool
	record                       string
	daemon, runOnce              bool
	timeout, idleTimeout         time.Duration
	cert, key, keyPassword       string
	keyPasswordFile              string
	targetPasswordFile           string
	targetUser                   string
	sslOnly, sslTarget           bool
	verifyClient                 bool
	caFile, sslVersion           string
	sslCiphers                   string
	unixTarget, unixListen       string
	unixListenMode               string
	inetd                        bool
	web                          string
	webAuth, fileOnly            bool
	wrapMode                     string
	preferIPv6, libserver        bool
	targetConfig                 string
	tokenPlugin, tokenSource     string
	hostToken                    bool
	authPlugin, authSource       string
	heartbeat                    time.Duration
	certSet                      bool // somebody has named a file, which is to be there
	heartbeatSet                 bool // somebody has asked for one, or for none
	version                      bool
	logFile, syslog              string
	legacySyslog                 bool
	viewOnly                     bool
	origin                       string
	maxConnections               int
	maxPerAddress                int
	trustedProxies               string
	proxyProtocol                bool
	targetProxyProtocol          string
	sessionTimeout               time.Duration
	sessionIdleTimeout           time.Duration
	handshakeTimeout             time.Duration
	drain                        time.Duration
	metrics, logFormat           string
	sslTargetCAFile              string
	sslTargetName                string
	sslTargetInsecure            bool
	metricsListen                address         // metrics, parsed
	proxies                      wsproxy.Proxies // trustedProxies, parsed
	listen                       address         // where, unless unixListen, inetd or activated
	target                       address         // unless unixTarget, tokenPlugin or wrap
	wrap                         []string        // the command to wrap; nil: none
	socketMode                   os.FileMode     // unixListenMode, parsed
	syslogNetwork, syslogAddress string          // syslog, parsed
	activated                    bool            // sockets came from systemd
}

// An address is host and port of a command line. An empty host is every
// address to listen on, and this machine to connect to.
type address struct {
	host string
	port int
}

func (a address) String() string { return a.host + ":" + strconv.Itoa(a.port) }

// join is the form that package net wants.
func (a address) join() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

// errHelp: the help was asked for.
var errHelp = optparse.ErrHelp

// errVersion: the version was asked for.
var errVersion = errors.New("--version")

// parseOptions reads the command line, without the program's name. activated
// says that systemd passed the sockets to listen on.
func parseOptions(args []string, activated bool) (*options, error) {
	o := defaultOptions()
	o.activated = activated
	positional, err := o.parser("").Parse(args)
	if errors.Is(err, errHelp) {
		return nil, err
	}
	if err != nil {
		return nil, &usage.Error{Err: err}
	}
	if o.version {
		return nil, errVersion
	}
	for _, check := range []func() error{o.checkDependencies, o.checkRanges, o.checkSyslog, o.checkMetrics, o.checkOrigin, o.checkProxies} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if o.viewOnly && !o.heartbeatSet {
		o.heartbeat = viewHeartbeat
	}
	if o.targetConfig != "" {
		o.tokenPlugin, o.tokenSource = "TokenFile", o.targetConfig
	}
	if err := o.takePositional(positional, slices.Contains(args, "--")); err != nil {
		return nil, err
	}
	return o, o.makeAbsolute()
}

// viewHeartbeat keeps a view of a still screen through front ends that cut
// connections which carry nothing: HAProxy's usual limit is 50 s, nginx's and
// Apache's 60 s.
const viewHeartbeat = 30 * time.Second

func defaultOptions() *options {
	return &options{
		cert:             "self.pem",
		sslVersion:       "default",
		unixListenMode:   "600",
		wrapMode:         "exit",
		logFormat:        "classic",
		handshakeTimeout: 30 * time.Second,
	}
}

// checkDependencies finds options that need another. The words and their order
// are those of the Python program.
func (o *options) checkDependencies() error {
	for _, d := range []struct {
		wrong bool
		text  string
	}{
		{o.tokenSource != "" && o.tokenPlugin == "", "You must use --token-plugin to use --token-source"},
		{o.hostToken && o.tokenPlugin == "", "You must use --token-plugin to use --host-token"},
		{o.authSource != "" && o.authPlugin == "", "You must use --auth-plugin to use --auth-source"},
		{o.webAuth && o.authPlugin == "", "You must use --auth-plugin to use --web-auth"},
		{o.webAuth && o.web == "", "You must use --web to use --web-auth"},
		{o.legacySyslog && o.syslog == "", "You must use --syslog to use --legacy-syslog"},
		{o.keyPassword != "" && o.keyPasswordFile != "", "You can't use both --key-password and --key-password-file"},
		{o.proxyProtocol && o.trustedProxies == "", "You must use --trusted-proxies to use --proxy-protocol"},
		{o.sslTargetCAFile != "" && !o.sslTarget && !o.viewOnly, "You must use --ssl-target or --view-only to use --ssl-target-cafile"},
		{o.sslTargetName != "" && !o.sslTarget && !o.viewOnly, "You must use --ssl-target or --view-only to use --ssl-target-name"},
		{o.sslTargetName != "" && o.sslTargetInsecure, "You can't use both --ssl-target-name and --ssl-target-insecure"},
		{o.sslTargetCAFile != "" && o.sslTargetInsecure, "You can't use both --ssl-target-cafile and --ssl-target-insecure"},
		{o.sslTargetInsecure && !o.sslTarget && !o.viewOnly, "You must use --ssl-target or --view-only to use --ssl-target-insecure"},
		{o.targetPasswordFile != "" && !o.viewOnly, "You must use --view-only to use --target-password-file"},
		{o.targetUser != "" && !o.viewOnly, "You must use --view-only to use --target-user"},
	} {
		if d.wrong {
			return usage.Errorf("%s", d.text)
		}
	}
	if o.sslOnly {
		if _, err := os.Stat(o.cert); err != nil {
			return usage.Errorf("SSL only and %s not found", o.cert)
		}
	}
	return nil
}

func (o *options) checkRanges() error {
	mode, err := strconv.ParseUint(o.unixListenMode, 8, 32)
	if err != nil || mode > 0o777 {
		return usage.Errorf("Error parsing unix-listen-mode")
	}
	o.socketMode = os.FileMode(mode)
	for _, d := range []struct {
		name string
		v    int64
	}{
		{"heartbeat", int64(o.heartbeat)}, {"max-connections", int64(o.maxConnections)}, {"max-connections-per-address", int64(o.maxPerAddress)}, {"drain", int64(o.drain)},
		{"session-timeout", int64(o.sessionTimeout)}, {"session-idle-timeout", int64(o.sessionIdleTimeout)},
	} {
		if d.v < 0 {
			return usage.Errorf("--%s must not be negative", d.name)
		}
	}
	if o.handshakeTimeout <= 0 {
		return usage.Errorf("--handshake-timeout must be more than 0")
	}
	return nil
}

// checkSyslog takes --syslog apart: a socket's path, or a host and UDP port.
func (o *options) checkSyslog() error {
	if o.syslog == "" {
		return nil
	}
	i := strings.LastIndexByte(o.syslog, ':')
	if i < 0 {
		path, err := filepath.Abs(o.syslog)
		o.syslogNetwork, o.syslogAddress = "unix", path
		return err
	}
	a, err := parseAddress(o.syslog)
	if err != nil {
		return usage.Errorf("Error parsing syslog port")
	}
	o.syslogNetwork, o.syslogAddress = "udp", a.join()
	return nil
}

// checkMetrics reads --metrics, which is what a listen address is.
func (o *options) checkMetrics() (err error) {
	if o.metrics == "" {
		return nil
	}
	if o.metricsListen, err = parseAddress(o.metrics); err != nil {
		return usage.Errorf("Error parsing metrics port")
	}
	return checkPort("metrics", o.metricsListen.port, 0)
}

// origins are the patterns of --origin; none for "same".
func (o *options) origins() []string {
	if o.origin == "same" {
		return nil
	}
	return fields(o.origin)
}

// checkOrigin finds patterns that would admit nobody.
func (o *options) checkOrigin() error {
	for _, pattern := range o.origins() {
		if _, err := path.Match(pattern, ""); err != nil {
			return usage.Errorf("--origin: %q isn't a pattern", pattern)
		}
	}
	return nil
}

// checkProxies reads --trusted-proxies: addresses, networks, and "unix".
func (o *options) checkProxies() error {
	for _, s := range fields(o.trustedProxies) {
		if s == "unix" {
			o.proxies.Unix = true
			continue
		}
		network, err := netip.ParsePrefix(s)
		if addr, addrErr := netip.ParseAddr(s); addrErr == nil {
			network, err = addr.Unmap().WithZone("").Prefix(addr.Unmap().BitLen())
		}
		if err != nil {
			return usage.Errorf("--trusted-proxies: %q isn't an address, a network (10.0.0.0/8) or unix", s)
		}
		o.proxies.Networks = append(o.proxies.Networks, network.Masked())
	}
	return nil
}

// fields are the items of a list that is separated by commas or blanks.
func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// takePositional reads the arguments that aren't options. wrap says that there
// is a "--" among all arguments, which makes what follows the first a command.
func (o *options) takePositional(args []string, wrap bool) error {
	listening := o.inetd || o.unixListen != ""
	if wrap && len(args) > 1 || wrap && listening && len(args) > 0 {
		o.wrap = args
		if !listening {
			o.wrap = args[1:]
			args = args[:1]
		} else {
			args = nil
		}
	}
	targeted := o.wrap != nil || o.unixTarget != "" || o.tokenPlugin != ""
	// A unit with a socket may name the listen address as before, or leave it out.
	if o.activated && !listening && (len(args) == 0 || len(args) == 1 && !targeted) {
		listening = true
	}
	if !listening {
		if len(args) == 0 {
			return usage.Errorf("Too few arguments")
		}
		a, err := parseAddress(args[0])
		if err != nil {
			return usage.Errorf("Error parsing listen port")
		}
		if err := checkPort("listen", a.port, 0); err != nil {
			return err
		}
		o.listen, args = a, args[1:]
	}
	if !targeted {
		if len(args) == 0 {
			return usage.Errorf("Too few arguments")
		}
		if !strings.Contains(args[0], ":") {
			return usage.Errorf("Error parsing target")
		}
		a, err := parseAddress(args[0])
		if err != nil {
			return usage.Errorf("Error parsing target port")
		}
		if err := checkPort("target", a.port, 1); err != nil {
			return err
		}
		o.target, args = a, args[1:]
	}
	if len(args) > 0 {
		return usage.Errorf("Too many arguments")
	}
	return nil
}

func checkPort(what string, port, least int) error {
	if port < least || port > 65535 {
		return usage.Errorf("%s port %d is not between %d and 65535", what, port, least)
	}
	return nil
}

// parseAddress takes "host:port" apart at the last colon, or "port". The host
// may be in brackets.
func parseAddress(s string) (address, error) {
	host, port := "", s
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, port = strings.Trim(s[:i], "[]"), s[i+1:]
	}
	n, err := strconv.Atoi(strings.TrimSpace(port))
	return address{host, n}, err
}

// makeAbsolute makes paths independent of the working directory, which a
// daemon leaves.
func (o *options) makeAbsolute() error {
	paths := []*string{&o.record, &o.cert, &o.key, &o.keyPasswordFile, &o.targetPasswordFile, &o.caFile, &o.web, &o.logFile, &o.unixTarget, &o.unixListen, &o.sslTargetCAFile}
	for _, p := range paths {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	return nil
}

// writeUsage writes the two lines that a usage error begins with.
func writeUsage(w io.Writer, program string) {
	_, _ = io.WriteString(w, usageLines(program))
}

func usageLines(program string) string {
	return fmt.Sprintf("Usage: \n    %[1]s [options] [source_addr:]source_port [target_addr:target_port]\n"+
		"    %[1]s [options] [source_addr:]source_port -- WRAP_COMMAND_LINE\n", program)
}
