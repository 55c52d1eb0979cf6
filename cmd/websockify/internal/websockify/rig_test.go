package websockify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow/internal/testenv"
)

// runVariable makes a process of this test's binary the program.
const runVariable = "WEBSOCKIFY_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(runVariable) != "" {
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		os.Exit(Run(os.Args, signals, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// patience is for what should happen at once, on however busy a machine.
const patience = testenv.Patience

// An implementation is one of the two programs.
type implementation int

const (
	thePython implementation = iota
	theGo
)

func (i implementation) String() string { return [...]string{"python", "go"}[i] }

// pythonPath is Debian's package.
const pythonPath = "/usr/bin/websockify"

func (i implementation) command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	if i == thePython {
		if _, err := os.Stat(pythonPath); err != nil {
			testenv.Lack(t, "the Python program is needed (Debian package websockify): %v", err)
		}
		cmd := exec.Command(pythonPath, args...)
		cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
		return cmd
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "websockify"
	cmd.Env = append(os.Environ(), runVariable+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// A process is a running program.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	addr string // where it listens
	out  *text  // standard output
	err  *text  // standard error
	done chan struct{}
	dir  string
}

// A text is output that can be waited for.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// freeAddress is an address that is free at this moment.
func freeAddress(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", testenv.Ports(t, 1))
}

// launch starts a program. LISTEN in args is an address that it is to listen
// on. The process is ended with the test.
func (i implementation) launch(t testing.TB, args ...string) *process {
	t.Helper()
	return i.launchIn(t, "", nil, args...)
}

func (i implementation) launchIn(t testing.TB, dir string, prepare func(*exec.Cmd), args ...string) *process {
	t.Helper()
	p := &process{t: t, addr: freeAddress(t), out: &text{}, err: &text{}, done: make(chan struct{}), dir: dir}
	own := make([]string, len(args))
	for i, a := range args {
		own[i] = strings.ReplaceAll(a, "LISTEN", p.addr)
	}
	p.cmd = i.command(t, own...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second
	if prepare != nil {
		prepare(p.cmd)
	}
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(p.end)
	return p
}

// start launches a program and waits until it listens.
func (i implementation) start(t testing.TB, args ...string) *process {
	t.Helper()
	p := i.launch(t, args...)
	p.says("proxying from")
	return p
}

// says waits until the log has text.
func (p *process) says(text string) {
	p.t.Helper()
	p.until("the log to have "+text, func() bool { return strings.Contains(p.err.String(), text) })
}

func (p *process) until(what string, ok func() bool) {
	p.t.Helper()
	end := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(end) || p.ended() && !ok() {
			require.FailNow(p.t, "waited for "+what, "%v\n%s", p.cmd.Args, p.err)
		}
		time.Sleep(2 * time.Millisecond) // between looks
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// status waits for the end of the program.
func (p *process) status() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		require.FailNow(p.t, "the program doesn't end", "%v\n%s", p.cmd.Args, p.err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// terminate sends SIGTERM and returns the exit status.
func (p *process) terminate() int {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	return p.status()
}

// end kills what is left of the process and its children, which are its group.
func (p *process) end() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// serve runs handle for each connection of a listener until the test ends.
func serve(t testing.TB, ln net.Listener, handle func(net.Conn)) string {
	t.Helper()
	var running sync.WaitGroup
	var mu sync.Mutex
	conns := make(map[net.Conn]bool)
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return ln.Addr().String()
}

func listenLoopback(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return ln
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

func echoTarget(t testing.TB) string { return serve(t, listenLoopback(t), echo) }

// run runs a command to its end.
func run(t testing.TB, cmd *exec.Cmd) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	cmd.WaitDelay = time.Second
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, cmd.Start())
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	_ = cmd.Wait()
	require.NoError(t, ctx.Err(), "%v doesn't end: %s", cmd.Args, &err)
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

func writeFile(t testing.TB, name, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
