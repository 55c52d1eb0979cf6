package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
)

// background is the colour of the desktop.
const background = "#31506e"

const welcome = `
  This is the user's desktop, in a window of your browser.

  Press Shadow on the right. A question opens here: say
  Yes, and the right half shows what you see here. Say No,
  press Esc or wait 20 seconds, and it does not.

  You can type in this terminal. The administrator can not.

`

// startDesktop starts the user's session: a terminal, a clock that ticks, and
// eyes that follow the pointer.
func startDesktop(ctx context.Context) (*testhost.Desktop, error) {
	d, err := testhost.Start(ctx, testhost.Options{Width: 800, Height: 600, WindowManager: true})
	if err != nil {
		return nil, err
	}
	if err := furnish(ctx, d); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

func furnish(ctx context.Context, d *testhost.Desktop) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	text := filepath.Join(d.Home, "welcome")
	if err := os.WriteFile(text, []byte(welcome), 0o644); err != nil {
		return err
	}
	if err := d.SetRoot(ctx, background); err != nil {
		return err
	}
	for _, program := range [][]string{
		{"xclock", "-name", "clock", "-title", "Clock", "-update", "1", "-geometry", "150x150-30+40"},
		{"xeyes", "-name", "eyes", "-title", "Eyes", "-geometry", "150x100-30+250"},
		{"xterm", "-name", "terminal", "-title", "Terminal", "-fa", "DejaVu Sans Mono", "-fs", "10",
			"-bg", "#fbfaf7", "-fg", "#1c2733", "-geometry", "62x22+24+40",
			"-e", "sh", "-c", `cat "$HOME/welcome"; cd; PS1='user$ ' exec sh -i`},
	} {
		if _, err := d.Spawn(program[0], program[1:]...); err != nil {
			return err
		}
		// One after the other, so that the terminal has the focus.
		if _, err := d.FindWindow(ctx, program[2]); err != nil {
			return err
		}
	}
	return nil
}

// screen is the user's screen, mouse and keyboard: an x11vnc of its own for
// each page, which lets input through.
func screen(d *testhost.Desktop) (net.Conn, error) {
	path, err := exec.LookPath("x11vnc")
	if err != nil {
		return nil, fmt.Errorf("x11vnc is not installed; do: apt-get install x11vnc")
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "screen"), os.NewFile(uintptr(fds[1]), "x11vnc")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "-display", d.Display, "-auth", d.Xauthority, "-inetd", "-norc", "-nopw", "-safer",
		"-nocmds", "-nosel", "-nolookup", "-nonap", "-ncache", "0", "-nowireframe", "-noscrollcopyrect",
		"-timeout", "15", "-quiet", "-o", "/dev/null")
	cmd.Stdin, cmd.Stdout = theirs, theirs
	p, err := d.SpawnCmd(cmd)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &screenConn{Conn: conn, p: p}, nil
}

// screenConn ends its x11vnc when it is closed.
type screenConn struct {
	net.Conn
	p *child.Process
}

func (c *screenConn) Close() error {
	err := c.Conn.Close()
	c.p.Stop(time.Second, time.Second)
	return err
}
