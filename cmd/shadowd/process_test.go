package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// asShadowd lets this test binary be shadowd.
const asShadowd = "SHADOWD_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asShadowd) == "1" {
		main()
	}
	os.Exit(m.Run())
}

// A program is a running shadowd.
type program struct {
	*exec.Cmd
	api.Client
	dir   string
	audit string
	ended chan struct{}
}

// allows grants without asking.
const allows = `prompter = "allow"`

// rfbServer is the address of an RFB server that lets everybody in and then has nothing to show.
func rfbServer(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "rfb.sock")
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = conn.Write([]byte("RFB 003.008\n\x01\x01\x00\x00\x00\x00")) // one type, None, and its result
				_, _ = io.ReadFull(conn, make([]byte, 12+1+1))
			}()
		}
	}()
	return path
}

// startProgram starts one that asks like that and has nothing to show of a session that isn't there.
func startProgram(t *testing.T, stderr *os.File, consent string, env ...string) *program {
	t.Helper()
	return startProgramFor(t, "user = \"nobody\"\ndisplay = \":64001\"\n", stderr, consent, env...)
}

// startProgramFor is startProgram for a session.
func startProgramFor(t *testing.T, session string, stderr *os.File, consent string, env ...string) *program {
	t.Helper()
	return startProgramWith(t, "", session, stderr, consent, env...)
}

// startProgramWith is startProgramFor with the configuration's first lines.
func startProgramWith(t *testing.T, first, session string, stderr *os.File, consent string, env ...string) *program {
	t.Helper()
	dir := t.TempDir()
	return startProgramAuditing(t, dir, filepath.Join(dir, "audit.log"), first, session, stderr, consent, env...)
}

// startProgramAuditing is startProgramWith with a folder for what it needs, and a file for the audit; "": standard error.
func startProgramAuditing(t *testing.T, dir, audit, first, session string, stderr *os.File, consent string, env ...string) *program {
	t.Helper()
	p := &program{dir: dir, audit: audit, ended: make(chan struct{})}
	p.Socket = filepath.Join(dir, "control.sock")
	config := filepath.Join(dir, "shadowing.toml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `%s
[log]
audit = %q
[control]
socket = %q
[viewer]
host = "localhost"
[consent]
%s
[source]
kind = "dial"
dial = "unix:%s"
[sessions]
resolver = "static"
[[sessions.static]]
id = "1"
%s
`, first, p.audit, p.Socket, consent, rfbServer(t, dir), session), 0o600))
	self, err := os.Executable()
	require.NoError(t, err)
	p.Cmd = exec.Command(self, "--config", config)
	p.Env = append(append(os.Environ(), asShadowd+"=1"), env...)
	p.Stderr = stderr
	require.NoError(t, p.Start())
	go func() {
		defer close(p.ended)
		_ = p.Wait()
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
	})
	require.Eventually(t, func() bool {
		_, err := p.List(t.Context())
		return err == nil
	}, time.Minute, 10*time.Millisecond, "it doesn't answer")
	return p
}

// asked counts somebody's names.
var asked atomic.Int64

// somebody is another administrator each time: one who asks for nothing over and over is refused.
func somebody() string { return fmt.Sprint("alice", asked.Add(1)) }

// ask asks for the session and requires an answer.
func (p *program) ask(t *testing.T) {
	t.Helper()
	answered := make(chan error, 1)
	go func() {
		_, err := p.Shadow(t.Context(), api.Request{Session: "1", Admin: somebody()})
		answered <- err
	}()
	select {
	case err := <-answered:
		require.ErrorContains(t, err, "source_failed")
	case <-time.After(time.Minute):
		require.FailNow(t, "no answer")
	}
}

// ends sends SIGTERM and requires that it ends.
func (p *program) ends(t *testing.T) {
	t.Helper()
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
		assert.True(t, p.ProcessState.Exited(), "%v", p.ProcessState)
	case <-time.After(time.Minute):
		require.FailNow(t, "SIGTERM doesn't end it")
	}
}

// A log that nobody reads holds up neither the API nor the end.
func TestBlockedLog(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	_, err = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	require.NoError(t, err)
	p := startProgram(t, w, allows)
	w.Close()
	for range 100 { // each logs a line
		p.ask(t)
	}
	p.ends(t)
	audit, err := os.ReadFile(p.audit)
	require.NoError(t, err)
	assert.Equal(t, 100, strings.Count(string(audit), `"type":"refused"`))
}

// SIGHUP, with which logrotate ends its work, ends nothing else.
func TestHangup(t *testing.T) {
	p := startProgram(t, nil, allows)
	once := func(file string) { // the last line is written after the answer
		t.Helper()
		assert.Eventually(t, func() bool {
			data, err := os.ReadFile(file)
			return err == nil && strings.Count(string(data), `"type":"refused"`) == 1
		}, time.Minute, 10*time.Millisecond, file)
	}
	p.ask(t)
	once(p.audit)
	require.NoError(t, os.Rename(p.audit, p.audit+".1"))
	require.NoError(t, p.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool {
		_, err := os.Stat(p.audit)
		return err == nil
	}, time.Minute, 10*time.Millisecond, "the audit isn't begun anew")
	p.ask(t)
	once(p.audit)
	once(p.audit + ".1")
	p.ends(t)
}

// A log whose reader has gone takes nothing more, and ends nothing.
func TestLogWhoseReaderHasGone(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	p := startProgram(t, w, allows)
	require.NoError(t, w.Close())
	require.NoError(t, r.Close())
	for range 10 { // each logs a line
		p.ask(t)
	}
	p.ends(t)
	assert.Zero(t, p.ProcessState.ExitCode(), "%v", p.ProcessState)
}

// SIGHUP ends nothing either while shadowd still looks at what it is to warn of, and SIGTERM doesn't wait for that.
func TestHangupAtTheStart(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	defer ln.Close()
	slow := filepath.Join(t.TempDir(), "slow")
	require.NoError(t, os.WriteFile(slow, []byte("#!/bin/sh\nexec sleep 600\n"), 0o755))
	p := startProgramWith(t, fmt.Sprintf("settings = \"ctxreg\"\nctxreg = %q\n", slow), "user = \"nobody\"\ndisplay = \":64001\"\n", nil, allows, "NOTIFY_SOCKET="+socket)
	require.NoError(t, ln.SetReadDeadline(time.Now().Add(time.Minute)))
	for buf := make([]byte, 256); ; { // systemd is given the control socket first
		n, err := ln.Read(buf)
		require.NoError(t, err)
		if string(buf[:n]) == "READY=1" {
			break
		}
	}
	require.NoError(t, os.Rename(p.audit, p.audit+".1"))
	require.NoError(t, p.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool {
		_, err := os.Stat(p.audit)
		return err == nil
	}, time.Minute, 10*time.Millisecond, "the audit isn't begun anew")
	p.ends(t)
}

// Rotation under load loses no line, and breaks none: of each request there are all lines, in whichever
// file.
func TestHangupUnderLoad(t *testing.T) {
	p := startProgram(t, nil, allows)
	const askers, each, rotations = 4, 25, 20
	var asking sync.WaitGroup
	for range askers {
		asking.Go(func() {
			for range each {
				_, err := p.Shadow(t.Context(), api.Request{Session: "1", Admin: somebody()})
				assert.ErrorContains(t, err, "refused") // source_failed, or prompt_busy
				assert.NotContains(t, err.Error(), "audit_failed", "rotation refuses requests")
			}
		})
	}
	files := []string{p.audit}
	for i := range rotations {
		old := fmt.Sprintf("%s.%d", p.audit, i)
		require.NoError(t, os.Rename(p.audit, old))
		files = append(files, old)
		require.NoError(t, p.Process.Signal(syscall.SIGHUP))
		require.Eventually(t, func() bool {
			_, err := os.Stat(p.audit)
			return err == nil
		}, time.Minute, time.Millisecond, "the audit isn't begun anew")
	}
	asking.Wait()
	p.ends(t)
	types := map[shadow.EventType]int{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			var e shadow.Event
			require.NoError(t, json.Unmarshal([]byte(line), &e), "%s: %q", file, line)
			types[e.Type]++
		}
	}
	assert.Equal(t, askers*each, types[shadow.EventRequested])
	assert.Equal(t, askers*each, types[shadow.EventRefused])
}

// systemd's watchdog is told that the engine isn't stuck.
func TestTellsTheWatchdog(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	defer ln.Close()
	p := startProgram(t, nil, allows, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=300000")
	require.NoError(t, ln.SetReadDeadline(time.Now().Add(time.Minute)))
	buf := make([]byte, 256)
	for told := 0; told < 3; {
		n, err := ln.Read(buf)
		require.NoError(t, err)
		if strings.Contains(string(buf[:n]), "WATCHDOG=1") {
			told++
		}
	}
	p.ends(t)
}

// The audit knows the process that asks and the one that stops, whatever they say of themselves.
func TestCallers(t *testing.T) {
	testenv.Root(t)
	d := testhost.Require(t, testhost.Options{})
	session := fmt.Sprintf("user = \"nobody\"\ndisplay = %q\nxauthority = %q\n", d.Display, d.Xauthority)
	p := startProgramFor(t, session, nil, "timeout = \"5m\"\nprompter = \"exec\"\nexec = [\"/bin/sleep\", \"600\"]\n")
	asked := make(chan error, 1)
	go func() {
		_, err := p.Shadow(t.Context(), api.Request{Session: "1", Admin: "the queen"})
		asked <- err
	}()
	var list []api.Status
	require.Eventually(t, func() bool {
		list, _ = p.List(t.Context())
		return len(list) == 1 && list[0].State == shadow.Prompting
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, p.Stop(t.Context(), list[0].ID))
	require.ErrorContains(t, <-asked, "stopped_by_admin")
	p.ends(t)
	self := &shadow.Caller{UID: 0, PID: int32(os.Getpid()), User: "root"}
	data, err := os.ReadFile(p.audit)
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		var e shadow.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		assert.Equal(t, self, e.Caller, e.Type)
		if e.Type == shadow.EventRefused {
			assert.Equal(t, self, e.EndedBy)
		} else {
			assert.Nil(t, e.EndedBy)
		}
	}
	assert.Equal(t, 3, strings.Count(string(data), "\n"), "requested, prompted, refused")
}

// shadowd works on the kernels that the feature is documented for.
func TestOldKernel(t *testing.T) {
	testenv.OldKernel(t, "^Test(Callers|Hangup|BlockedLog)$", 5*time.Minute)
}
