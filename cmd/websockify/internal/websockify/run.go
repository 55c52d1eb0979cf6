package websockify

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow/cmd/websockify/internal/logs"
	"vda.internal/shadow/cmd/websockify/internal/syslog"
	"vda.internal/shadow/cmd/websockify/internal/token"
	queues "vda.internal/shadow/internal/logs"
	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/internal/usage"
	"vda.internal/shadow/internal/version"
)

// The exit statuses. That of a wrapped program is passed on.
const (
	exitDone   = 0
	exitFailed = 1
)

// Run is the program: args begin with its name. The first of signals ends it,
// the second cuts --drain short. SIGHUP opens the log's file anew, unless this is
// a program in a terminal, which ends when that is closed. It returns the exit
// status.
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
	wrong, isWrong := errors.AsType[*usage.Error](err)
	switch {
	case errors.Is(err, errHelp):
		writeHelp(stdout, program)
		return exitDone
	case errors.Is(err, errVersion):
		fmt.Fprintln(stdout, "websockify", version.String())
		return exitDone
	case isWrong:
		writeUsage(stderr, program)
		fmt.Fprintf(stderr, "\n%s: error: %v\n", program, wrong)
		return usage.Status
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
	queues.Complain(stderr, "%s: %s\n", program, named.Text(err))
	return exitFailed
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), getTermios)
	return err == nil
}

// reopenOn opens the log's file anew at each hangup, until the function that it
// returns is called.
func reopenOn(hangups <-chan os.Signal, file *queues.File, log *logs.Log) (stop func()) {
	quit := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-hangups:
			case <-quit:
				return
			}
			if file == nil {
				log.Info("SIGHUP: there is no log file to reopen")
			} else if err := file.Reopen(); err != nil {
				log.Warn(fmt.Sprintf("SIGHUP: the log goes on in the old file: %v", err))
			} else {
				log.Info("SIGHUP: log file reopened")
			}
		}
	})
	return func() {
		close(quit)
		queues.Within(queues.FlushTime, running.Wait) // to open a file anew may hang
	}
}

// run does what the options say. d is nil unless this process is a daemon.
func (o *options) run(args []string, d *daemon, signals <-chan os.Signal, stdout, stderr io.Writer) (int, error) {
	hangups := make(chan os.Signal, 1)
	if d != nil || o.logFile != "" || !isTerminal(stderr) {
		// From here on: before the log's file is opened there is none to be opened anew.
		defer signal.Stop(hangups)
		signal.Notify(hangups, syscall.SIGHUP)
	}
	log, file, closeLog, err := o.openLog(stderr)
	if err != nil {
		return exitFailed, err
	}
	defer closeLog()
	defer reopenOn(hangups, file, log)()
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

// openLog opens all places where the log goes. Nobody waits for any of them. file is nil without --log-file.
func (o *options) openLog(stderr io.Writer) (log *logs.Log, file *queues.File, closeLog func(), err error) {
	if o.logFile != "" {
		if file, err = queues.OpenFile(o.logFile, 0o666); err != nil {
			return nil, nil, nil, fmt.Errorf("log file: %w", err)
		}
	}
	var closes []func()
	queued := func(w io.Writer) io.Writer {
		q := queues.NewQueue(w)
		closes = append(closes, func() { _ = q.Close(queues.FlushTime) })
		return q
	}
	if _, ok := stderr.(*daemon); !ok { // whose lines somebody waits for until it is ready, and nobody later
		stderr = queued(stderr)
	}
	sinks := []logs.Sink{logs.ToWriter(stderr)}
	if file != nil {
		sinks = append(sinks, logs.ToWriter(queued(file)))
		closes = append(closes, func() { queues.Within(queues.FlushTime, func() { _ = file.Close() }) })
	}
	if o.syslog != "" {
		send, closeSyslog := o.syslogSink(stderr)
		sinks = append(sinks, logs.ToLines(queued(logs.Lines(send))))
		closes = append(closes, func() { queues.Within(queues.FlushTime, closeSyslog) })
	}
	log = logs.New(logs.Options{JSON: o.logFormat == "json", Verbose: o.verbose, Sinks: sinks})
	return log, file, func() {
		for _, f := range closes {
			f()
		}
	}, nil
}

// syslogSink sends the log to syslog. That it can't is said once, on stderr.
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
	s.warnOfMissing()
}

// warnOfMissing tells of files that were named and aren't there. They may still
// come, so that it is no error; until then clients fail.
func (s *server) warnOfMissing() {
	o, warn := s.o, s.log.Warn
	if o.certSet && !s.certs.Present() {
		warn("--cert " + o.cert + " isn't there: TLS connections will fail until it is")
	}
	if s.tokens != nil {
		if err := token.Check(s.tokens); err != nil {
			warn(fmt.Sprintf("--token-source: %v: clients will be refused until that is mended", err))
		}
	}
	if o.record != "" {
		if _, err := os.Stat(filepath.Dir(o.record)); err != nil {
			warn(fmt.Sprintf("--record: %v: sessions will be refused until it is there", err))
		}
	}
	if o.unixTarget != "" && o.wrap == nil {
		if _, err := os.Stat(o.unixTarget); err != nil {
			warn(fmt.Sprintf("--unix-target: %v: sessions will fail until it is there", err))
		}
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
