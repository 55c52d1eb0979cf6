package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

func TestYesShowsTheSessionAndFollowsIt(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{}, session)
	r := d.ask("s1", `CORP\alice`)
	w := question(t, session)
	title, err := session.Run(t.Context(), "xprop", "-id", fmt.Sprint(w.ID), "_NET_WM_NAME", "WM_CLASS")
	require.NoError(t, err)
	assert.Contains(t, string(title), `CORP\\alice`, "the title names the administrator")
	assert.Contains(t, string(title), `"consent", "shadowd"`)
	assert.Empty(t, d.listening(), "a port is open before Yes")
	assert.Empty(t, d.sources(), "a source runs before Yes")
	yes(t, session)
	g := r.granted()
	assert.Equal(t, fmt.Sprintf("ws://localhost:%d/websockify?token=%s", g.Port, g.Token), g.URL)

	p := view(t, g.URL)
	p.shows(session)
	for _, pattern := range [][]string{{"-mod", "13", "7"}, {"-mod", "5", "11", "-fg", "#ffee00", "-bg", "#0000cc"}, {"-solid", "#208020"}} {
		_, err := session.Run(t.Context(), "xsetroot", pattern...)
		require.NoError(t, err)
		p.shows(session)
	}
	assert.Empty(t, d.listening(), "the port still listens although its viewer is there")

	e := d.event(shadow.EventConnected, g.ID)
	assert.Equal(t, `CORP\alice`, e.Admin)
	assert.Equal(t, "198.51.100.7", e.Client)
	assert.NotContains(t, d.logged(), g.Token, "the token is in the log")

	p.close()
	e = d.event(shadow.EventEnded, g.ID)
	assert.Equal(t, shadow.ViewerLeft, e.Reason)
	d.noSource()
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", g.Port))
	require.NoError(t, err, "the port is not free")
	ln.Close()
}

func TestNothingThatTheViewerDoesReachesTheSession(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	_, err := session.Spawn("xterm", "-geometry", "80x24+50+50")
	require.NoError(t, err)
	_, err = session.FindWindow(ctx, "xterm")
	require.NoError(t, err)
	d := startDaemon(t, options{}, session)
	g := d.grantWithYes("s1", "alice", session)
	p := view(t, g.URL)
	p.resembles(session)
	x0, y0, err := session.Pointer(ctx)
	require.NoError(t, err)
	copied := exec.Command("xsel", "--input", "--clipboard", "--nodetach")
	copied.Stdin = strings.NewReader("copied by the user")
	_, err = session.SpawnCmd(copied)
	require.NoError(t, err)
	clipboard := func() string {
		out, err := session.Run(ctx, "xsel", "--output", "--clipboard")
		require.NoError(t, err)
		return string(out)
	}
	eventually(t, "the user's clipboard is there", func() bool { return clipboard() == "copied by the user" })
	log, err := session.WatchInput(ctx)
	require.NoError(t, err)
	defer log.Close()

	p.run(
		chromedp.Click(chromedp.CSS("#screen canvas")),
		chromedp.KeyEvent("rm -rf / # typed by the viewer"),
		chromedp.MouseClickXY(200, 150),
		chromedp.MouseClickXY(300, 250, chromedp.ButtonRight),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseWheel, 200, 150, func(p *input.DispatchMouseEventParams) { p.DeltaX, p.DeltaY = 120, 240 }),
		chromedp.Evaluate[chromedp.Void](`rfb.clipboardPasteFrom("pasted by the viewer"); rfb.sendCtrlAltDel(); rfb.machineReboot()`),
	)
	// The stream goes on, so that all of it has been handled.
	require.NoError(t, session.SetRoot(ctx, "#704070"))
	p.resembles(session)
	events, err := log.Events(ctx)
	require.NoError(t, err)
	assert.Empty(t, events, "input events in the session")
	x, y, err := session.Pointer(ctx)
	require.NoError(t, err)
	assert.Equal(t, [2]int{x0, y0}, [2]int{x, y}, "the pointer has moved")

	assert.Equal(t, "copied by the user", clipboard(), "the viewer's paste arrived")
	leaked, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("state.clipboard"))
	require.NoError(t, err)
	assert.Empty(t, leaked, "the user's clipboard reached the viewer")

	p.close()
	e := d.event(shadow.EventEnded, g.ID)
	assert.Greater(t, e.Dropped, int64(50), "noVNC was meant to send input, and the relay to drop it")
}

func TestAnswersThatRefuse(t *testing.T) {
	t.Parallel()
	session, silent := desktop(t), desktop(t)
	d, hasty := startDaemon(t, options{}, session), startDaemon(t, options{consent: `timeout = "8s"`}, silent)
	r := hasty.ask("s1", "alice, who waits")
	focusYes(t, silent)
	require.NoError(t, silent.Type(t.Context(), "yYjJoOnN"))
	for _, c := range []struct {
		name   string
		admin  string // of this host's accounts
		answer func()
		want   shadow.Reason
	}{
		{"No", "daemon", func() { press(t, session, "Return") }, shadow.Denied},
		{"Esc", "bin", func() { press(t, session, "Escape") }, shadow.Denied},
		{"close", "games", func() {
			question(t, session)
			act(t, session, func(ctx context.Context) error { return session.Key(ctx, "alt+F4") })
		}, shadow.Closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := d.ask("s1", c.admin) // who was told No waits
			question(t, session)
			assert.Empty(t, d.listening(), "a port is open before the answer")
			assert.Empty(t, d.sources(), "a source runs before the answer")
			c.answer()
			r.refused(c.want)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			assert.NoError(t, session.WaitNoWindow(ctx, "consent"), "the question is still there")
		})
	}
	r.refused(shadow.TimedOut) // letters are none, nor is silence
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	assert.NoError(t, silent.WaitNoWindow(ctx, "consent"), "the question is still there")
	for _, d := range []*daemon{d, hasty} {
		assert.Empty(t, d.listening(), "a port was opened without a Yes")
		assert.Empty(t, d.sources(), "a source was started without a Yes")
		assert.NotContains(t, d.logged(), `"type":"granted"`)
	}
}

// The settings count from the next request on, without a restart.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{}, session)
	d.configure(options{settings: "EnableSessionShadowing = 0"}, session)
	d.ask("s1", "alice").refused(shadow.Disabled)
	d.configure(options{settings: "EnableSessionShadowing = 7"}, session)
	words := d.ask("s1", "alice").refused(shadow.Disabled)
	assert.Contains(t, words, "EnableSessionShadowing")
	assert.Contains(t, words, "1", "the line")
	d.configure(options{}, session)
	d.grantWithYes("s1", "alice", session)
}

func TestTakeOver(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{ports: 1}, session) // so that B inherits A's port
	a := d.grantWithYes("s1", "alice", session)
	viewA := view(t, a.URL)
	viewA.shows(session)

	r := d.ask("s1", "bob")
	press(t, session, "Return")
	r.refused(shadow.Denied)
	require.NoError(t, session.SetRoot(t.Context(), "#101040"))
	viewA.shows(session)

	assert.Contains(t, d.ask("s1", "bob").refused(shadow.PromptBusy), "ask again in")
	assert.Contains(t, d.ask("s1", "dave").refused(shadow.PromptBusy), "ask again in", "another name that only the caller states")
	r = d.ask("s1", "daemon") // whom this host knows
	question(t, session)
	d.ask("s1", "carol").refused(shadow.PromptBusy)
	yes(t, session)
	b := r.granted()
	viewA.closed(4001, "superseded")
	assert.Equal(t, a.Port, b.Port)
	viewB := view(t, b.URL)
	viewB.shows(session)
	assert.Equal(t, shadow.Superseded, d.event(shadow.EventEnded, a.ID).Reason)
	assert.Len(t, d.sources(), 1)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{}, session)
	g := d.grantWithYes("s1", "alice", session)
	base, _, _ := strings.Cut(g.URL, "?")
	for _, url := range []string{base, base + "?token=", base + "?token=AAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		p := open(t, url)
		p.wait("refused", func(s pageState) bool { return s.Closed })
		s := p.state()
		assert.False(t, s.Connected)
		assert.Equal(t, 1008, s.Code)
	}
	p := view(t, g.URL)
	p.shows(session)
	again := open(t, g.URL)
	again.wait("refused", func(s pageState) bool { return s.Closed })
	assert.False(t, again.state().Connected, "the token worked twice")
	require.NoError(t, session.SetRoot(t.Context(), "#404010"))
	p.shows(session)
}

func TestForeignPage(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{}, session)
	g := d.grantWithYes("s1", "alice", session)
	header := http.Header{"Origin": {"https://evil.example"}}
	code, data := rawUpgrade(t, g.URL, header)
	assert.Equal(t, 1008, code)
	assert.Empty(t, data, "bytes of the session for a foreign page")
}

// kinds are the sources that are processes.
var kinds = map[string]string{"x11": "pointer = false", "x11vnc": `kind = "x11vnc"`}

func TestSourceKilled(t *testing.T) {
	t.Parallel()
	for kind, lines := range kinds {
		t.Run(kind, func(t *testing.T) { sourceKilled(t, lines) })
	}
}

func sourceKilled(t *testing.T, lines string) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{source: lines}, session)
	g := d.grantWithYes("s1", "alice", session)
	p := view(t, g.URL)
	p.resembles(session) // with x11vnc the pointer is in it
	pids := d.sources()
	require.Len(t, pids, 1)
	require.NoError(t, syscall.Kill(pids[0], syscall.SIGKILL))
	p.closed(1011, "source_failed")
	assert.Equal(t, shadow.SourceFailed, d.event(shadow.EventEnded, g.ID).Reason)
}

func TestSourceRunsAsTheUserAndListensNowhere(t *testing.T) {
	t.Parallel()
	for kind, lines := range kinds {
		t.Run(kind, func(t *testing.T) { sourceIsTheUsers(t, lines) })
	}
}

func sourceIsTheUsers(t *testing.T, lines string) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{source: lines}, session)
	d.grantWithYes("s1", "alice", session)
	pids := d.sources()
	require.Len(t, pids, 1)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pids[0]))
	require.NoError(t, err)
	assert.Contains(t, string(status), fmt.Sprintf("Uid:%s\n", strings.Repeat(fmt.Sprintf("\t%d", session.Identity.UID), 4)))
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pids[0]))
	require.NoError(t, err)
	for _, variable := range strings.Split(strings.Trim(string(environ), "\x00"), "\x00") {
		name, _, _ := strings.Cut(variable, "=")
		assert.Contains(t, []string{"", "X11VNC_EXTRA_HTTPS_PARAMS", "XAUTHORITY"}, name, "the source's environment")
	}
	tables, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pids[0]))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	for _, inode := range listenerInodes(t) {
		for _, fd := range tables {
			target, _ := os.Readlink(fd)
			assert.NotEqual(t, "socket:["+inode+"]", target, "the source listens")
		}
	}
}

func TestXServerDiesDuringTheQuestion(t *testing.T) {
	t.Parallel()
	session, other := desktop(t), desktop(t)
	d := startDaemon(t, options{}, session, other)
	r := d.ask("s1", "alice")
	question(t, session)
	session.Kill()
	r.refused(shadow.SessionEnded)
	d.ask("s1", "alice").refused(shadow.DisplayUnreachable)
	d.grantWithYes("s2", "alice", other) // the daemon lives
}

func TestXServerDiesDuringTheView(t *testing.T) {
	t.Parallel()
	session, other := desktop(t), desktop(t)
	d := startDaemon(t, options{}, session, other)
	g := d.grantWithYes("s1", "alice", session)
	p := view(t, g.URL)
	p.shows(session)
	session.Kill()
	p.closed(1001, "session_ended")
	assert.Equal(t, shadow.SessionEnded, d.event(shadow.EventEnded, g.ID).Reason)
	d.grantWithYes("s2", "alice", other)
}

func TestWSSWithTheGivenCertificate(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{settings: "ShadowingUseSSL = 1"}, session)
	g := d.grantWithYes("s1", "alice", session)
	require.True(t, strings.HasPrefix(g.URL, "wss://"), g.URL)
	c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", g.Port), &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	assert.Equal(t, suite.cert.Raw, c.ConnectionState().PeerCertificates[0].Raw)
	c.Close()
	p := view(t, g.URL)
	p.shows(session)
	require.NoError(t, session.SetRoot(t.Context(), "#909010"))
	p.shows(session)
}

func TestWSSWithoutACertificateIsRefused(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	certs := t.TempDir()
	d := startDaemon(t, options{settings: "ShadowingUseSSL = 1", certs: certs}, session)
	assert.Contains(t, d.ask("s1", "alice").refused(shadow.TLSConfig), certs)
}

func TestTwoSessionsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	one, two := desktop(t), desktop(t)
	require.NoError(t, two.SetRoot(t.Context(), "#ff8800"))
	d := startDaemon(t, options{}, one, two)
	viewOne := view(t, d.grantWithYes("s1", "alice", one).URL)
	viewTwo := view(t, d.grantWithYes("s2", "bob", two).URL)
	viewOne.shows(one)
	viewTwo.shows(two)
	require.NoError(t, one.SetRoot(t.Context(), "#00ff88"))
	viewOne.shows(one)
	viewTwo.shows(two)
}

func TestStopAndShutdown(t *testing.T) {
	t.Parallel()
	session, other := desktop(t), desktop(t)
	d := startDaemon(t, options{}, session, other)
	g := d.grantWithYes("s1", "alice", session)
	p := view(t, g.URL)
	p.shows(session)
	require.NoError(t, d.client.Stop(t.Context(), g.ID))
	p.closed(1000, "stopped_by_admin")
	d.noSource()

	g = d.grantWithYes("s1", "alice", session)
	p = view(t, g.URL)
	p.shows(session)
	asking := d.ask("s2", "bob")
	question(t, other)
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM))
	p.closed(1001, "shutdown")
	asking.refused(shadow.Shutdown)
	// What SIGTERM leaves behind is checked by daemon.stop.
}

func TestX11vncMissingIsSaidBeforeTheUserIsAsked(t *testing.T) {
	t.Parallel()
	session := desktop(t)
	d := startDaemon(t, options{source: `kind = "x11vnc"`, path: t.TempDir()}, session)
	words := d.ask("s1", "alice").refused(shadow.SourceFailed)
	assert.Contains(t, words, "install")
	windows, err := session.Windows(t.Context(), "consent")
	require.NoError(t, err)
	assert.Empty(t, windows)
	assert.NotContains(t, d.logged(), `"type":"prompted"`)
}

// rawUpgrade makes a WebSocket handshake with those headers and returns the
// code of the close frame, and any data that came before it.
func rawUpgrade(t *testing.T, url string, header http.Header) (code int, data []byte) {
	t.Helper()
	return rawUpgradeFrom(t, "127.0.0.1", url, header)
}

// rawUpgradeFrom is rawUpgrade from an address of this host.
func rawUpgradeFrom(t *testing.T, from, url string, header http.Header) (code int, data []byte) {
	t.Helper()
	host := strings.TrimPrefix(url, "ws://")
	host, path, _ := strings.Cut(host, "/")
	_, portText, _ := strings.Cut(host, ":")
	port, err := strconv.Atoi(portText)
	require.NoError(t, err)
	c, err := dialFrom(t, from, port)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", path, host)
	require.NoError(t, header.Write(c))
	fmt.Fprint(c, "\r\n")
	return readClose(t, c)
}
