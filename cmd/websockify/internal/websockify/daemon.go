package websockify

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// daemonVariable tells a process that it is the daemon, and how many sockets
// it was given; with ofSystemd behind the number if they are systemd's.
const (
	daemonVariable = "WEBSOCKIFY_DAEMON"
	ofSystemd      = " systemd"
)

// The descriptors that a daemon is given.
const (
	readyFD       = 3
	firstSocketFD = 4
)

// A daemon is this process if another websockify started it as one.
type daemon struct {
	sockets   int
	activated bool // they came from systemd

	mu    sync.Mutex
	ready *os.File // nil once it is ready
}

// asDaemon returns nil if this process isn't a daemon. What it starts itself
// isn't one either.
func asDaemon() (*daemon, error) {
	value, ok := os.LookupEnv(daemonVariable)
	if !ok {
		return nil, nil
	}
	number, activated := strings.CutSuffix(value, ofSystemd)
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil, fmt.Errorf("%s isn't a number", daemonVariable)
	}
	syscall.CloseOnExec(readyFD)
	return &daemon{sockets: n, activated: activated, ready: os.NewFile(readyFD, "ready")}, os.Unsetenv(daemonVariable)
}

// Write is the daemon's standard error: that of the process that started it,
// for as long as that waits.
func (d *daemon) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ready != nil {
		return d.ready.Write(p)
	}
	return len(p), nil
}

// isReady lets the process that started this one end.
func (d *daemon) isReady() {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = d.ready.WriteString(readyMark)
	_ = d.ready.Close()
	d.ready = nil
}

// daemonize starts this program again in a session of its own, with the
// sockets that are open already, and returns when that is ready to serve, or
// has failed. activated says that they are systemd's, whose variables are for
// this process only (sd_listen_fds(3)). Go's runtime has threads and can't fork.
func daemonize(args []string, listeners []net.Listener, activated bool, stderr io.Writer) (status int, err error) {
	self, err := os.Executable()
	if err != nil {
		return exitFailed, err
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return exitFailed, err
	}
	defer ready.Close()
	cmd := exec.Command(self, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.ExtraFiles = []*os.File{theirs}
	for _, ln := range listeners {
		file, ok := ln.(interface{ File() (*os.File, error) })
		if !ok {
			return exitFailed, fmt.Errorf("a %T can't be passed to a daemon", ln)
		}
		f, err := file.File()
		if err != nil {
			return exitFailed, err
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	value := strconv.Itoa(len(listeners))
	if activated {
		value += ofSystemd
	}
	cmd.Env = append(os.Environ(), daemonVariable+"="+value)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return exitFailed, err
	}
	said, _ := io.ReadAll(io.LimitReader(ready, 64<<10))
	if message, ok := strings.CutSuffix(string(said), readyMark); ok {
		fmt.Fprint(stderr, message)
		return exitDone, cmd.Process.Release()
	}
	fmt.Fprint(stderr, string(said))
	if err := cmd.Wait(); err != nil {
		return exitFailed, fmt.Errorf("the daemon has failed: %w", err)
	}
	return exitFailed, errors.New("the daemon ended before it was ready")
}

// readyMark is the last thing that a daemon says.
const readyMark = "\x00ready"

// inherited are the sockets that the daemon was given.
func (d *daemon) inherited() ([]net.Listener, error) {
	var listeners []net.Listener
	for i := range d.sockets {
		f := os.NewFile(uintptr(firstSocketFD+i), "socket")
		ln, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return nil, err
		}
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(true)
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}
