package websockify

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"vda.internal/shadow/cmd/websockify/internal/logs"
	"vda.internal/shadow/cmd/websockify/internal/syslog"
	"vda.internal/shadow/internal/version"
)

// The exit statuses. That of a wrapped program is passed on.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Run is the program: args begin with its name. The first of signals ends it,
// the second cuts --drain short. It returns the exit status.
func Run(args []string, signals <-chan os.Signal, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		args = []string{"websockify"}
	}
	program := filepath.Base(args[0])
	d, err := asDaemon()
	if err != nil {
		return fail(stderr, program, err)
	}
	if d != nil {
		stderr = d
	}
	o, err := parseOptions(args[1:], isActivated() || d != nil && d.activated)
	switch usage := (*usageError)(nil); {
	case errors.Is(err, errHelp):
		writeHelp(stdout, program)
		return exitDone
	case errors.Is(err, errVersion):
		fmt.Fprintln(stdout, "websockify", version.String())
		return exitDone
	case errors.As(err, &usage):
		writeUsage(stderr, program)
		fmt.Fprintf(stderr, "\n%s: error: %s\n", program, usage.text)
		return exitUsage
	case err != nil:
		return fail(stderr, program, err)
	}
	status, err := o.run(args, d, signals, stdout, stderr)
	if err != nil {
		return fail(stderr, program, err)
	}
	return status
}

func fail(stderr io.Writer, program string, err error) int {
	fmt.Fprintf(stderr, "%s: %v\n", program, err)
	return exitFailed
}

// run does what the options say. d is nil unless this process is a daemon.
func (o *options) run(args []string, d *daemon, signals <-chan os.Signal, stdout, stderr io.Writer) (int, error) {
	log, closeLog, err := o.openLog(stderr)
	if err != nil {
		return exitFailed, err
	}
	defer closeLog()
	s, err := newServer(o, args[0], log, stdout)
	if err != nil {
		return exitFailed, err
	}
	if d != nil {
		listeners, err := d.inherited()
		if err == nil {
			err = os.Chdir("/")
		}
		if err != nil {
			return exitFailed, err
		}
		return s.serve(listeners, signals, d.isReady)
	}
	s.announce()
	listeners, err := o.open()
	if err != nil {
		return exitFailed, fmt.Errorf("opening socket failed: %w", err)
	}
	if o.daemon {
		return daemonize(args, listeners, o.activated, stderr)
	}
	return s.serve(listeners, signals, func() {})
}

// openLog opens all places where the log goes.
func (o *options) openLog(stderr io.Writer) (log *logs.Log, closeLog func(), err error) {
	sinks := []logs.Sink{logs.ToWriter(stderr)}
	closeLog = func() {}
	if o.logFile != "" {
		f, err := os.OpenFile(o.logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
		if err != nil {
			return nil, nil, fmt.Errorf("log file: %w", err)
		}
		sinks = append(sinks, logs.ToWriter(f))
		closeLog = func() { f.Close() }
	}
	if o.syslog != "" {
		sink, closeSink := o.syslogSink(stderr)
		sinks = append(sinks, sink)
		closeFile := closeLog
		closeLog = func() { closeSink(); closeFile() }
	}
	return logs.New(logs.Options{JSON: o.logFormat == "json", Verbose: o.verbose, Sinks: sinks}), closeLog, nil
}

// syslogSink sends the log to syslog. That it can't is said once.
func (o *options) syslogSink(stderr io.Writer) (logs.Sink, func()) {
	w := &syslog.Writer{Network: o.syslogNetwork, Address: o.syslogAddress, Facility: syslog.User, Tag: "websockify", Legacy: o.legacySyslog}
	if o.daemon {
		w.Facility = syslog.Daemon
	}
	severities := [...]syslog.Severity{logs.Debug: syslog.Debug, logs.Info: syslog.Info, logs.Warn: syslog.Warning}
	failed := false
	return func(level logs.Level, at time.Time, line string) {
		if err := w.Send(severities[level], at, line); err != nil && !failed {
			failed = true
			fmt.Fprintf(stderr, "%v: messages for syslog are lost\n", err)
		}
	}, func() { _ = w.Close() }
}

// announce says what is about to happen, in the words of the Python program.
func (s *server) announce() {
	o, say := s.o, s.log.Info
	say("WebSocket server settings:")
	switch {
	case o.inetd:
		say("  - Listen for inetd connections")
	case o.activated:
		say("  - Listen on sockets of systemd")
	case o.unixListen != "":
		say("  - Listen on unix socket " + o.unixListen)
	default:
		say("  - Listen on " + o.listen.String())
	}
	switch {
	case o.web != "" && o.fileOnly:
		say("  - Web server (no directory listings). Web root: " + o.web)
	case o.web != "":
		say("  - Web server. Web root: " + o.web)
	}
	if s.certs.Present() {
		say("  - SSL/TLS support")
		if o.sslOnly {
			say("  - Deny non-SSL/TLS connections")
		}
	} else {
		say("  - No SSL/TLS support (no cert file)")
	}
	if o.daemon {
		say("  - Backgrounding (daemon)")
	}
	if o.record != "" {
		say("  - Recording to '" + o.record + ".*'")
	}
	if o.viewOnly {
		say("  - View only: RFB, inspected")
	}
	if o.libserver {
		say("  - Ignoring --libserver: there is one engine")
	}
}

// announceRoute says from where to where, once it listens.
func (s *server) announceRoute(listeners []net.Listener) {
	o := s.o
	source := o.listen.String()
	switch {
	case o.inetd:
		source = "inetd"
	case o.activated:
		source = "systemd"
	case o.unixListen != "":
		source = o.unixListen
	}
	target := s.fixed.String()
	if o.tokenPlugin != "" {
		target = "targets generated by " + o.tokenPlugin
	} else if s.program != nil {
		target = s.describeProgram()
	}
	if o.sslTarget {
		target += " (using SSL)"
	}
	s.log.Info("  - proxying from " + source + " to " + target)
	if o.listen.port == 0 && source == o.listen.String() {
		s.log.Info("  - the port is " + listeners[0].Addr().String())
	}
}
