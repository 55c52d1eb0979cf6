package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/usage"
)

// asShadowgate lets this test binary be shadowgate.
const asShadowgate = "SHADOWGATE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asShadowgate) == "1" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// Neither a log whose reader has gone nor SIGHUP ends shadowgate.
func TestLogWhoseReaderHasGone(t *testing.T) {
	path, _ := config(t, "[web]\nlisten = \"127.0.0.1:0\"\n")
	self, err := os.Executable()
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(self, "--config", path)
	cmd.Env, cmd.Stderr = append(os.Environ(), asShadowgate+"=1"), w
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	require.NoError(t, w.Close())
	log := bufio.NewScanner(r)
	for log.Scan() && !strings.Contains(log.Text(), `"message":"ready"`) { // it ends with the process
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	for log.Scan() && !strings.Contains(log.Text(), "SIGHUP") {
	}
	require.NoError(t, r.Close())
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))  // it logs a line
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM)) // and another
	require.NoError(t, cmd.Wait())
}

// call runs a command with some standard input.
func call(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(t.Context(), nil, args, strings.NewReader(stdin), &out, &err)
	return status, out.String(), err.String()
}

// config writes a configuration whose files are in a folder of their own.
func config(t *testing.T, more string) (path, dir string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "gate.toml")
	text := "[accounts]\nfile = \"" + dir + "/accounts\"\n[tokens]\nfile = \"" + dir + "/tokens\"\n[state]\ndir = \"" + dir + "/state\"\n" + more
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path, dir
}

func TestCommandLine(t *testing.T) {
	path, dir := config(t, "")
	status, out, _ := call(t, "", "--print-config", "--config", path)
	require.Zero(t, status)
	require.Contains(t, out, `file = "`+dir+`/accounts"`)
	require.Contains(t, out, "# [[access]]: who may do what")
	status, out, _ = call(t, "", "--check", "--config", path)
	require.Zero(t, status)
	require.Equal(t, path+": fine\n", out)
	for name, args := range map[string][]string{
		"argument": {"x"}, "flag": {"--none"}, "passwd without a name": {"passwd", "--config", path}, "token alone": {"token"}, "too long": {"token", "add", "x", "--days", "0", "--config", path},
	} {
		status, _, errs := call(t, "", args...)
		require.Equal(t, usage.Status, status, name)
		require.Contains(t, errs, "--help", name)
	}
	_, _, errs := call(t, "", "paswd")
	require.Contains(t, errs, `unknown command "paswd"; did you mean passwd?`)
	status, _, errs = call(t, "", "--check", "--config", filepath.Join(dir, "none"))
	require.Equal(t, exitFailed, status)
	require.Contains(t, errs, "no such file")
	broken, _ := config(t, "[web]\nlisten = \"nowhere\"\n")
	status, _, errs = call(t, "", "--config", broken)
	require.Equal(t, exitFailed, status)
	require.Contains(t, errs, broken+":8: web.listen")
	require.NoError(t, os.WriteFile(dir+"/accounts", []byte("ann:hunter2::\n"), 0o600))
	status, _, errs = call(t, "", "--check", "--config", path)
	require.Equal(t, exitFailed, status)
	require.Contains(t, errs, "line 1")
	require.NotContains(t, errs, "hunter2")
}

// Keys that would stop the start are found; those that are there only from the start on are not missed.
func TestCheckLooksAtKeys(t *testing.T) {
	const fleet = "[bus]\nlisten = \"127.0.0.1:4222\"\ntls = false\n"
	for name, c := range map[string]struct{ more, words string }{
		"cookies":       {"[session]\nkeys = \"/nonexistent/cookie.keys\"\n", "/nonexistent"},
		"fleet":         {fleet + "keys = \"/nonexistent\"\n", "/nonexistent/fleet.nk"},
		"authorities":   {fleet + "ca = \"/nonexistent/ca.pem\"\n", "bus.ca: "},
		"certificate":   {"[tls]\ndir = \"/nonexistent\"\n[bus]\nlisten = \"127.0.0.1:4222\"\n", "/nonexistent"},
		"made":          {fleet, ""},
		"handed over":   {fleet + "keys = \"/run/credentials/none.service\"\n[session]\nkeys = \"/run/credentials/none.service/cookie.keys\"\n", ""},
		"one's servers": {"[bus]\nservers = [\"tls://nats.example:4222\"]\n", "fleet.nk"},
	} {
		path, _ := config(t, c.more)
		status, out, errs := call(t, "", "--check", "--config", path)
		if c.words == "" {
			require.Zero(t, status, "%s: %s", name, errs)
			continue
		}
		require.Equal(t, exitFailed, status, "%s: %s", name, out)
		require.Contains(t, errs, c.words, name)
	}
}

func TestPasswd(t *testing.T) {
	path, dir := config(t, "")
	status, _, errs := call(t, "short\n", "passwd", "--config", path, "ann")
	require.Equal(t, exitFailed, status)
	require.Contains(t, errs, "fewer than 8")
	_, err := os.Stat(dir + "/accounts")
	require.ErrorIs(t, err, fs.ErrNotExist)
	status, _, errs = call(t, testgate.Password+"\n", "passwd", "--config", path, "--groups", "administrators,staff", "--full-name", "Ann", "ann")
	require.Zero(t, status, errs)
	data, err := os.ReadFile(dir + "/accounts")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^ann:\$argon2id\$v=19\$m=19456,t=2,p=1\$[^:]+:administrators,staff:Ann$`, string(data))
	require.NotContains(t, string(data), testgate.Password)
	status, _, errs = call(t, "another password", "passwd", "--config", path, "ann")
	require.Zero(t, status, errs)
	again, err := os.ReadFile(dir + "/accounts")
	require.NoError(t, err)
	require.NotEqual(t, string(data), string(again))
	require.Contains(t, string(again), ":administrators,staff:Ann\n", "they stay")
	status, _, _ = call(t, "", "passwd", "--config", path, "--remove", "ann")
	require.Zero(t, status)
	status, _, errs = call(t, "", "passwd", "--config", path, "--remove", "ann")
	require.Equal(t, exitFailed, status)
	require.Contains(t, errs, "there is no account")
}

func TestToken(t *testing.T) {
	path, dir := config(t, "")
	status, out, errs := call(t, "", "token", "add", "--config", path, "--groups", "helpdesk", "nightly")
	require.Zero(t, status, errs)
	require.Regexp(t, `^sg_[0-9a-f]{8}_\S{43}\n$`, out)
	data, err := os.ReadFile(dir + "/tokens")
	require.NoError(t, err)
	require.NotContains(t, string(data), strings.TrimSpace(out)[12:])
	id := out[3:11]
	status, out, _ = call(t, "", "token", "list", "--config", path)
	require.Zero(t, status)
	require.Contains(t, out, id+"  nightly  helpdesk  until 2")
	status, _, _ = call(t, "", "token", "remove", "--config", path, id)
	require.Zero(t, status)
	status, out, _ = call(t, "", "token", "list", "--config", path)
	require.Zero(t, status)
	require.Empty(t, out)
}

// lines is a log that somebody waits for.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Two commands make the console of one machine; SIGHUP ends nothing, and the end is orderly.
func TestServe(t *testing.T) {
	d := testgate.NewDaemon(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := ln.Addr().String()
	require.NoError(t, ln.Close())
	path, _ := config(t, "[web]\nlisten = \""+address+"\"\n[local]\nname = \"vda1\"\nsocket = \""+d.Client.Socket+"\"\n[[access]]\ngroups = [\"administrators\"]\nmay = [\"list\"]\n")
	status, _, errs := call(t, testgate.Password, "passwd", "--config", path, "--groups", "administrators", "ann")
	require.Zero(t, status, errs)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := &lines{}
	done := make(chan int, 1)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	go func() { done <- run(ctx, hangups, []string{"--config", path}, strings.NewReader(""), io.Discard, log) }()
	wait := func(what string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(log.String(), what) }, testgate.Patience, 20*time.Millisecond, "%s", what)
	}
	wait(`"message":"ready"`)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	body, err := json.Marshal(map[string]string{"name": "ann", "password": testgate.Password})
	require.NoError(t, err)
	resp, err := client.Post("http://"+address+"/api/v1/signin", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	r, err := http.NewRequest(http.MethodGet, "http://"+address+"/api/v1/sessions", nil)
	require.NoError(t, err)
	r.AddCookie(resp.Cookies()[0])
	resp, err = client.Do(r)
	require.NoError(t, err)
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, string(data), `"host":"vda1"`)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	wait("reread the cookies")
	cancel()
	require.Equal(t, exitDone, <-done)
	wait(`"message":"ended"`)
	require.NotContains(t, log.String(), testgate.Password)
}

// The AppArmor profile is for the unit alone: attached to the program's path, it would keep root's shadowgate passwd,
// token and invite from writing their files and from the terminal.
func TestProfile(t *testing.T) {
	unit, err := os.ReadFile("../../dist/shadowgate.service")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^AppArmorProfile=-shadowgate$`, string(unit))
	profile, err := os.ReadFile("../../dist/apparmor/usr.sbin.shadowgate")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^profile shadowgate \{$`, string(profile))
}

// The unit closes what shadowgate doesn't need.
func TestUnit(t *testing.T) {
	analyze := testenv.Program(t, "systemd-analyze", "systemd")
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "../../dist/shadowgate.service").CombinedOutput()
	if err != nil && !strings.Contains(string(out), "exposure level") {
		testenv.Lack(t, "systemd-analyze can't judge units offline: %v: %s", err, out)
	}
	m := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	require.NotNil(t, m, "%s", out)
	level, err := strconv.ParseFloat(string(m[1]), 64)
	require.NoError(t, err)
	require.LessOrEqual(t, level, 1.5, "%s", out)
}
