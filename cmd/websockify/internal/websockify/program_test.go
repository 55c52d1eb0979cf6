package websockify

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

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

func TestNoTokenInTheLog(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "tokens"), "s3cret: "+echoTarget(t)+"\n")
	p := theGo.start(t, "-v", "LISTEN", "--token-plugin", "TokenFile", "--token-source", file)
	openSession(t, p.addr, "/?a=b&token=s3cret").Close()
	assert.Equal(t, "403", status(request("/?token=0ther"))(dialRaw(t, p.addr)))
	p.says("not found")
	assert.Zero(t, p.terminate())
	log := p.err.String()
	assert.NotContains(t, log, "s3cret")
	assert.NotContains(t, log, "0ther")
	assert.Contains(t, log, "Path: '/?a=b&token=sha256:")
	assert.Contains(t, log, "connecting to: 127.0.0.1:")
}

// With -v an upgrade is in the access log when its session begins, as a file is.
func TestVerboseLogsUpgrades(t *testing.T) {
	for _, i := range []implementation{thePython, theGo} {
		p := i.start(t, "-v", "LISTEN", echoTarget(t))
		openSession(t, p.addr, "/p?a=b")
		p.says(`"GET /p?a=b HTTP/1.1" 101 -`)
		p.says(": Path: '/p?a=b'")
		before, _, _ := strings.Cut(p.err.String(), "WebSocket connection")
		assert.Contains(t, before, `"GET /p?a=b HTTP/1.1" 101 -`, "%v", i)
	}
}

// A session that can't be recorded is refused, and isn't the one of --run-once.
func TestRecordingFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	p := theGo.start(t, "-v", "LISTEN", echoTarget(t), "--run-once", "--record", filepath.Join(dir, "rec"))
	assert.Equal(t, "500", status(request("/"))(dialRaw(t, p.addr)))
	assert.NotContains(t, p.err.String(), "WebSocket connection")
	require.NoError(t, os.Mkdir(dir, 0o700))
	openSession(t, p.addr, "/").Close()
	assert.Zero(t, p.status())
}

func TestJSONLog(t *testing.T) {
	echo := echoTarget(t)
	p := theGo.start(t, "--log-format=json", "LISTEN", echo)
	c := openSession(t, p.addr, "/x")
	c.send(frame(closeFin, closing(4001, "because")))
	c.rest()
	p.terminate()
	var last map[string]any
	for line := range strings.Lines(p.err.String()) {
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		require.NotEmpty(t, entry["time"])
		if entry["code"] != nil {
			last = entry
		}
	}
	assert.Equal(t, "127.0.0.1", last["remote"])
	assert.Equal(t, echo, last["target"])
	assert.Equal(t, "client", last["by"])
	assert.EqualValues(t, 4001, last["code"])
	assert.Equal(t, "because", last["reason"])
	assert.EqualValues(t, 5, last["sent"])
	assert.EqualValues(t, 5, last["received"])
}

func TestLogFileAndSyslog(t *testing.T) {
	dir := t.TempDir()
	server, err := net.ListenPacket("unixgram", filepath.Join(dir, "log"))
	require.NoError(t, err)
	defer server.Close()
	file := filepath.Join(dir, "file")
	p := theGo.launchIn(t, dir, nil, "LISTEN", echoTarget(t), "--syslog", "log", "--log-file", "file")
	p.says("proxying from")
	p.terminate()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, p.err.String(), string(b))
	message := make([]byte, 1024)
	n, _, err := server.ReadFrom(message)
	require.NoError(t, err)
	assert.Regexp(t, `^<14>1 \S+ \S+ websockify `+strconv.Itoa(p.cmd.Process.Pid)+` - - WebSocket server settings:$`, string(message[:n]))

	p = theGo.start(t, "LISTEN", echoTarget(t), "--syslog", filepath.Join(dir, "gone"))
	assert.Equal(t, 1, strings.Count(p.err.String(), "messages for syslog are lost"), "said once, and it goes on")
}

// What was named and isn't there is said at the start, though it may still come.
func TestMissingFilesAreWarnedOf(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone")
	empty := writeFile(t, filepath.Join(dir, "empty"), "")
	for _, c := range []struct{ args, says string }{
		{"LISTEN h:1 --cert " + gone, "--cert " + gone + " isn't there"},
		{"LISTEN h:1 --cert " + empty, "TLS connections will fail: "},
		{"LISTEN --token-plugin TokenFile --token-source " + gone, "--token-source: stat " + gone + ": no such file"},
		{"LISTEN --target-config " + gone, "--token-source: stat " + gone + ": no such file"},
		{"LISTEN --token-plugin JWTTokenApi --token-source " + gone, "--token-source: open " + gone + ": no such file"},
		{"LISTEN --token-plugin UnixDomainSocketDirectory --token-source " + gone, "--token-source: open " + gone + ": no such file"},
		{"LISTEN h:1 --record " + gone + "/rec", "--record: stat " + gone},
		{"LISTEN --unix-target " + gone, "--unix-target: stat " + gone},
	} {
		p := theGo.start(t, strings.Fields(c.args)...)
		assert.Contains(t, p.err.String(), c.says, c.args)
		assert.Zero(t, p.terminate())
	}
	for _, args := range []string{"LISTEN h:1", "LISTEN --token-plugin TokenFile --token-source " + empty, "LISTEN --token-plugin BaseTokenAPI --token-source http://127.0.0.1/%s"} {
		p := theGo.start(t, strings.Fields(args)...)
		assert.NotContains(t, p.err.String(), "--cert", args)
		assert.NotContains(t, p.err.String(), "--token-source", args)
		assert.Zero(t, p.terminate())
	}
}

// logrotate moves the file away and sends SIGHUP: the log goes on in a new file
// and no line is lost. A session goes on, too.
func TestHangupOpensTheLogAnew(t *testing.T) {
	dir := t.TempDir()
	file, moved := filepath.Join(dir, "log"), filepath.Join(dir, "log.1")
	p := theGo.start(t, "LISTEN", echoTarget(t), "--log-file", file)
	c := openSession(t, p.addr, "/before")
	require.NoError(t, os.Rename(file, moved))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	p.says("log file opened anew")
	c.send(frame(binFin, "still here"))
	assert.Equal(t, "still here", c.stream(10))
	openSession(t, p.addr, "/after").Close()
	p.says("Path: '/after'")

	require.NoError(t, os.Rename(file, filepath.Join(dir, "log.2")))
	require.NoError(t, os.Mkdir(file, 0o700)) // can't be opened
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	p.says("the log goes on in the old file")
	assert.Zero(t, p.terminate())
	old, err := os.ReadFile(moved)
	require.NoError(t, err)
	fresh, err := os.ReadFile(filepath.Join(dir, "log.2"))
	require.NoError(t, err)
	assert.Contains(t, string(old), "Path: '/before'")
	assert.Contains(t, string(fresh), "Path: '/after'")
	assert.Contains(t, string(fresh), "In exit")
	assert.Equal(t, p.err.String(), string(old)+string(fresh))
}

// Without a file it is for nothing, and a daemon and a service go on.
func TestHangupEndsNothing(t *testing.T) {
	p := theGo.start(t, "LISTEN", echoTarget(t))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	p.says("SIGHUP")
	openSession(t, p.addr, "/").Close()
	assert.Zero(t, p.terminate())
}

// A program in a terminal ends with it.
func TestHangupOfATerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer master.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	p := theGo.launchIn(t, "", func(cmd *exec.Cmd) { cmd.Stderr = terminal }, "LISTEN", echoTarget(t))
	terminal.Close()
	waitForPort(t, p.addr)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	p.status()
	assert.Equal(t, syscall.SIGHUP, p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

func TestNobodyReadsTheLog(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	p := theGo.launchIn(t, "", func(cmd *exec.Cmd) { cmd.Stderr = write }, "LISTEN", echoTarget(t))
	write.Close()
	_, err = read.Read(make([]byte, 1))
	require.NoError(t, err)
	read.Close()
	waitForPort(t, p.addr)
	openSession(t, p.addr, "/").Close()
	openSession(t, p.addr, "/").Close()
	assert.Zero(t, p.terminate())
}

func TestMetrics(t *testing.T) {
	p := theGo.start(t, "LISTEN", echoTarget(t), "--metrics", "127.0.0.1:0")
	url := regexp.MustCompile(`metrics at (http\S+)`).FindStringSubmatch(p.err.String())[1]
	read := func() string {
		r, err := http.Get(url)
		require.NoError(t, err)
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return string(b)
	}
	c := openSession(t, p.addr, "/")
	status(get("/"))(dialRaw(t, p.addr))
	assert.Contains(t, read(), "\nwebsockify_sessions 1\n")
	assert.Contains(t, read(), `websockify_build_info{version="`)
	c.send(bye)
	c.rest()
	p.says("session ended")
	got := read()
	for _, line := range []string{`websockify_sessions 0`, `websockify_sessions_total{code="1000"} 1`, `websockify_bytes_total{direction="to_client"} 5`,
		`websockify_http_requests_total 1`, `websockify_connect_duration_seconds_count{result="connected"} 1`, `websockify_session_duration_seconds_count 1`} {
		assert.Contains(t, got, "\n"+line+"\n")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestTraffic(t *testing.T) {
	p := theGo.start(t, "LISTEN", echoTarget(t), "--traffic")
	c := openSession(t, p.addr, "/")
	c.send(bye)
	c.rest()
	p.until("all marks", func() bool {
		_, marks, _ := strings.Cut(p.out.String(), "Client send\n")
		return strings.Contains(marks, "}") && strings.Contains(marks, ">") && strings.Contains(marks, "{") && strings.Contains(marks, "<")
	})
	assert.Contains(t, p.out.String(), "Traffic Legend:")
}

// Both programs record the same of the same session.
func TestRecordingsAreTheSame(t *testing.T) {
	target := serve(t, listenLoopback(t), func(c net.Conn) {
		_, _ = io.WriteString(c, "RFB 003.008\n\x00'\\\"\xff\t\r")
		b := make([]byte, 4)
		_, _ = io.ReadFull(c, b)
		_, _ = io.WriteString(c, "end")
		_, _ = c.Read(b)
	})
	var recordings [2]string
	for _, i := range []implementation{thePython, theGo} {
		dir := t.TempDir()
		p := i.launchIn(t, dir, nil, "LISTEN", target, "--record", "rec")
		p.says("proxying from")
		c := dialRaw(t, p.addr).upgrade("/")
		c.stream(19)
		c.send(frame(binFin, "\x00a'b"))
		c.stream(3)
		c.send(bye)
		c.rest()
		var b []byte
		p.until("the recording", func() bool {
			b, _ = os.ReadFile(filepath.Join(dir, "rec.1"))
			return strings.HasSuffix(string(b), "'EOF'];\n")
		})
		recordings[i] = regexp.MustCompile(`'([{}])\d+([{}])`).ReplaceAllString(string(b), "'${1}0${2}")
		p.says("opening record file: " + dir + "/rec.1")
	}
	assert.Equal(t, recordings[thePython], recordings[theGo])
}

// A connection that sends nothing counts there, and not here.
func TestRecordNumbers(t *testing.T) {
	for i, number := range map[implementation]string{thePython: "2", theGo: "1"} {
		dir := t.TempDir()
		p := i.launchIn(t, dir, nil, "LISTEN", echoTarget(t), "--record", "rec")
		p.says("proxying from")
		dialRaw(t, p.addr).Close()
		openSession(t, p.addr, "/")
		p.says("opening record file: " + dir + "/rec." + number)
	}
}

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

// --metrics listens on what it names and on nothing else.
func TestMetricsAddress(t *testing.T) {
	for given, address := range map[string]string{"0.0.0.0:0": "0.0.0.0", "0:0": "0.0.0.0", ":0": "0.0.0.0", "[::]:0": "[::]", "[::1]:0": "[::1]"} {
		p := theGo.start(t, "LISTEN", echoTarget(t), "--metrics", given)
		assert.Contains(t, p.err.String(), "metrics at http://"+address+":", given)
	}
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
