package websockify

import (
	"crypto/des"
	"crypto/tls"
	"fmt"
	"io"
	"math/bits"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
)

// echoServer is a program that listens on the port that is its argument, at
// the address that is the next, and echoes. It is Python's, and thus linked
// dynamically.
const echoServer = `
import socket, sys
ln = socket.socket(socket.AF_INET6 if ':' in sys.argv[2] else socket.AF_INET)
if ':' in sys.argv[2]: ln.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
ln.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
ln.bind((sys.argv[2], int(sys.argv[1]))); ln.listen(5)
print('listening', flush=True)
while True:
    c, _ = ln.accept()
    while (b := c.recv(4096)): c.sendall(b)
    c.close()
`

func writeServer(t *testing.T) string {
	return writeFile(t, filepath.Join(t.TempDir(), "server.py"), echoServer)
}

func TestWrapMovesThePort(t *testing.T) {
	t.Parallel()
	server := writeServer(t)
	require.FileExists(t, "/usr/lib/websockify/rebind.so", "apt-get install websockify")
	for _, i := range []implementation{thePython, theGo} {
		addr := freeAddress(t)
		p := i.launch(t, addr, "--", "/usr/bin/python3", server, portOf(addr), "127.0.0.1")
		p.addr = addr
		p.says("Starting '/usr/bin/python3 " + server + " " + portOf(addr) + " 127.0.0.1'")
		p.until("the server", func() bool { return strings.Contains(p.out.String(), "listening") })
		openSession(t, addr, "/").Close()
		p.says("connecting to command: '/usr/bin/python3 " + server)
	}
}

func TestWrapPlaceholder(t *testing.T) {
	t.Parallel()
	p := theGo.launch(t, "LISTEN", "--", "/usr/bin/python3", writeServer(t), "{port}", "127.0.0.1")
	p.until("the server", func() bool { return strings.Contains(p.out.String(), "listening") })
	openSession(t, p.addr, "/").Close()
	pid := childOf(t, p.cmd.Process.Pid)
	assert.Zero(t, p.terminate())
	assert.DirExists(t, "/proc/"+pid, "the program stays")
}

// A client that comes before the wrapped program listens waits for it, for as
// long as that lives.
func TestWrapWaitsForALateProgram(t *testing.T) {
	testenv.Program(t, "python3", "python3")
	t.Parallel()
	dir := t.TempDir()
	server := writeServer(t)
	socket := filepath.Join(dir, "late.sock")
	unix := `import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(5)
while True:
    c, _ = s.accept()
    while (b := c.recv(4096)): c.sendall(b)
`
	unixServer := writeFile(t, filepath.Join(dir, "unix.py"), unix)
	for name, args := range map[string][]string{
		"port":       {"LISTEN", "--", "sh", "-c", "read x <GATE; exec python3 " + server + " {port} 127.0.0.1"},
		"background": {"LISTEN", "--wrap-mode=ignore", "--", "sh", "-c", "(read x <GATE; exec python3 " + server + " {port} 127.0.0.1) &"},
		"socket":     {"LISTEN", "--unix-target", socket, "--", "sh", "-c", "read x <GATE; exec python3 " + unixServer + " " + socket},
	} {
		gate := filepath.Join(dir, name)
		require.NoError(t, syscall.Mkfifo(gate, 0o600))
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "GATE", gate)
		}
		p := theGo.start(t, args...)
		c := dialRaw(t, p.addr).upgrade("/")
		p.says("connecting to command")
		require.NoError(t, os.WriteFile(gate, []byte("go\n"), 0o600)) // waits for the shell to read
		c.send(frame(binFin, "hello"))
		assert.Equal(t, "hello", c.stream(5), name)
	}
}

// It doesn't wait for one that has failed, or listens elsewhere.
func TestWrapDoesNotWaitForNothing(t *testing.T) {
	p := theGo.start(t, "LISTEN", "--handshake-timeout=1h", "--wrap-mode=ignore", "--", "sh", "-c", "exit 3 # {port}")
	p.says("Returned 3")
	assert.Contains(t, dialRaw(t, p.addr).upgrade("/").rest(), "close 1011")
	p = theGo.start(t, "LISTEN", "--handshake-timeout=200ms", "--", "sh", "-c", "sleep 1000 # {port}")
	assert.Contains(t, dialRaw(t, p.addr).upgrade("/").rest(), "close 1011")
	p.says("the wrapped program doesn't listen on 127.0.0.1:")
}

// childOf returns the one child of a process.
func childOf(t *testing.T, pid int) string {
	t.Helper()
	tasks, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	require.NoError(t, err)
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		require.NoError(t, err)
		if f := strings.Fields(string(b)); len(f) > 0 {
			return f[0]
		}
	}
	require.FailNow(t, "no child", "%d", pid)
	return ""
}

func TestWrapSaysWhoTookThePort(t *testing.T) {
	addr := freeAddress(t)
	p := theGo.launch(t, addr, "--", "/usr/bin/python3", writeServer(t), portOf(addr), "::1")
	p.until("the server", func() bool { return strings.Contains(p.out.String(), "listening") })
	assert.Contains(t, dialRaw(t, addr).upgrade("/").rest(), "close 1011")
	p.says("the wrapped program listens on port " + portOf(addr) + " itself")
}

// Who takes the port of a program that is down gets neither a viewer's bytes nor a chance to answer it.
func TestWrapGivesAStrangerNothing(t *testing.T) {
	testenv.Root(t)
	const stranger = `
import os, socket, sys
os.setuid(65534)
ln = socket.socket()
ln.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
ln.bind(('127.0.0.1', int(sys.argv[1]))); ln.listen(5)
print('listening', flush=True)
c, _ = ln.accept()
c.sendall(b'mine')
print(repr(c.recv(4096)), flush=True)
`
	p := theGo.start(t, "LISTEN", "--wrap-mode=ignore", "--target-proxy-protocol=1", "--", "sh", "-c", "echo port {port}")
	p.says("(port ")
	p.until("the program's port", func() bool { return strings.Contains(p.out.String(), "\n") })
	port := strings.TrimSpace(strings.TrimPrefix(p.out.String(), "port"))
	cmd := exec.Command(testenv.Program(t, "python3", "python3"), "-c", stranger, port)
	var out, err text
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &err, "/"
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "listening") }, patience, 5*time.Millisecond, "%s", &err)
	c := dialRaw(t, p.addr).upgrade("/")
	c.send(frame(binFin, "secret"))
	assert.Equal(t, `close 1011 "Failed to connect to downstream server", closed`, c.rest())
	p.says("127.0.0.1:" + port + " is served by a program of uid 65534: somebody else than the wrapped program listens there")
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "b'") || strings.Contains(err.String(), "Reset") }, patience, 5*time.Millisecond)
	assert.NotContains(t, out.String(), "PROXY")
	assert.NotContains(t, out.String(), "secret")
}

func TestWrapWithAUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	require.NoError(t, err)
	serve(t, ln, echo)
	p := theGo.start(t, "LISTEN", "--unix-target", socket, "--wrap-mode=ignore", "--", "true")
	openSession(t, p.addr, "/").Close()
	assert.Zero(t, p.terminate())
}

func TestWrapStatusIsPassedOn(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -KILL $$": 137} {
		p := theGo.launch(t, "LISTEN", "--", "sh", "-c", script+" # {port}")
		assert.Equal(t, want, p.status(), script)
		assert.NotContains(t, p.err.String(), "doesn't listen", "it has ended")
	}
	p := theGo.launch(t, "LISTEN", "--wrap-mode", "respawn", "--", "sh", "-c", "echo run # {port}")
	p.says("Command respawning too fast")
	p.until("three runs", func() bool { return p.out.String() == "run\nrun\nrun\n" })
	assert.Zero(t, p.terminate())
}

func TestTargetTLS(t *testing.T) {
	f := newFixtures(t)
	pair := f.ca.pair("localhost")
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	require.NoError(t, err)
	target := "localhost:" + portOf(serve(t, ln, echo))
	p := theGo.start(t, "LISTEN", target, "--ssl-target", "--ssl-target-cafile", f.ca.file)
	c := openSession(t, p.addr, "/")
	c.Close()
	p.says("connecting to: " + target + " (using SSL)")
	p = theGo.start(t, "LISTEN", target, "--ssl-target", "--ssl-target-insecure")
	openSession(t, p.addr, "/").Close()
	p = theGo.start(t, "LISTEN", target, "--ssl-target")
	assert.Equal(t, `close 1011 "Failed to connect to downstream server", closed`, dialRaw(t, p.addr).upgrade("/").rest())
	p.says("certificate signed by unknown authority")

	// A name that isn't the target's own.
	both := []byte(f.ca.issue("vnc", "vnc.example"))
	if pair, err = tls.X509KeyPair(both, both); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	if ln, err = net.Listen("unix", socket); err != nil {
		t.Fatal(err)
	}
	serve(t, tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}}), echo)
	for name, good := range map[string]bool{"vnc.example": true, "localhost": true, "other.example": false} {
		p = theGo.start(t, "LISTEN", "--unix-target", socket, "--ssl-target", "--ssl-target-cafile", f.ca.file, "--ssl-target-name", name)
		if good {
			openSession(t, p.addr, "/").Close()
			continue
		}
		assert.Contains(t, dialRaw(t, p.addr).upgrade("/").rest(), "close 1011")
		p.says("not other.example")
	}
}

func TestViewOnly(t *testing.T) {
	// An RFB server that counts what it is sent after the handshake.
	got := make(chan string, 1)
	target := serve(t, listenLoopback(t), func(c net.Conn) {
		read := func(n int) []byte {
			b := make([]byte, n)
			_, _ = io.ReadFull(c, b)
			return b
		}
		_, _ = io.WriteString(c, "RFB 003.008\n")
		read(12)
		_, _ = c.Write([]byte{1, 1}) // security: none
		read(1)
		_, _ = c.Write([]byte{0, 0, 0, 0})
		read(1)
		init := append([]byte{0, 2, 0, 2, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 4}, "test"...)
		_, _ = c.Write(init)
		var types []byte
		for {
			t := read(1)[0]
			types = append(types, t)
			switch rfb.ClientMessageType(t) {
			case rfb.ClientSetPixelFormat:
				read(19)
			case rfb.ClientSetEncodings:
				head := read(3)
				read(4 * (int(head[1])<<8 | int(head[2])))
			case rfb.ClientFramebufferUpdateRequest:
				read(9)
				got <- string(types)
				return
			default:
				got <- string(types)
				return
			}
		}
	})
	p := theGo.start(t, "LISTEN", target, "--view-only")
	p.says("View only")
	c := dialRaw(t, p.addr).upgrade("/")
	send := func(b ...byte) { c.send(frame(binFin, string(b))) }
	assert.Equal(t, "RFB 003.008\n", c.stream(12))
	c.send(frame(binFin, "RFB 003.008\n"))
	assert.Equal(t, "\x01\x01", c.stream(2))
	send(1)
	assert.Equal(t, "\x00\x00\x00\x00", c.stream(4))
	send(1)
	c.stream(28)
	send(5, 1, 0, 1, 0, 1)             // a click
	send(4, 1, 0, 0, 0, 0, 0, 'a')     // a key
	send(2, 0, 0, 1, 0, 0, 0, 0)       // encodings: raw
	send(3, 0, 0, 0, 0, 0, 0, 2, 0, 2) // an update, please
	types := <-got
	assert.NotContains(t, types, "\x04")
	assert.NotContains(t, types, "\x05")
	assert.Contains(t, types, "\x03")
}

// --view-only in front of a server with a password: from a file, from the token plugin's answer, or
// asked of the viewer.
func TestViewOnlyWithAPassword(t *testing.T) {
	server := &rfb.Server{Password: "secret", Init: rfb.ServerInit{Width: 2, Height: 2, Name: "vault",
		Format: rfb.PixelFormat{BitsPerPixel: 32, Depth: 24, TrueColor: true, RedMax: 255, GreenMax: 255, BlueMax: 255, RedShift: 16, GreenShift: 8}}}
	target := serve(t, listenLoopback(t), func(c net.Conn) {
		if _, err := server.Accept(t.Context(), c); err == nil {
			_, _ = io.Copy(io.Discard, c)
		}
	})
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("secret\n"), 0o600))
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		host, port, _ := net.SplitHostPort(target)
		fmt.Fprintf(w, `{"host": %q, "port": %s, "password": "secret"}`, host, port)
	}))
	defer api.Close()

	start := func(args ...string) *client {
		p := theGo.start(t, append([]string{"LISTEN"}, args...)...)
		c := dialRaw(t, p.addr).upgrade("/?token=a")
		assert.Equal(t, "RFB 003.008\n", c.stream(12))
		c.send(frame(binFin, "RFB 003.008\n"))
		return c
	}
	shown := func(c *client) {
		c.send(frame(binFin, "\x01"))
		assert.Contains(t, c.stream(24+5), "vault")
	}
	for name, args := range map[string][]string{
		"file":   {target, "--view-only", "--target-password-file", file},
		"plugin": {"--view-only", "--token-plugin", "JSONTokenApi", "--token-source", api.URL + "/%s"},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(args...)
			assert.Equal(t, "\x01\x01", c.stream(2), "nobody is asked")
			c.send(frame(binFin, "\x01"))
			assert.Equal(t, "\x00\x00\x00\x00", c.stream(4))
			shown(c)
		})
	}
	t.Run("viewer", func(t *testing.T) {
		c := start(target, "--view-only")
		assert.Equal(t, "\x01\x02", c.stream(2), "the viewer is asked")
		c.send(frame(binFin, "\x02"))
		challenge := c.stream(16)
		key := make([]byte, 8)
		for i, b := range []byte("secret") {
			key[i] = bits.Reverse8(b)
		}
		block, err := des.NewCipher(key)
		require.NoError(t, err)
		response := make([]byte, 16)
		block.Encrypt(response, []byte(challenge))
		block.Encrypt(response[8:], []byte(challenge)[8:])
		c.send(frame(binFin, string(response)))
		assert.Equal(t, "\x00\x00\x00\x00", c.stream(4))
		shown(c)
	})
	t.Run("viewer guesses", func(t *testing.T) {
		c := start(target, "--view-only")
		c.stream(2)
		c.send(frame(binFin, "\x02"))
		c.stream(16)
		c.send(frame(binFin, "0123456789abcdef"))
		assert.Equal(t, "\x00\x00\x00\x01", c.stream(4))
	})
}
