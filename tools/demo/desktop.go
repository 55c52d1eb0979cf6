package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"time"

	"vda.internal/shadow/internal/host/testhost"
)

// background is the colour of the desktop.
const background = "#31506e"

const welcome = `
  This is the user's desktop, in a window of your browser.

  Press Ask to view on the right, and ask. A question opens
  here: say Yes, and the right half shows what you see here.
  Say No, press Esc or wait 20 seconds, and it does not.

  You can type in this terminal. The administrator can not.

`

// startDesktop starts the user's session: a terminal, a clock that ticks, and
// eyes that follow the pointer.
func startDesktop(ctx context.Context) (*testhost.Desktop, error) {
	d, err := testhost.Start(ctx, testhost.Options{
		Width: 800, Height: 600, WindowManager: true, Server: "Xtigervnc",
		Args: []string{"-AlwaysShared", "-AcceptSetDesktopSize=0", "-AcceptCutText=0", "-SendCutText=0"},
	})
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

// screen is the user's screen, mouse and keyboard: a connection to the desktop's own X server, which
// is an RFB server as well.
func screen(ctx context.Context, d *testhost.Desktop) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", d.RFB)
}
