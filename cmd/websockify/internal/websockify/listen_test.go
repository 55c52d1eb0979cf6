package websockify

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUnixListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sock")
	old, err := net.Listen("unix", path)
	require.NoError(t, err)
	args := []string{"--unix-listen", path, "--unix-listen-mode", "640", echoTarget(t), "--record", filepath.Join(dir, "rec")}
	status, _, stderr := run(t, theGo.command(t, args...))
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "another program listens on")
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	old.Close()

	p := theGo.start(t, args...)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640)|os.ModeSocket, info.Mode())
	for range 2 {
		nc, err := net.Dial("unix", path)
		require.NoError(t, err)
		c := newClient(t, nc).upgrade("/")
		c.send(frame(binFin, end))
		assert.Equal(t, `close 1000 "bye", closed`, c.rest())
	}
	p.until("two ends", func() bool { return strings.Count(p.err.String(), "session ended") == 2 })
	assert.FileExists(t, filepath.Join(dir, "rec.2"))
	assert.Zero(t, p.terminate())
	assert.NoFileExists(t, path)
}

func TestPortZeroIsLogged(t *testing.T) {
	p := theGo.start(t, "127.0.0.1:0", echoTarget(t))
	p.says("the port is ")
	addr := regexp.MustCompile(`the port is (\S+)`).FindStringSubmatch(p.err.String())[1]
	openSession(t, addr, "/")
}

func TestIPv6(t *testing.T) {
	if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Fatalf("this machine has no IPv6 on loopback: %v", err)
	} else {
		ln.Close()
	}
	six, err := net.Listen("tcp6", "[::1]:0")
	require.NoError(t, err)
	target := serve(t, six, echo)
	both, four := []string{"127.0.0.1", "[::1]"}, []string{"127.0.0.1"}
	for args, hosts := range map[string][]string{
		"PORT": four, ":PORT": four, "-6 PORT": both, "[::]:PORT": both, "::1:PORT": {"[::1]"},
		"0.0.0.0:PORT": four, "-6 0.0.0.0:PORT": four, "0:PORT": four, "127.1:PORT": four, "0x7f.0.01:PORT": four, "2130706433:PORT": four,
		"::ffff:127.0.0.1:PORT": four,
	} {
		for _, i := range []implementation{thePython, theGo} {
			port := portOf(freeAddress(t))
			p := i.start(t, append(strings.Fields(strings.ReplaceAll(args, "PORT", port)), target)...)
			var open []string
			for _, host := range both {
				nc, err := netDial(host + ":" + port)
				if err != nil {
					continue
				}
				nc.Close()
				open = append(open, host)
				openSession(t, host+":"+port, "/").Close()
			}
			assert.Equal(t, hosts, open, "%v with %s", i, args)
			p.terminate()
		}
	}
}

func TestInetd(t *testing.T) {
	target := echoTarget(t)
	ln := listenLoopback(t)
	defer ln.Close()
	file, err := ln.(*net.TCPListener).File()
	require.NoError(t, err)
	defer file.Close()
	p := theGo.launchIn(t, "", func(cmd *exec.Cmd) { cmd.Stdin = file }, "--inetd", target)
	p.says("proxying from inetd")
	openSession(t, ln.Addr().String(), "/").Close()
	assert.Zero(t, p.terminate())

	// One connection: the program ends with it.
	for _, how := range []string{"session", "request", "nothing"} {
		nc, err := netDial(ln.Addr().String())
		require.NoError(t, err)
		accepted, err := ln.Accept()
		require.NoError(t, err)
		connFile, err := accepted.(*net.TCPConn).File()
		require.NoError(t, err)
		p = theGo.launchIn(t, "", func(cmd *exec.Cmd) { cmd.Stdin = connFile }, "--inetd", target)
		connFile.Close()
		accepted.Close()
		c := newClient(t, nc)
		switch how {
		case "session":
			c.upgrade("/").send(frame(binFin, end))
			assert.Equal(t, `close 1000 "bye", closed`, c.rest())
		case "request":
			assert.Equal(t, "405", status(get("/"))(c))
		}
		c.Close()
		assert.Zero(t, p.status(), how)
	}
}

// activate has systemd's socket passed to a program (sd_listen_fds(3)).
func activate(file *os.File) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.ExtraFiles = []*os.File{file}
		// LISTEN_PID has to be the process's own: a shell knows it.
		cmd.Args = append([]string{"sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
	}
}

func TestSystemdActivation(t *testing.T) {
	target := echoTarget(t)
	for _, args := range []string{target, "6080 " + target} {
		ln := listenLoopback(t)
		file, err := ln.(*net.TCPListener).File()
		require.NoError(t, err)
		p := theGo.launchIn(t, "", activate(file), strings.Fields(args)...)
		p.says("proxying from systemd to " + target)
		openSession(t, ln.Addr().String(), "/").Close()
		assert.Zero(t, p.terminate())
		file.Close()
		ln.Close()
	}
}

// A unit of Type=forking may have a socket unit, too.
func TestSystemdActivatesADaemon(t *testing.T) {
	ln := listenLoopback(t)
	file, err := ln.(*net.TCPListener).File()
	require.NoError(t, err)
	log := filepath.Join(t.TempDir(), "log")
	cmd := theGo.command(t, "-D", "--log-file", log, echoTarget(t))
	activate(file)(cmd)
	status, _, stderr := run(t, cmd)
	require.Zero(t, status, stderr)
	assert.Contains(t, stderr, "proxying from systemd")
	addr := ln.Addr().String()
	file.Close()
	ln.Close()
	openSession(t, addr, "/").Close()
	pid := daemonOn(t, addr)
	require.NoError(t, syscall.Kill(pid, syscall.SIGTERM))
	(&process{t: t, cmd: cmd, err: &text{}, done: make(chan struct{})}).until("the daemon to end", func() bool {
		return syscall.Kill(pid, 0) != nil
	})
}

func TestDaemon(t *testing.T) {
	dir := t.TempDir()
	tokens := "tokens"
	writeFile(t, filepath.Join(dir, tokens), "a: "+echoTarget(t)+"\n")
	addr := freeAddress(t)
	cmd := theGo.command(t, "-D", addr, "--token-plugin=TokenFile", "--token-source=tokens", "--log-file=log", "--record=rec")
	cmd.Dir = dir
	status, _, stderr := run(t, cmd)
	require.Zero(t, status, stderr)
	assert.Contains(t, stderr, "  - Backgrounding (daemon)\n")
	assert.Contains(t, stderr, "proxying from")
	c := openSession(t, addr, "/?token=a")
	c.send(bye)
	c.rest()

	pid := daemonOn(t, addr)
	assert.NotEqual(t, cmd.Process.Pid, pid)
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	require.NoError(t, err)
	assert.Equal(t, "/", cwd)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(pid), strings.Fields(string(stat))[5], "a session of its own")
	for fd := range 3 {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
		require.NoError(t, err)
		assert.Equal(t, "/dev/null", to)
	}
	assert.FileExists(t, filepath.Join(dir, "rec.1"))
	daemon := &process{t: t, cmd: cmd, err: &text{}, done: make(chan struct{})}
	require.NoError(t, os.Rename(filepath.Join(dir, "log"), filepath.Join(dir, "log.1")))
	require.NoError(t, syscall.Kill(pid, syscall.SIGHUP))
	daemon.until("a new log", func() bool {
		_, err := os.Stat(filepath.Join(dir, "log"))
		return err == nil
	})
	c = openSession(t, addr, "/?token=a")
	c.send(bye)
	c.rest()
	require.NoError(t, syscall.Kill(pid, syscall.SIGTERM))
	daemon.until("the daemon to end", func() bool {
		b, _ := os.ReadFile(filepath.Join(dir, "log"))
		return strings.Contains(string(b), "In exit") && syscall.Kill(pid, 0) != nil
	})
	// It can't start, and the command says so.
	taken := listenLoopback(t)
	defer taken.Close()
	status, _, stderr = run(t, theGo.command(t, "-D", "127.0.0.1:0", "h:1", "--metrics", taken.Addr().String()))
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "metrics")
}

// daemonOn returns the process that listens on an address.
func daemonOn(t *testing.T, addr string) int {
	t.Helper()
	port, err := strconv.Atoi(portOf(addr))
	require.NoError(t, err)
	inode := ""
	for _, table := range []string{"/proc/net/tcp"} {
		f, err := os.Open(table)
		require.NoError(t, err)
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			fields := strings.Fields(s.Text())
			if fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				inode = fields[9]
			}
		}
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	require.NoError(t, err)
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == "socket:["+inode+"]" {
			pid, err := strconv.Atoi(strings.Split(fd, "/")[2])
			require.NoError(t, err)
			return pid
		}
	}
	require.FailNow(t, "nobody listens", addr)
	return 0
}
