package viewers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

var built struct {
	sync.Mutex
	dir string
}

// build returns a program of ours, built once.
func build(t *testing.T, name string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "viewers")
		require.NoError(t, err)
		require.NoError(t, os.Chmod(dir, 0o755)) // sessions' users execute it
		built.dir = dir
	}
	bin := filepath.Join(built.dir, name)
	if _, err := os.Stat(bin); err != nil {
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "vda.internal/shadow/cmd/"+name).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	return bin
}

// run starts a program of ours, and ends it with the test. What it says is in the test's log.
func run(t *testing.T, cmd *exec.Cmd, listens func() bool) {
	t.Helper()
	var said strings.Builder
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	require.NoError(t, cmd.Start())
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-done
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), said.String())
		}
	})
	require.Eventually(t, func() bool {
		select {
		case <-done:
			return true
		default:
			return listens()
		}
	}, patience, 50*time.Millisecond)
	require.True(t, listens(), "%s doesn't start", cmd.Path)
}

// answers reports whether somebody listens on a port of loopback.
func answers(port int) bool {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(port), patience)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// startShadowd is the whole product, with its own picture of a desktop whose user says Yes at once. Each session's
// WebSocket is a view that was asked for and granted.
func startShadowd(t *testing.T, origin string) *screen {
	testenv.Root(t)
	d, s := desk(t)
	who, err := user.LookupId(strconv.Itoa(int(d.Identity.UID)))
	require.NoError(t, err)
	dir, first := t.TempDir(), testenv.Ports(t, 8)
	config, client := filepath.Join(dir, "shadowing.toml"), api.Client{Socket: filepath.Join(dir, "control.sock")}
	require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf(`
[ports]
listen = "127.0.0.1"
first = %d
last = %d
[viewer]
host = "127.0.0.1"
origins = [%q]
connect_timeout = "2m"
reconnect = "0s"
[consent]
prompter = "exec"
exec = ["/bin/true"]
banner = false
[control]
socket = %q
[sessions]
resolver = "static"
[[sessions.static]]
id = "s1"
display = %q
user = %q
xauthority = %q
`, first, first+7, origin, client.Socket, d.Display, who.Username, d.Xauthority)), 0o600))
	run(t, exec.Command(build(t, "shadowd"), "--config", config), func() bool { _, err := client.List(t.Context()); return err == nil })
	s.socket = func() string {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		grant, err := client.Shadow(ctx, api.Request{Session: "s1", Admin: "alice"})
		if err != nil {
			return "no view: " + err.Error()
		}
		return grant.URL
	}
	return s
}

// startWebsockify is our websockify --view-only in front of an x11vnc as people start it.
func startWebsockify(t *testing.T, origin string) *screen {
	testenv.Program(t, "x11vnc", "x11vnc")
	d, s := desk(t)
	port := testenv.Ports(t, 1)
	_, err := d.Spawn("x11vnc", "-rfbport", strconv.Itoa(port), "-localhost", "-forever", "-shared", "-quiet", "-nopw", "-norc")
	require.NoError(t, err)
	require.NoError(t, testhost.Until(t.Context(), "x11vnc", func() (bool, error) { return answers(port), nil }))
	s.keep(x11vncEnds)
	s.socket = websockify(t, origin, port)
	return s
}

// websockify starts ours in front of a VNC server on loopback.
func websockify(t *testing.T, origin string, target int, options ...string) (socket func() string) {
	port := testenv.Ports(t, 1)
	args := append([]string{"--view-only", "--origin", origin}, options...)
	run(t, exec.Command(build(t, "websockify"), append(args, fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", target))...),
		func() bool { return answers(port) })
	return func() string { return fmt.Sprintf("ws://127.0.0.1:%d/websockify", port) }
}

func startTigerVNC(t *testing.T, origin string) *screen {
	return vncserver(t, origin, "tigervncserver", "tigervncpasswd", "tigervnc-standalone-server")
}

func startTightVNC(t *testing.T, origin string) *screen {
	s := vncserver(t, origin, "tightvncserver", "tightvncpasswd", "tightvncserver")
	s.keep("it knows no RANDR")
	return s
}

// newDisplay is in what vncserver says of what it has started; displays that are taken may come before.
var newDisplay = regexp.MustCompile(`(?m)^New [^:\n]*:(\d+)`)

// vncserver is a server as vncserver(1) sets it up for whoever starts it, a password and nothing else, behind our
// websockify that is told the password.
func vncserver(t *testing.T, origin, program, passwd, debian string) *screen {
	path := testenv.Program(t, program, debian)
	home := t.TempDir()
	env := []string{"HOME=" + home, "USER=user", "PATH=" + os.Getenv("PATH"), "XAUTHORITY=" + filepath.Join(home, ".Xauthority")}
	command := func(name string, args ...string) *exec.Cmd {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		t.Cleanup(cancel)
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env, cmd.Dir = env, home
		return cmd
	}
	require.NoError(t, os.Mkdir(filepath.Join(home, ".vnc"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, ".vnc/xstartup"), []byte("#!/bin/sh\nexec sleep 3600\n"), 0o700))
	// Debian's TightVNC otherwise starts a session that the machine has.
	require.NoError(t, os.WriteFile(filepath.Join(home, ".vncrc"), []byte("$vncStartup = \"$ENV{HOME}/.vnc/xstartup\";\n1;\n"), 0o600))
	hide := command(testenv.Program(t, passwd, debian), "-f")
	hide.Stdin = strings.NewReader("secret78\n")
	hidden, err := hide.Output()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(home, ".vnc/passwd"), hidden, 0o600))
	secret := filepath.Join(home, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret78\n"), 0o600))

	start := command(path, "-geometry", "320x240", "-depth", "24")
	out, err := os.Create(filepath.Join(home, "out")) // a pipe would stay open with the server
	require.NoError(t, err)
	defer out.Close()
	start.Stdout, start.Stderr = out, out
	err = start.Run()
	said, _ := os.ReadFile(out.Name())
	require.NoError(t, err, "%s", said)
	m := newDisplay.FindSubmatch(said)
	require.NotNil(t, m, "%s", said)
	t.Cleanup(func() { _ = command(path, "-kill", ":"+string(m[1])).Run() })
	number, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	port := 5900 + number
	require.NoError(t, testhost.Until(t.Context(), program, func() (bool, error) { return answers(port), nil }))
	s := display(t, ":"+string(m[1]), filepath.Join(home, ".Xauthority"))
	s.socket = websockify(t, origin, port, "--target-password-file", secret)
	return s
}
