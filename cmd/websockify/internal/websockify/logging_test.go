package websockify

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/testenv"
)

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
	assert.Equal(t, `close 1011 "the session can't be recorded", closed`, dialRaw(t, p.addr).upgrade("/").rest())
	require.NoError(t, os.Mkdir(dir, 0o700))
	openSession(t, p.addr, "/").Close()
	assert.Zero(t, p.status())
}

// Who isn't let in replaces nobody's recording: a program that was started anew begins with the same numbers.
func TestRefusedClientsRecordNothing(t *testing.T) {
	dir := t.TempDir()
	before := writeFile(t, filepath.Join(dir, "rec.1"), "of the run before")
	p := theGo.start(t, "LISTEN", echoTarget(t), "--record", filepath.Join(dir, "rec"), "--origin", "https://a.example")
	assert.Contains(t, dialRaw(t, p.addr).upgrade("/", "Origin: https://b.example").rest(), "close 1008")
	kept, err := os.ReadFile(before)
	require.NoError(t, err)
	assert.Equal(t, "of the run before", string(kept))
	openSession(t, p.addr, "/").Close()
	p.says("opening record file: " + filepath.Join(dir, "rec.2"))
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
	p.says("messages for syslog are lost")
	p.terminate()
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
	p.says("log file reopened")
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

// Under load, too: each line is in one of the files, in the order in which they were logged.
func TestHangupUnderLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	p := theGo.start(t, "LISTEN", echoTarget(t), "--log-file", file)
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for range 25 {
				conn, err := net.Dial("tcp", p.addr)
				if !assert.NoError(t, err) {
					return
				}
				_, _ = io.WriteString(conn, "GET /load HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
					"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: binary\r\n\r\n")
				_, err = io.ReadFull(conn, make([]byte, 1))
				assert.NoError(t, err)
				conn.Close()
			}
		})
	}
	var files []string
	for i := range 20 {
		if i%5 == 4 { // with nothing moved away
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
			continue
		}
		old := fmt.Sprintf("%s.%d", file, i)
		require.NoError(t, os.Rename(file, old))
		files = append(files, old)
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
		require.Eventually(t, func() bool { _, err := os.Stat(file); return err == nil }, 5*time.Minute, time.Millisecond)
	}
	load.Wait()
	assert.Zero(t, p.terminate())
	var logged strings.Builder
	for _, name := range append(files, file) {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		logged.Write(data)
	}
	assert.Equal(t, p.err.String(), logged.String())
	assert.Equal(t, 100, strings.Count(logged.String(), "Path: '/load'"))
}

// It works on the kernels that are supported, without what came after Linux 3.10.
func TestOldKernel(t *testing.T) {
	testenv.OldKernel(t, "^Test(HangupOpensTheLogAnew|Daemon|ViewOnly|TargetTLS|UnixListen|WrapMovesThePort|RecordNumbers)$", 5*time.Minute)
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
	if signal.Ignored(syscall.SIGHUP) { // and by what this starts as well
		t.Skip("SIGHUP is ignored here, as under nohup")
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		testenv.Lack(t, "no pseudoterminals: %v", err)
	}
	defer master.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		testenv.Lack(t, "no pseudoterminals: %v", err)
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

// Logs that nobody reads hold up neither sessions nor the end.
func TestBlockedLog(t *testing.T) {
	pipe := func() (r, w *os.File) {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		_, err = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
		require.NoError(t, err)
		t.Cleanup(func() { r.Close() })
		return r, w
	}
	_, stdout := pipe()
	_, stderr := pipe()
	file := filepath.Join(t.TempDir(), "log")
	require.NoError(t, unix.Mkfifo(file, 0o600))
	reader, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer reader.Close()
	_, err = unix.FcntlInt(reader.Fd(), unix.F_SETPIPE_SZ, 4096)
	require.NoError(t, err)
	p := theGo.launchIn(t, "", func(cmd *exec.Cmd) { cmd.Stdout, cmd.Stderr = stdout, stderr },
		"--traffic", "--log-file", file, "LISTEN", echoTarget(t))
	stdout.Close()
	stderr.Close()
	p.until("the port", func() bool {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 { // each logs lines
			c := dialRaw(t, p.addr)
			c.send(request("/" + strings.Repeat("x", 500)))
			if !assert.Equal(t, "101", c.reply().status()) {
				return
			}
			c.Close()
		}
	}()
	select {
	case <-done:
	case <-time.After(patience):
		require.FailNow(t, "a session waits for a log")
	}
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	assert.Zero(t, p.terminate())
}
