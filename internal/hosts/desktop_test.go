package hosts

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/rfb"
)

// The size of the user's screen.
const screenWidth, screenHeight = 1024, 768

// onDesktop has a line of shell see the user's desktop.
const onDesktop = "export DISPLAY=:7 XAUTHORITY=/home/ann/.Xauthority; "

// desktop logs a user on: a session of logind's, with an X server that keeps its picture in a file, and XFCE.
func (h *host) desktop() {
	h.t.Helper()
	h.sh("getent passwd ann || useradd --create-home --shell /bin/bash ann")
	h.put("/usr/local/bin/desktop", `#!/bin/bash
export XAUTHORITY=$HOME/.Xauthority DISPLAY=:7 DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus
export XDG_CURRENT_DESKTOP=XFCE DESKTOP_SESSION=xfce XFCE_PANEL_MIGRATE_DEFAULT=1
rm -f $XAUTHORITY; xauth add :7 . $(mcookie) 2>/dev/null
mkdir -p $HOME/screen
Xvfb :7 -auth $XAUTHORITY -screen 0 1024x768x24 -fbdir $HOME/screen -nolisten tcp &
trap "kill $!" EXIT
until xdpyinfo >/dev/null 2>&1; do sleep 0.1; done
xfce4-session
`, 0o755)
	h.put("/etc/systemd/system/desktop.service", `[Service]
User=ann
PAMName=login
Environment=XDG_SESSION_TYPE=x11 XDG_SESSION_CLASS=user
ExecStart=/usr/local/bin/desktop
`, 0o644)
	h.run("systemctl", "daemon-reload")
	h.run("systemctl", "start", "desktop")
	h.until("the window manager, the panel and the desktop are on the screen", func() bool {
		return h.shows("--class '^[Xx]fwm4$'") && h.shows("--onlyvisible --class '^[Xx]fce4-panel$'") && h.shows("--onlyvisible --class '^[Xx]fdesktop$'")
	})
	h.until("the session can be shadowed", func() bool { return h.session() != "" })
}

// shows reports whether xdotool finds a window of the user's.
func (h *host) shows(search string) bool {
	return h.command("sh", "-c", onDesktop+"xdotool search "+search).Run() == nil
}

// session is the id of ann's session, once it can be shadowed.
func (h *host) session() string {
	out, err := h.command("shadowctl", "--json", "sessions").Output()
	if err != nil {
		return ""
	}
	for _, s := range decode[api.SessionList](h.t, out).Sessions {
		if s.User == "ann" && s.Shadowable {
			return s.ID
		}
	}
	return ""
}

func decode[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(data, &v), "%s", data)
	return v
}

// watch asks, answers Yes as the user, and connects from outside.
func (h *host) watch() *rfb.ServerConn {
	h.t.Helper()
	asked := h.ask()
	h.until("the question is on the screen", func() bool { return h.shows("--onlyvisible --classname '^consent$'") })
	return h.granted(asked)
}

// An asking is a request whose user is being asked.
type asking struct {
	cmd *exec.Cmd
	out *bytes.Buffer
}

// ask asks for ann's session.
func (h *host) ask() asking {
	h.t.Helper()
	a := asking{h.command("shadowctl", "--json", "shadow", h.session(), "--admin", `CORP\alice`, "--purpose", "INC-1 a test"), new(bytes.Buffer)}
	a.cmd.Stdout = a.out
	require.NoError(h.t, a.cmd.Start())
	return a
}

// granted answers Yes as the user, and connects from outside.
func (h *host) granted(a asking) *rfb.ServerConn {
	h.t.Helper()
	// The question takes no input for its first half second: press until it has gone.
	h.sh(onDesktop + `while xdotool search --onlyvisible --classname '^consent$' >/dev/null; do
			sleep 1; xdotool key --clearmodifiers Right; xdotool key --clearmodifiers Return; sleep 0.5
		done`)
	require.NoError(h.t, a.cmd.Wait(), "%s\n%s", a.out, h.sh("journalctl -u shadowd --no-pager | tail -20"))
	grant := decode[api.Grant](h.t, a.out.Bytes())
	c, _, err := websocket.Dial(h.t.Context(), grant.URL, &websocket.DialOptions{Subprotocols: []string{"binary"},
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: h.dial, TLSClientConfig: h.trust()}}})
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(1 << 26)
	server, err := rfb.Connect(h.t.Context(), websocket.NetConn(context.WithoutCancel(h.t.Context()), c, websocket.MessageBinary))
	require.NoError(h.t, err)
	require.EqualValues(h.t, screenWidth, server.Init.Width)
	require.EqualValues(h.t, screenHeight, server.Init.Height)
	require.NoError(h.t, frame(server))
	return server
}

// frame has a view show everything once.
func frame(c *rfb.ServerConn) error {
	_, err := view(c)
	return err
}

// viewed is what users and administrators do.
func (h *host) viewed() {
	t := h.t
	c := h.look()
	main := h.mainPID("shadowd")
	h.run("systemctl", "reload", "shadowd") // for logrotate
	require.NoError(t, frame(c), "a reload ends nothing")
	require.Equal(t, main, h.mainPID("shadowd"))
	h.rotate(c)

	h.page("harden less")
	require.Error(t, frame(c), "a restart ends views")
	h.active("shadowd")
	c = h.watch()
	h.run("rm", "-r", "/etc/systemd/system/shadowd.service.d")
	h.run("systemctl", "daemon-reload")
	h.run("systemctl", "stop", "desktop") // the user logs out
	require.Error(t, frame(c), "the session has ended")
}

// x11vnc has the unit's rights suffice for x11vnc, too: it is alone in a network of its own, where
// nobody can pretend to be the X server, and the shared memory that it leaves behind is removed.
func (h *host) x11vnc() {
	h.t.Helper()
	h.configure("[source]\nkind = \"x11vnc\"\n")
	h.run("systemctl", "restart", "shadowd")
	h.active("shadowd")
	c := h.watch()
	require.NotEqual(h.t, h.sh("readlink /proc/$(pgrep -x shadowd | head -1)/ns/net"), h.sh("readlink /proc/$(pgrep -x x11vnc)/ns/net"))
	segments := strings.Fields(h.sh("ipcs -m -p | awk -v made=$(pgrep -x x11vnc) '$3 == made { print $1 }'"))
	require.NotEmpty(h.t, segments)
	h.sh("kill -KILL $(pgrep -x x11vnc)")
	require.Error(h.t, frame(c), "its source is gone")
	h.until("its shared memory is removed", func() bool {
		left := strings.Fields(h.sh("ipcs -m | awk '{ print $2 }'"))
		for _, id := range segments {
			for _, other := range left {
				if id == other {
					return false
				}
			}
		}
		return true
	})
	h.configure("")
	h.run("systemctl", "restart", "shadowd")
	h.active("shadowd")
}

// rotate has logrotate move the audit file away.
func (h *host) rotate(c *rfb.ServerConn) {
	h.t.Helper()
	h.page("configure logrotate")
	require.Contains(h.t, h.sh("cat /var/log/shadowd-audit.log"), `"granted"`)
	h.run("logrotate", "--force", "/etc/logrotate.d/shadowd")
	require.NoError(h.t, frame(c), "logrotate ends nothing")
	h.sh("shadowctl --json shadow nobody-s --admin bob >/dev/null 2>&1 || true")
	h.until("the new file has the next line", func() bool { return strings.Contains(h.sh("cat /var/log/shadowd-audit.log"), "bob") })
	require.NotContains(h.t, h.sh("cat /var/log/shadowd-audit.log.1"), `"bob"`)
}
