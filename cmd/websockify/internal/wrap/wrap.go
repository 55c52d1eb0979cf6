// Package wrap runs the program whose port websockify has taken over.
//
// The program has to listen on another port, or on a unix socket. There are
// three ways to get it there: its command has "{port}" in it; the library
// rebind.so of the Python package is installed, which moves its bind calls when
// it is preloaded; or the program listens on a unix socket anyway.
//
//	p, err := wrap.Prepare(wrap.Options{Command: []string{"x11vnc", "-rfbport", "{port}"}, Port: 6080})
//	if err != nil {
//		return err
//	}
//	status, err := p.Run(ctx, "exit")
package wrap

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// placeholder stands for the new port in a command.
const placeholder = "{port}"

// Why the program's port can't be moved by rebind.so, which would be needed.
var (
	ErrNoRebind = errors.New("rebind.so not found, which moves the wrapped program's port")
	ErrNoPort   = errors.New("rebind.so moves the port that websockify listens on, and there is none, or any")
)

// Options say what to wrap.
type Options struct {
	Command []string // the program and its arguments
	Port    int      // that websockify listens on, and the program would; 0: none that is known in advance
	Unix    bool     // the program listens on a unix socket
	Rebind  string   // path of rebind.so; empty if there is none

	// OnStart is called before each start, OnEnd after each end of the program
	// with its exit status and how long it ran, OnPause when it is started too
	// often. Nil ignores.
	OnStart func()
	OnEnd   func(status int, ran time.Duration)
	OnPause func()
}

// A Program is a command that is ready to be run.
type Program struct {
	o    Options
	port int // where it will listen; 0: on a unix socket
	args []string
	env  []string
	pid  atomic.Int64 // of the program while it runs; else 0
	over atomic.Bool  // it won't listen any more
}

// Prepare chooses a free port for the program and the way to get it there.
func Prepare(o Options) (*Program, error) {
	p := &Program{o: o, args: slices.Clone(o.Command), env: os.Environ()}
	if len(p.args) == 0 {
		return nil, errors.New("no command")
	}
	if _, err := exec.LookPath(p.args[0]); err != nil {
		return nil, err
	}
	substituted := slices.ContainsFunc(p.args[1:], func(a string) bool { return strings.Contains(a, placeholder) })
	if !substituted && (o.Rebind == "" || o.Port == 0) {
		if o.Unix {
			return p, nil
		}
		if o.Rebind != "" {
			return nil, ErrNoPort
		}
		return nil, ErrNoRebind
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if !o.Unix {
		p.port = port
	}
	if substituted {
		for i := range p.args[1:] {
			p.args[i+1] = strings.ReplaceAll(p.args[i+1], placeholder, strconv.Itoa(port))
		}
		return p, nil
	}
	preload := o.Rebind
	if old := os.Getenv("LD_PRELOAD"); old != "" {
		preload += ":" + old
	}
	p.env = append(p.env, "LD_PRELOAD="+preload, "REBIND_OLD_PORT="+strconv.Itoa(o.Port), "REBIND_NEW_PORT="+strconv.Itoa(port))
	return p, nil
}

// Port is where the program is to listen, at 127.0.0.1. It is 0 if that is a
// unix socket.
func (p *Program) Port() int { return p.port }

// String is the command as it is run.
func (p *Program) String() string { return strings.Join(p.args, " ") }

// Lives reports whether the program may still begin to listen: it runs, is to
// be run, or has put itself into the background.
func (p *Program) Lives() bool { return !p.over.Load() }

// rebound reports whether rebind.so is to move the port.
func (p *Program) rebound() bool {
	return p.o.Rebind != "" && slices.Equal(p.args, p.o.Command)
}

// freePort finds a port that is free at this moment, as the Python program does.
func freePort() (int, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// FindRebind returns the path of rebind.so: where the Python package puts it
// beside the program, or where Debian does. It is empty if there is none.
func FindRebind(program string) string {
	dir := filepath.Dir(program)
	for _, d := range []string{
		filepath.Join(dir, "..", "lib"), filepath.Join(dir, "..", "lib", "websockify"), filepath.Join(dir, ".."), dir,
		"/usr/lib/websockify", "/usr/local/lib/websockify", "/usr/local/lib",
	} {
		path, err := filepath.Abs(filepath.Join(d, "rebind.so"))
		if err != nil {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// What to do when the program has ended.
const (
	ModeExit    = "exit"
	ModeIgnore  = "ignore"
	ModeRespawn = "respawn"
)

// respawnPause is how long ago the last three starts must be on average.
const respawnPause = 10 * time.Second

// Run runs the program. When that ends, it returns with its exit status (mode
// exit), waits for ctx (ignore) or runs it again (respawn). A program that
// runs when ctx ends is left running, for it may be somebody's desktop.
func (p *Program) Run(ctx context.Context, mode string) (status int, err error) {
	defer p.over.Store(true)
	var starts [3]time.Time
	for {
		starts = [3]time.Time{starts[1], starts[2], time.Now()}
		status, err := p.once(ctx)
		if ctx.Err() != nil {
			return 0, nil
		}
		if err != nil {
			return 1, err
		}
		if p.o.OnEnd != nil {
			p.o.OnEnd(status, time.Since(starts[2]))
		}
		switch mode {
		case ModeIgnore:
			p.over.Store(status != 0)
			<-ctx.Done()
			return 0, nil
		case ModeRespawn:
			if !p.pause(ctx, nextStart(starts)) {
				return 0, nil
			}
		default:
			return status, nil
		}
	}
}

// nextStart is when the mean of the last three starts is respawnPause ago. One
// that was never was long ago.
func nextStart(starts [3]time.Time) time.Time {
	if starts[0].IsZero() {
		return time.Time{}
	}
	mean := starts[0].Add((starts[1].Sub(starts[0]) + starts[2].Sub(starts[0])) / 3)
	return mean.Add(respawnPause)
}

func (p *Program) pause(ctx context.Context, until time.Time) bool {
	wait := time.Until(until)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	if p.o.OnPause != nil {
		p.o.OnPause()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once runs the program until it or ctx ends.
func (p *Program) once(ctx context.Context) (status int, err error) {
	if p.o.OnStart != nil {
		p.o.OnStart()
	}
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Env = p.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	p.pid.Store(int64(cmd.Process.Pid))
	ended := make(chan error, 1)
	go func() { // outlives ctx if the program does
		awaitExit(cmd)
		p.pid.Store(0) // while the number is the program's
		ended <- cmd.Wait()
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
		return 0, nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return signalled + int(ws.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// signalled, and the signal, is the status of a program that was killed, as shells have it.
const signalled = 128

// Warning says in advance why rebind.so won't work on this program; empty if
// nothing is known against it.
func (p *Program) Warning() string {
	if !p.rebound() {
		return ""
	}
	path, err := exec.LookPath(p.args[0])
	if err != nil {
		return ""
	}
	const fix = "so that rebind.so can't move its port: write {port} where its command has"
	if info, err := os.Stat(path); err == nil && info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
		return fmt.Sprintf("%s is setuid or setgid, %s %d", p.args[0], fix, p.o.Port) // ld.so(8), LD_PRELOAD
	}
	f, err := elf.Open(path)
	if err != nil {
		return "" // a script
	}
	defer f.Close()
	for _, part := range f.Progs {
		if part.Type == elf.PT_INTERP {
			return ""
		}
	}
	return fmt.Sprintf("%s is statically linked, %s %d", p.args[0], fix, p.o.Port)
}
