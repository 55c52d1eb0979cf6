package websockify

import (
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/version"
)

func TestHelp(t *testing.T) {
	status, stdout, stderr := run(t, theGo.command(t, "--help"))
	assert.Zero(t, status)
	assert.Empty(t, stderr)
	for _, o := range new(options).parser("").Options {
		assert.Contains(t, stdout, "--"+o.Long)
	}
	assert.Contains(t, stdout, "Usage: \n    websockify [options] [source_addr:]source_port [target_addr:target_port]\n")
}

func TestVersionOption(t *testing.T) {
	for _, args := range [][]string{{"--version"}, {"--vers", "6080"}, {"6080", "h:1", "--version"}} {
		status, stdout, _ := run(t, theGo.command(t, args...))
		assert.Zero(t, status)
		assert.Equal(t, "websockify "+version.String()+"\n", stdout)
	}
}

// A view of a still screen gets pings, unless somebody says otherwise.
func TestHeartbeatOfViews(t *testing.T) {
	for line, want := range map[string]time.Duration{
		"6080 h:1": 0, "--view-only 6080 h:1": 30 * time.Second, "--view-only --heartbeat 0 6080 h:1": 0, "--heartbeat=7 6080 h:1 --view-only": 7 * time.Second,
	} {
		o, err := parseOptions(strings.Fields(line), false)
		require.NoError(t, err)
		h := (&server{o: o}).makeProxy()
		if want == 0 {
			want = -1
		}
		assert.Equal(t, want, h.PingInterval, line)
	}
}

// What can't start says why, with the exit status of the Python program.
func TestFailuresToStart(t *testing.T) {
	taken := listenLoopback(t)
	defer taken.Close()
	dir := t.TempDir()
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"--nope", 2, "websockify: error: no such option: --nope"},
		{"6080 h", 2, "websockify: error: Error parsing target"},
		{"99999 h:1", 2, "listen port 99999 is not between 0 and 65535"},
		{"--ssl-target-insecure 6080 h:1", 2, "You must use --ssl-target"},
		{"--ssl-target-name vnc 6080 h:1", 2, "You must use --ssl-target or --view-only to use --ssl-target-name"},
		{"--ssl-target --ssl-target-name vnc --ssl-target-insecure 6080 h:1", 2, "You can't use both --ssl-target-name and --ssl-target-insecure"},
		{"--ssl-target --ssl-target-cafile c --ssl-target-insecure 6080 h:1", 2, "You can't use both --ssl-target-cafile and --ssl-target-insecure"},
		{"--unix-listen-mode 9 --unix-listen x h:1", 2, "Error parsing unix-listen-mode"},
		{taken.Addr().String() + " h:1", 1, "address already in use"},
		{"no-such-host.invalid:6080 h:1", 1, "no-such-host.invalid"},
		{"--web /nonexistent 6080 h:1", 1, "/nonexistent"},
		{"--token-plugin Nope 6080", 1, "no such plugin"},
		{"--auth-plugin Nope 6080 h:1", 1, "no such plugin"},
		{"--log-file /nonexistent/log 6080 h:1", 1, "/nonexistent/log"},
		{"--metrics " + taken.Addr().String() + " 127.0.0.1:0 h:1", 1, "metrics"},
		{"--metrics 9090x 127.0.0.1:0 h:1", 2, "Error parsing metrics port"},
		{"--metrics :99999 127.0.0.1:0 h:1", 2, "metrics port 99999 is not between 0 and 65535"},
		{"--origin a.example,[b 6080 h:1", 2, `--origin: "[b" isn't a pattern`},
		{"--auth-plugin BasicHTTPAuth 6080 h:1", 1, "BasicHTTPAuth needs --auth-source=user:password"},
		{"--ssl-ciphers NOPE 6080 h:1", 1, "cipher"},
		{"--ssl-target --ssl-target-cafile /nonexistent 6080 h:1", 1, "/nonexistent"},
		{"127.0.0.1:0 -- no-such-program {port}", 1, "no-such-program"},
		{"127.0.0.1:0 -- sh", 1, "Write {port} in the command"},
		{"--unix-listen " + dir + " h:1", 1, "isn't a socket"},
		{"--inetd h:1", 1, "standard input isn't a socket"},
	} {
		status, _, stderr := run(t, theGo.command(t, strings.Fields(c.args)...))
		assert.Equal(t, c.status, status, c.args)
		assert.Contains(t, stderr, c.says, c.args)
	}
}

// openSession opens a WebSocket and sees that it works.
func openSession(t *testing.T, addr, path string) *client {
	t.Helper()
	c := dialRaw(t, addr).upgrade(path)
	c.send(frame(binFin, "hello"))
	require.Equal(t, "hello", c.stream(5))
	return c
}

func TestSignalEndsEverything(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := theGo.start(t, "LISTEN", echoTarget(t))
		c := openSession(t, p.addr, "/")
		silent := dialRaw(t, p.addr) // half a connection doesn't hold it up
		silent.send("GET / HT")
		require.NoError(t, p.cmd.Process.Signal(signal))
		assert.Equal(t, `close 1001 "going away", closed`, c.rest())
		assert.Zero(t, p.status())
		assert.Contains(t, p.err.String(), "session ended by the server")
		assert.Contains(t, p.err.String(), "code 1001 going away, 5 bytes to the client, 5 from it")
		assert.NotContains(t, p.err.String(), "DATA RACE")
	}
}

func TestLostClientInTheLog(t *testing.T) {
	p := theGo.start(t, "LISTEN", echoTarget(t))
	openSession(t, p.addr, "/").Close()
	p.says("code 1006, 5 bytes to the client, 5 from it (connection to the viewer lost: ")
}

func TestDrain(t *testing.T) {
	t.Parallel()
	p := theGo.start(t, "LISTEN", echoTarget(t), "--drain=1h")
	c, d := openSession(t, p.addr, "/"), openSession(t, p.addr, "/")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.until("the port to close", func() bool {
		nc, err := netDial(p.addr)
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	c.send(frame(binFin, "still here"))
	assert.Equal(t, "still here", c.stream(10))
	c.send(bye)
	assert.Equal(t, `close 1000 "bye", closed`, c.rest())
	assert.False(t, p.ended())
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM)) // enough
	assert.Equal(t, `close 1001 "going away", closed`, d.rest())
	assert.Zero(t, p.status())
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	echo := echoTarget(t)
	assert.Zero(t, theGo.launch(t, "LISTEN", echo, "--timeout", "-5").status(), "over before it began")
	assert.Zero(t, theGo.launch(t, "LISTEN", echo, "--idle-timeout", "100ms").status())

	p := theGo.start(t, "LISTEN", echo, "--timeout", "1s", "--session-idle-timeout", "30s")
	c := openSession(t, p.addr, "/")
	p.says("listener exit due to --timeout 1")
	c.send(frame(binFin, "still here"))
	assert.Equal(t, "still here", c.stream(10))
	c.send(bye)
	c.rest()
	assert.Zero(t, p.status())

	p = theGo.start(t, "LISTEN", echo, "--session-timeout=200ms", "--idle-timeout=1s")
	assert.Equal(t, `close 1001 "session timeout", closed`, openSession(t, p.addr, "/").rest())
	p.says("code 1001 session timeout, 5 bytes to the client, 5 from it\n")
	assert.Zero(t, p.status())
	p = theGo.start(t, "LISTEN", echo, "--session-idle-timeout=200ms")
	assert.Equal(t, `close 1001 "session idle", closed`, openSession(t, p.addr, "/").rest())

	p = theGo.start(t, "LISTEN", echo, "--handshake-timeout=200ms")
	half := dialRaw(t, p.addr)
	half.send("GET / HTTP/1.1\r\nHost:")
	_, err := io.ReadAll(half)
	assert.NoError(t, err, "half a request has an end")
}

// Pings come as often as they were asked for, though nobody answers.
func TestHeartbeat(t *testing.T) {
	p := theGo.start(t, "LISTEN", echoTarget(t), "--heartbeat=100ms")
	c := openSession(t, p.addr, "/")
	for range 5 {
		first, _, err := c.readFrame()
		require.NoError(t, err)
		assert.EqualValues(t, pingFin, first)
	}
}

func TestMaxConnections(t *testing.T) {
	p := theGo.start(t, "LISTEN", echoTarget(t), "--max-connections", "2")
	first := openSession(t, p.addr, "/")
	openSession(t, p.addr, "/")
	assert.Equal(t, `close 1013 "too many sessions", closed`, dialRaw(t, p.addr).upgrade("/").rest())
	first.send(bye)
	first.rest()
	p.says("session ended by the client")
	openSession(t, p.addr, "/")
}

func TestRunOnce(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "f"), "file")
	p := theGo.start(t, "LISTEN", echoTarget(t), "--run-once", "--web", dir)
	for range 2 {
		assert.Equal(t, "200", status(get("/f"))(dialRaw(t, p.addr)))
	}
	c := openSession(t, p.addr, "/")
	assert.Equal(t, "503", status(request("/"))(dialRaw(t, p.addr)))
	c.send(bye)
	c.rest()
	assert.Zero(t, p.status())
	p.says("127.0.0.1: exiting due to --run-once")
}

// Who is turned away doesn't use up the one session.
func TestRunOnceWaitsForASession(t *testing.T) {
	p := theGo.start(t, "LISTEN", echoTarget(t), "--run-once", "--origin", "same")
	assert.Contains(t, dialRaw(t, p.addr).upgrade("/", "Origin: http://evil.example").rest(), "close 1008")
	c := openSession(t, p.addr, "/")
	assert.Equal(t, "503", status(request("/"))(dialRaw(t, p.addr)))
	c.send(bye)
	c.rest()
	assert.Zero(t, p.status())
}

func TestOriginOption(t *testing.T) {
	p := theGo.start(t, "LISTEN", echoTarget(t), "--origin", "good.example,*.corp:8080")
	for origin, ok := range map[string]bool{"http://localhost": true, "https://good.example": true, "http://a.corp:8080": true, "http://a.corp": false, "http://evil.example": false, "null": false} {
		c := dialRaw(t, p.addr).upgrade("/", "Origin: "+origin)
		c.send(frame(binFin, end))
		got := c.rest()
		assert.Equal(t, ok, strings.HasPrefix(got, "close 1000"), "%s: %s", origin, got)
		assert.Equal(t, !ok, strings.HasPrefix(got, "close 1008"), "%s: %s", origin, got)
	}
	p.says("\n127.0.0.1: client turned away: origin \"null\" not allowed\n")
	// Versions 7 and 8 have another header for it.
	c := dialRaw(t, p.addr)
	c.send(strings.Replace(request("/", "Sec-WebSocket-Origin: http://evil.example"), "Version: 13", "Version: 8", 1))
	c.reply()
	assert.Contains(t, c.rest(), "close 1008")
}

// Both programs take the short forms of addresses for a target, too.
func TestShortTarget(t *testing.T) {
	port := portOf(echoTarget(t))
	for _, i := range []implementation{thePython, theGo} {
		for _, host := range []string{"127.1", "0"} {
			p := i.start(t, "LISTEN", host+":"+port)
			openSession(t, p.addr, "/").Close()
		}
	}
}
